"""The comparison and the model cards in Markdown, for Git: without measured seconds, which differ from run to run."""

from collections.abc import Sequence

from bakeoff.report import formats
from bakeoff.report.cards import Card
from bakeoff.report.evidence import Evidence
from bakeoff.report.render import gallery, tables
from bakeoff.report.render.figure import Cell, Column, Row, Table, table_of
from bakeoff.report.render.pages import render_text, svg_file
from bakeoff.report.summary import JudgedClaims, Summary
from bakeoff.report.topics.base import claims as words
from bakeoff.report.topics.base.claims import Claim, ClaimOutcome
from bakeoff.report.verdict import verdict_statement

PICTURE = "comparison.svg"
"""File next to the Markdown that shows it."""


def comparison_picture(summary: Summary) -> str:
    """The chart that the Markdown shows, as SVG."""
    return svg_file(gallery.accuracy_figure(summary).spec, summary.models)


def comparison_markdown(summary: Summary, evidence: Evidence) -> str:
    """The comparison, short enough for a pull request."""
    result = summary.result
    at_cutoff = [difference for difference in summary.differences if difference.metric.endswith(f"@{summary.cutoff}")]
    return render_text(
        "comparison.md.j2",
        summary=summary,
        evidence=evidence,
        statement=verdict_statement(result),
        level=formats.level(result.confidence),
        metric=formats.metric_label(result.metric),
        accuracy=gallery.accuracy_figure(summary),
        picture=PICTURE,
        means=tables.cutoff_table(summary.estimates, summary.cutoff),
        differences=tables.difference_table(at_cutoff, brief=True),
        standings=tables.standing_table(summary.standings, result.metric, result.confidence),
        new_users=tables.new_user_table(summary.new_users, summary.new_differences, result.metric),
        searches=tables.search_table(summary.searches),
    )


def evidence_markdown(judged: JudgedClaims, evidence: Evidence) -> str:
    """The outcome of each claim."""
    claims = [claim for claim in map(words.without_costs, judged.claims) if claim.parts]
    return render_text(
        "evidence.md.j2",
        judged=judged,
        evidence=evidence,
        overview=words.overview(claims),
        claims=_claims(judged.claims),
    )


def card_markdown(card: Card) -> str:
    """The card of one model."""
    return render_text("card.md.j2", card=card)


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
