"""The same verdict for a pull request: short, and without measured seconds, which differ from run to run."""

from bakeoff.report import formats, gallery, tables, training_tables, verdict
from bakeoff.report import pages as sheets
from bakeoff.report.evidence import Evidence
from bakeoff.report.markdown_tables import code, escape
from bakeoff.report.markdown_tables import table as as_markdown
from bakeoff.report.models import model_label
from bakeoff.report.summary import Summary
from bakeoff.report.tables import Cell, Column, Table
from bakeoff.report.topics.base import wording as words
from bakeoff.report.topics.base.claims import ClaimOutcome

PICTURE = "comparison.svg"
"""File beside the Markdown that it shows."""


def picture(summary: Summary) -> str:
    """The chart that the Markdown shows, as SVG."""
    return sheets.picture(gallery.accuracy(summary).spec, summary.models)


def render(summary: Summary, evidence: Evidence) -> str:
    """The comparison as GitHub-flavoured Markdown."""
    result, accuracy = summary.result, gallery.accuracy(summary)
    parts = [
        f"# MF or softmax DNN? {escape(evidence.dataset['title'])}",
        f"**{verdict.headline(result)}.** {verdict.statement(result)} **{' '.join(summary.recommendation)}**",
        *(f"> {caveat}" for caveat in summary.caveats),
        *(f"> {model_label(name)} was left out. {escape(reason)}" for name, reason in evidence.skipped.items()),
        "## Claims",
        words.overview([words.without_costs(claim) for claim in summary.claims if not words.is_cost(claim)])
        + " Costs differ from run to run: they are judged in the report. Held parts of all parts that are not costs:",
        _claims(summary),
        "## Accuracy",
        f"![{accuracy.title}. {accuracy.alt}]({PICTURE})",
        f"Mean over {formats.count(result.num_users)} warm test users with its "
        f"{formats.level(result.confidence)} interval; the highest of a column is bold.",
        as_markdown(tables.cutoff_table(summary.estimates, summary.cutoff)),
        f"The softmax DNN beside MF on the same users; p is adjusted (Holm) for {len(summary.differences)} "
        "metrics, those of longer lists among them.",
        as_markdown(_differences(summary)),
        "Every model beside the best baseline, which was chosen on the same users.",
        as_markdown(tables.standing_table(summary.standings, result.metric, result.confidence)),
    ]
    if summary.new_users:
        num_new = max(figure.num_users for figure in summary.new_users)
        table = tables.new_user_table(summary.new_users, summary.new_differences, result.metric)
        parts += [
            "## New users",
            f"{formats.metric_label(result.metric)} over {formats.count(num_new)} users held out of "
            "training, by the first interactions that the model is told; the highest of a column is bold.",
            as_markdown(table),
        ]
    parts += [*_tuning(summary), "## Data", _data(evidence), _reproduce(summary)]
    return "\n\n".join(parts) + "\n"


def _claims(summary: Summary) -> str:
    """A row per claim: what the textbook says, and how many of its parts held."""
    rows = []
    for claim in summary.claims:
        without = words.without_costs(claim)
        told = str(without.outcome) if without.parts else "in the report"
        tally = words.tally(without) if without.parts else ""
        strong = without.outcome in {ClaimOutcome.HELD, ClaimOutcome.NOT} and bool(without.parts)
        rows.append([Cell(claim.title), Cell(claim.words), Cell(told, tally, strong=strong)])
    columns = [Column("Claim"), Column("In the textbook's words", prose=True), Column("On this data", prose=True)]
    return as_markdown(Table("Claims", columns, rows))


def _differences(summary: Summary) -> Table:
    """The paired differences at the cutoff of the primary metric, in four columns."""
    shown = [difference for difference in summary.differences if difference.metric.endswith(f"@{summary.cutoff}")]
    table = tables.difference_table(shown)
    wanted = {"Metric", "Difference", "p, Holm", "Says"}
    kept = [index for index, column in enumerate(table.columns) if column.label in wanted]
    columns = [table.columns[index] for index in kept]
    return Table(table.caption, columns, [[row[index] for index in kept] for row in table.rows])


def _tuning(summary: Summary) -> list[str]:
    if not summary.searches:
        return []
    table = training_tables.search_table(summary.searches)
    return ["## Tuning", *(f"> {escape(line)}" for line in summary.effort), as_markdown(table)]


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
        f"Split {code(str(evidence.split['method']))}: {kept} of {len(promises)} promises kept. "
        f"{escape(evidence.split['weakness'])}"
    )


def _reproduce(summary: Summary) -> str:
    data = code(summary.provenance.data_hash or "not under version control")
    return f"Made by `make run`, or `dvc repro`, from parameters `{summary.provenance.params_hash[:12]}`, data {data}."
