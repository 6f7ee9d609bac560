"""The report as two HTML files that need nothing but themselves: the comparison, and the claims with their evidence.

Both in Markdown, too, for Git: without measured seconds, which differ from run to run.
"""

from collections.abc import Mapping
from typing import Any

from bakeoff.experiments.training.validation import SELECTION_METRIC
from bakeoff.report import formats
from bakeoff.report.accuracy import AHEAD
from bakeoff.report.evidence import Evidence
from bakeoff.report.render import gallery, tables
from bakeoff.report.render.figure import Figure
from bakeoff.report.render.pages import render_page, render_text, svg_file
from bakeoff.report.summary import JudgedClaims, Summary
from bakeoff.report.topics.base import claims as words
from bakeoff.report.topics.base.topic import Page, Topic, topics_of
from bakeoff.report.verdict import Result, cost_sentence, verdict_statement


def sections(page: Page) -> list[Topic]:
    """The topics with a section of their own, in the order of the page."""
    return [topic for topic in topics_of(page) if topic.title]


def report_html(summary: Summary, evidence: Evidence) -> str:
    """The comparison."""
    result = summary.result
    return _render(
        Page.REPORT,
        evidence,
        gallery.all_figures(summary),
        statement=verdict_statement(result),
        cost=cost_sentence({each.model: each.cpu_seconds for each in summary.training}),
        ahead="none" if summary.reasons else AHEAD.get(result.verdict, "none"),
        weakest=gallery.weakest_segment(summary.segments, result),
        band=interval_band(result),
        standing=gallery.standings_caption(summary.standings),
        level=formats.level(result.confidence),
        tables=tables,
        summary=summary,
        epochs=gallery.learning_curves_caption(summary.training, SELECTION_METRIC),
    )


def evidence_html(judged: JudgedClaims, evidence: Evidence) -> str:
    """The textbook's claims, and the figures behind them."""
    return _render(
        Page.EVIDENCE,
        evidence,
        judged.figures,
        words=words,
        explorer=judged.explorer,
        summary=judged,
        level=formats.level(judged.confidence),
    )


def _render(page: Page, evidence: Evidence, figures: Mapping[str, Figure], **values: Any) -> str:
    """One of the pages."""
    shown = values | {"sections": sections(page), "evidence": evidence}
    return render_page(f"{page}.j2", evidence.models, figures, **shown)


def interval_band(result: Result) -> Mapping[str, str]:
    """Places of 0, the mean and the interval on the line of the verdict's small picture, in percent."""
    low, high = min(result.low, 0.0), max(result.high, 0.0)
    margin = 0.12 * (high - low) or 1.0
    start, length = low - margin, high - low + 2 * margin

    def place(value: float) -> str:
        return f"{100 * (value - start) / length:.2f}%"

    width = f"{100 * (result.high - result.low) / length:.2f}%"
    return {"zero": place(0), "mean": place(result.difference), "low": place(result.low), "width": width}


PICTURE = "comparison.svg"
"""File next to the Markdown that shows it."""


def comparison_picture(summary: Summary) -> str:
    """The chart that the Markdown shows, as SVG."""
    return svg_file(gallery.accuracy_figure(summary).spec, summary.models)


def comparison_markdown(summary: Summary, evidence: Evidence) -> str:
    """The comparison, short enough for a pull request."""
    at_cutoff = [difference for difference in summary.differences if difference.metric.endswith(f"@{summary.cutoff}")]
    return render_text(
        "comparison.md.j2",
        summary=summary,
        evidence=evidence,
        statement=verdict_statement(summary.result),
        accuracy=gallery.accuracy_figure(summary),
        picture=PICTURE,
        tables=tables,
        differences=tables.difference_table(at_cutoff, brief=True),
    )


def evidence_markdown(judged: JudgedClaims, evidence: Evidence) -> str:
    """The outcome of each claim."""
    claims = [words.without_costs(claim) for claim in judged.claims]
    return render_text("evidence.md.j2", judged=judged, evidence=evidence, claims=claims, words=words)
