"""The comparison, the claims and the model cards in Markdown, for Git: without measured seconds, which vary."""

from collections.abc import Sequence

from bakeoff.report import formats
from bakeoff.report.cards import Card
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import model_label
from bakeoff.report.provenance import Provenance
from bakeoff.report.render import gallery, run_tables, tables
from bakeoff.report.render.figure import Cell, Column, Row, Table, table_of
from bakeoff.report.render.markdown import code, document, escape, markdown_facts, markdown_table
from bakeoff.report.render.pages import svg_file
from bakeoff.report.summary import JudgedClaims, Summary
from bakeoff.report.topics.base import claims as words
from bakeoff.report.topics.base.claims import Claim, ClaimOutcome
from bakeoff.report.verdict import verdict_headline, verdict_statement

PICTURE = "comparison.svg"
"""File next to the Markdown that shows it."""


def comparison_picture(summary: Summary) -> str:
    """The chart that the Markdown shows, as SVG."""
    return svg_file(gallery.accuracy_figure(summary).spec, summary.models)


def comparison_markdown(summary: Summary, evidence: Evidence) -> str:
    """The comparison, short enough for a pull request."""
    result, accuracy = summary.result, gallery.accuracy_figure(summary)
    return document(
        [
            f"# MF or softmax DNN? {escape(evidence.dataset['title'])}",
            f"**{verdict_headline(result)}.** {verdict_statement(result)} **{' '.join(summary.recommendation)}**",
            *(f"> {caveat}" for caveat in summary.caveats),
            *(f"> {model_label(name)} was left out. {escape(reason)}" for name, reason in evidence.skipped.items()),
            "## Accuracy",
            f"![{accuracy.title}. {accuracy.alt}]({PICTURE})",
            f"Mean over {formats.count(result.num_users)} warm test users with its "
            f"{formats.level(result.confidence)} interval; the highest of a column is bold.",
            markdown_table(tables.cutoff_table(summary.estimates, summary.cutoff)),
            "The softmax DNN compared with MF on the same users; p is adjusted (Holm) for all "
            f"{len(summary.differences)} metrics, including those of longer lists.",
            markdown_table(_differences(summary)),
            "Every model compared with the best baseline, which was chosen on the same users.",
            markdown_table(tables.standing_table(summary.standings, result.metric, result.confidence)),
            *_new_users(summary),
            *_tuning(summary),
            "## Data",
            _data(evidence),
            "The textbook's claims are judged by `make evidence`, in `reports/evidence.html` and `evidence.md`.",
            _made(summary.provenance, "make run"),
        ]
    )


def evidence_markdown(judged: JudgedClaims, evidence: Evidence) -> str:
    """The outcome of each claim."""
    claims = [claim for claim in map(words.without_costs, judged.claims) if claim.parts]
    return document(
        [
            f"# The textbook's claims: {escape(evidence.dataset['title'])}",
            f"{words.overview(claims)} Costs differ from run to run and are judged in `reports/evidence.html`. Parts "
            "that held, of all parts that are not costs:",
            markdown_table(_claims(judged.claims)),
            "Every model and every variant was trained once, with one seed: the intervals cover the choice of users, "
            "not the randomness of a training run.",
            _made(judged.provenance, "make evidence"),
        ]
    )


def _made(provenance: Provenance, command: str) -> str:
    return (
        f"Made by `{command}`, or `dvc repro`, from parameters `{provenance.params_hash[:12]}`, data "
        f"{code(provenance.data_hash or 'not under version control')}."
    )


def card_markdown(card: Card) -> str:
    """The card of one model."""
    shown = [table for table in (card.slices, card.new_users, card.lists) if table]
    return document(
        [
            f"# Model card: {escape(card.label)}",
            escape(card.purpose),
            f"In the last comparison: {escape(card.brief)}.",
            "## Data",
            markdown_facts(card.data),
            "## Training",
            markdown_facts(card.training),
            markdown_table(card.settings) if card.settings.rows else "",
            "## Quality",
            f"{card.quality.caption}.",
            markdown_table(card.quality),
            *(part for table in shown for part in (f"{escape(table.caption)}.", markdown_table(table))),
            "## Limits",
            "\n".join(f"- {escape(limit)}" for limit in card.limits),
            "## Cost",
            "The cost of training and answering was measured where the report was made: see `reports/index.html`, "
            "section *Model cards*.",
            "## How to load it",
            f"```python\n{card.load}\n```",
        ]
    )


def _claims(claims: Sequence[Claim]) -> Table:
    """A row per claim: what the textbook says, and how many of its parts held."""
    rows: list[Row] = []
    for claim in claims:
        judged = words.without_costs(claim)
        outcome = Cell("in the report")
        if judged.parts:
            strong = judged.outcome in {ClaimOutcome.HELD, ClaimOutcome.NOT}
            outcome = Cell(str(judged.outcome), words.tally(judged), strong=strong)
        rows.append([claim.title, claim.words, outcome])
    prose = [Column(label, prose=True) for label in ("In the textbook's words", "On this data")]
    return table_of("Claims", ["Claim", *prose], rows)


def _differences(summary: Summary) -> Table:
    """The paired differences at the cutoff of the primary metric, in four columns."""
    shown = [difference for difference in summary.differences if difference.metric.endswith(f"@{summary.cutoff}")]
    table = tables.difference_table(shown)
    kept = [
        place for place, each in enumerate(table.columns) if each.label in {"Metric", "Difference", "p, Holm", "Says"}
    ]
    return Table(table.caption, [table.columns[i] for i in kept], [[row[i] for i in kept] for row in table.rows])


def _new_users(summary: Summary) -> list[str]:
    if not summary.new_users:
        return []
    metric, num_new = summary.result.metric, max(figure.num_users for figure in summary.new_users)
    return [
        "## New users",
        f"{formats.metric_label(metric)} over {formats.count(num_new)} users held out of training, by the number of "
        "first interactions that the model knows; the highest of a column is bold.",
        markdown_table(tables.new_user_table(summary.new_users, summary.new_differences, metric)),
    ]


def _tuning(summary: Summary) -> list[str]:
    if not summary.searches:
        return []
    notes = [f"> {escape(line)}" for line in summary.effort]
    return ["## Tuning", *notes, markdown_table(run_tables.search_table(summary.searches))]


def _data(evidence: Evidence) -> str:
    quarantined = ", ".join(
        f"{formats.count(table['quarantined'])} of {formats.count(table['rows'])} {name}"
        for name, table in evidence.validation["tables"].items()
    )
    promises = evidence.split["promises"]
    kept = sum(bool(promise["success"]) for promise in promises)
    passed = "passed" if evidence.validation["success"] else "did **not** pass"
    return (
        f"Validation {passed}; in quarantine: {quarantined}. "
        f"Split {code(str(evidence.split['method']))}: {kept} of {len(promises)} promises kept. "
        f"{escape(evidence.split['weakness'])}"
    )
