"""The same verdict for a pull request: short, and without measured seconds, which differ from run to run."""

from collections.abc import Sequence

from bakeoff.report import formats, tables, training_tables, verdict
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import model_label
from bakeoff.report.summary import Summary
from bakeoff.report.tables import Cell, Table


def render(summary: Summary, evidence: Evidence) -> str:
    """The comparison as GitHub-flavoured Markdown."""
    result = summary.result
    parts = [
        f"# MF or softmax DNN? {_escape(evidence.dataset['title'])}",
        f"**{verdict.headline(result)}.** {verdict.statement(result)}",
        *(f"> {caveat}" for caveat in summary.caveats),
        *(f"> {model_label(name)} was left out. {_escape(reason)}" for name, reason in evidence.skipped.items()),
        "## Accuracy",
        f"Mean over {formats.count(result.num_users)} warm test users with its "
        f"{formats.level(result.confidence)} interval; the highest of a column is bold.",
        _table(tables.cutoff_table(summary.estimates, summary.cutoff)),
        "The softmax DNN beside MF on the same users; p is adjusted for the number of rows (Holm), as in all tables.",
        _table(_differences(summary)),
        "Every model beside the best baseline, which was chosen on the same users.",
        _table(tables.standing_table(summary.standings, result.metric, result.confidence)),
    ]
    if summary.new_users:
        num_new = max(figure.num_users for figure in summary.new_users)
        table = tables.new_user_table(summary.new_users, summary.new_differences, result.metric)
        parts += [
            "## New users",
            f"{formats.metric_label(result.metric)} over {formats.count(num_new)} users held out of "
            "training, by the first interactions that the model is told; the highest of a column is bold.",
            _table(table),
        ]
    parts += [*_tuning(summary), "## Data", _data(evidence), "## Reproduce", _reproduce(summary)]
    return "\n\n".join(parts) + "\n"


def _differences(summary: Summary) -> Table:
    """The paired differences in four columns."""
    table = tables.difference_table(summary.differences)
    wanted = {"Metric", "Difference", "p, Holm", "Says"}
    kept = [index for index, column in enumerate(table.columns) if column.label in wanted]
    columns = [table.columns[index] for index in kept]
    return Table(table.caption, columns, [[row[index] for index in kept] for row in table.rows])


def _tuning(summary: Summary) -> list[str]:
    if not summary.searches:
        return []
    table = training_tables.search_table(summary.searches)
    return ["## Tuning", *(f"> {_escape(line)}" for line in summary.effort), _table(table)]


def _data(evidence: Evidence) -> str:
    checked = evidence.validation["tables"]
    quarantined = ", ".join(
        f"{formats.count(table['quarantined'])} of {formats.count(table['rows'])} {name}"
        for name, table in checked.items()
    )
    promises = evidence.split["promises"]
    kept = sum(bool(promise["success"]) for promise in promises)
    passed = "passed" if evidence.validation["success"] else "did **not** pass"
    return (
        f"Validation {passed}; in quarantine: {quarantined}. "
        f"Split `{evidence.split['method']}`: {kept} of {len(promises)} promises kept. "
        f"{_escape(evidence.split['weakness'])}"
    )


def _reproduce(summary: Summary) -> str:
    data = summary.provenance.data_hash or "not under version control"
    return f"`make run`, or `dvc repro`. Parameters `{summary.provenance.params_hash[:12]}`, data `{data}`."


def _table(table: Table) -> str:
    rows = [[_escape(column.label) for column in table.columns]]
    rows.append(["---", *["--:"] * (len(table.columns) - 1)])
    rows += [[_cell(cell) for cell in row] for row in table.rows]
    return "\n".join(_row(row) for row in rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = f"**{_escape(cell.text)}**" if cell.strong else _escape(cell.text)
    return f"{text} ({_escape(cell.detail)})" if cell.detail else text


def _escape(text: str) -> str:
    """Characters that Markdown or HTML would take for markup."""
    for character in "\\`*_|[]<>":
        text = text.replace(character, f"\\{character}")
    return text
