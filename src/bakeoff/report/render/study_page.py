"""The page of the study of negative sampling: charts, each with its table."""

from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd

from bakeoff.report import formats, study
from bakeoff.report.models import MF, SOFTMAX, Style, Styles
from bakeoff.report.render.figure import Cell, Column, Figure, Spec, change_cell, estimate_cell, record_table
from bakeoff.report.render.pages import render_page
from bakeoff.report.series_charts import series_dots
from bakeoff.report.study import CORRECTED, NEITHER, OTHER_MODEL, UNCORRECTED, SamplingStudy

TERMS = (
    *("interval", "lift", "long-tail", "coverage", "mask", "validation", "folding", "relatedness", "spurious"),
    *("negatives", "in-batch", "uniform", "popularity-sampler", "log-uniform", "mixed", "hard", "top-k", "logq", "kl"),
)
"""Terms that the page explains, in addition to the primary metric."""
STYLES = {
    CORRECTED: Style("var(--softmax)", "diamond", size=90),
    UNCORRECTED: Style("var(--mf)", "circle", size=90),
    NEITHER: Style("var(--text)", "square", size=90),
    OTHER_MODEL: Style("var(--muted)", "cross", size=90),
}
SMALLEST = 1e-6
"""Smallest figure on a logarithmic axis: anything below is a rounding error."""
DOTS = "Dot chart: a row per pool of negatives, a mark with and one without correction"

TableColumn = tuple[str | Column, Callable[[Any], str | Cell]]


def study_html(shown: SamplingStudy) -> str:
    """The page, complete in itself."""
    return render_page(
        "study.html.j2",
        [MF, SOFTMAX],
        [_metric_term(shown), *TERMS],
        [_quality(shown), _lift(shown), _folding(shown), _steps(shown), _convergence(shown)],
        study=shown,
    )


def _quality(shown: SamplingStudy) -> Figure:
    metric = formats.metric_label(shown.metric)
    return _figure(
        shown.everyone,
        "quality",
        f"{metric} on validation",
        f"{study.quality_caption(shown)} {study.correction_caption(shown)}",
        series_dots(*_marks(shown.everyone, "mean", f"{metric}, mean over users", interval=True)),
        (Column(metric, _metric_term(shown)), estimate_cell),
        ("± over seeds", lambda row: formats.decimal(row.spread)),
        (Column("− shipped", "interval"), _change),
    )


def _change(row: Any) -> str | Cell:
    """Difference of a variant to the shipped settings, in bold if its intervals exclude 0."""
    if row.base:
        return "the shipped settings"
    return change_cell(row.difference, row.difference_low, row.difference_high, strong=bool(row.clear))


def _lift(shown: SamplingStudy) -> Figure:
    percent = alt.Axis(tickCount=6, format="%")
    return _figure(
        shown.everyone,
        "lift",
        f"Popularity lift of lists of {shown.cutoff}",
        study.lift_caption(shown),
        series_dots(*_marks(shown.everyone, "lift", "popularity lift"), x=percent, digits="+.1%"),
        (Column("Popularity lift", "lift"), lambda row: formats.signed_percent(row.lift)),
        (Column("Long-tail share", "long-tail"), lambda row: formats.percent(row.long_tail)),
        (Column("Coverage", "coverage"), lambda row: formats.percent(row.coverage)),
    )


def _folding(shown: SamplingStudy) -> Figure:
    return _figure(
        shown.everyone,
        "folding",
        "Folding",
        study.folding_caption(shown),
        series_dots(*_marks(shown.everyone, "folding", "folding")),
        (Column("Folding", "folding"), lambda row: formats.decimal(row.folding)),
        (Column("Unrelated items in the first 10", "spurious"), lambda row: formats.percent(row.spurious)),
    )


def _steps(shown: SamplingStudy) -> Figure:
    timed = shown.trained.assign(milliseconds=1000 * shown.trained.step_seconds)
    return _figure(
        shown.trained,
        "steps",
        "Time of a training step",
        study.steps_caption(shown),
        series_dots(*_marks(timed, "milliseconds", "milliseconds"), digits=".1f"),
        ("Time", lambda row: formats.duration(row.step_seconds)),
        (Column("Own items per batch", "mask"), lambda row: formats.decimal(row.batch_false_negatives, 1)),
        ("per query", lambda row: formats.decimal(row.false_negatives, 2)),
    )


def _convergence(shown: SamplingStudy) -> Figure:
    """The axis is logarithmic, since biased samplers are off by orders of magnitude."""
    kl, axis = shown.converged.kl, "KL divergence from the true distribution, nats"
    scale = alt.Scale(type="log", clamp=True, domainMin=max(kl.min(), SMALLEST))
    return _figure(
        shown.converged,
        "kl",
        "Where training against samples ends",
        study.unbiasedness_caption(shown),
        series_dots(*_marks(shown.converged, "kl", axis), scale=scale, digits=".2~g"),
        (Column("KL, nats", "kl"), lambda row: formats.decimal(row.kl, 5)),
        ("Error of the gradient", lambda row: formats.decimal(row.gradient_error, 3)),
        ("Its cosine", lambda row: formats.decimal(row.gradient_cosine, 4)),
        (Column("KL, exact targets", "kl"), lambda row: formats.decimal(row.exact, 5)),
    )


def _figure(rows: pd.DataFrame, key: str, title: str, sentence: str, spec: Spec, *columns: TableColumn) -> Figure:
    """A chart with its table, whose first columns name the pool of negatives and the correction."""
    has_others = OTHER_MODEL in set(rows.series)
    names: list[TableColumn] = [
        (Column("Negatives, or model" if has_others else "Negatives", "negatives"), lambda row: str(row.pool)),
        (Column("Correction", "logq", prose=True), lambda row: str(row.series)),
    ]
    alternative = f"{DOTS}; below, a row per other model." if has_others else f"{DOTS}."
    table = record_table(title, rows.itertuples(), *names, *columns)
    return Figure(key, title, alternative, sentence, spec, table, open=key == "kl")


def _marks(rows: pd.DataFrame, column: str, axis: str, interval: bool = False) -> tuple[pd.DataFrame, Styles, str]:
    """What `series_dots` draws: a row per pool, a mark per series, with `low` and `high` if asked for, and the axis.

    Rows without a figure are left out.
    """
    known = rows.dropna(subset=column)
    ends = {end: known[end if interval else column] for end in ("low", "high")}
    table = pd.DataFrame({"group": known.pool, "series": known.series, "mean": known[column], **ends})
    styles = {name: style for name, style in STYLES.items() if name in set(rows.series)}
    return table, styles, axis


def _metric_term(shown: SamplingStudy) -> str:
    """The primary metric in the glossary."""
    return shown.metric.partition("@")[0].replace("_", "-")
