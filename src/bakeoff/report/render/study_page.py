"""The page of the study of negative sampling: charts, each with its table."""

from collections.abc import Callable
from math import nan
from typing import Any

import altair as alt
import pandas as pd

from bakeoff.report import formats
from bakeoff.report.models import MF, SOFTMAX, Style, Styles
from bakeoff.report.render.figure import Cell, Column, Figure, Spec, caption, change_cell, estimate_cell, record_table
from bakeoff.report.render.pages import render_page
from bakeoff.report.series_charts import series_dots
from bakeoff.report.study import CORRECTED, NEITHER, OTHER_MODEL, UNCORRECTED, SamplingStudy, both_ways

STYLES = {
    CORRECTED: Style("var(--softmax)", "diamond", size=90),
    UNCORRECTED: Style("var(--mf)", "circle", size=90),
    NEITHER: Style("var(--text)", "square", size=90),
    OTHER_MODEL: Style("var(--muted)", "cross", size=90),
}
UNIFORM, TOP_K = "uniform", "top-k"
"""A sampler that ignores popularity, and a selection for which no correction is exact."""
CLEARLY = 10
"""A sampler is called biased if without the correction the KL divergence is at least this many times as large."""
SMALLEST = 1e-6
"""Smallest figure on a logarithmic axis: anything below is a rounding error."""
TableColumn = tuple[str | Column, Callable[[Any], str | Cell]]


def study_html(shown: SamplingStudy) -> str:
    """The page, complete in itself."""
    figures = {figure.key: figure for figure in study_charts(shown)}
    return render_page("study.html.j2", [MF, SOFTMAX], figures, study=shown)


def study_charts(shown: SamplingStudy) -> list[Figure]:
    """Quality, popularity, folding and the time of a step on the data; convergence on the small catalogue."""
    return [_quality(shown), _lift(shown), _folding(shown), _steps(shown), _convergence(shown)]


def _quality(shown: SamplingStudy) -> Figure:
    """The variant that is ahead, how many differ from the shipped settings, and the effect of the correction."""
    best = shown.trained.sort_values("mean", ascending=False, kind="stable").iloc[0]
    changed, gains = shown.trained[~shown.trained.base], both_ways(shown, "mean")
    metric = formats.metric_label(shown.metric)
    return _figure(
        "quality",
        shown.everyone,
        series_dots(*_marks(shown.everyone, "mean", f"{metric}, mean over users", interval=True)),
        (Column(metric, shown.metric.partition("@")[0].replace("_", "-")), estimate_cell),
        ("SD over seeds", lambda row: formats.decimal(row.spread)),
        (Column("− shipped", "interval"), _change),
        shown=shown,
        best=best,
        changed=changed,
        gains=gains,
    )


def _change(row: Any) -> str | Cell:
    """Difference of a variant to the shipped settings, in bold if its intervals exclude 0."""
    if row.base:
        return "the shipped settings"
    return change_cell(row.difference, row.difference_low, row.difference_high, strong=bool(row.clear))


def _lift(shown: SamplingStudy) -> Figure:
    """The effect of the correction on the popularity of lists, and the popularity of other models' lists."""
    percent = alt.Axis(tickCount=6, format="%")
    return _figure(
        "lift",
        shown.everyone,
        series_dots(*_marks(shown.everyone, "lift", "popularity lift"), x=percent, digits="+.1%"),
        (Column("Popularity lift", "lift"), lambda row: formats.signed_percent(row.lift)),
        (Column("Long-tail share", "long-tail"), lambda row: formats.percent(row.long_tail)),
        (Column("Coverage", "coverage"), lambda row: formats.percent(row.coverage)),
        shown=shown,
        others=shown.others.dropna(subset="lift"),
        gains=both_ways(shown, "lift"),
    )


def _folding(shown: SamplingStudy) -> Figure:
    """The variants that fold most and least, and whether accuracy shows it."""
    return _figure(
        "folding",
        shown.everyone,
        series_dots(*_marks(shown.everyone, "folding", "folding")),
        (Column("Folding", "folding"), lambda row: formats.decimal(row.folding)),
        (Column("Unrelated items in the first 10", "spurious"), lambda row: formats.percent(row.spurious)),
        shown=shown,
        ends=_extremes(shown.trained, "folding"),
    )


def _steps(shown: SamplingStudy) -> Figure:
    """The time of a step, and the false negatives among its candidates."""
    timed = shown.trained.assign(milliseconds=1000 * shown.trained.step_seconds)
    return _figure(
        "steps",
        shown.trained,
        series_dots(*_marks(timed, "milliseconds", "milliseconds"), digits=".1f"),
        ("Time", lambda row: formats.duration(row.step_seconds)),
        (Column("Own items per batch", "mask"), lambda row: formats.decimal(row.batch_false_negatives, 1)),
        ("per query", lambda row: formats.decimal(row.false_negatives, 2)),
        ends=_extremes(shown.trained, "step_seconds"),
        caught=_extremes(shown.trained, "batch_false_negatives"),
    )


def _convergence(shown: SamplingStudy) -> Figure:
    """The distance at the end of training with and without correction; whether even uniform negatives need it.

    The axis is logarithmic, since biased samplers are off by orders of magnitude.
    """
    kl, axis = shown.converged.kl, "KL divergence, nats"
    scale = alt.Scale(type="log", clamp=True, domainMin=max(SMALLEST, kl.min()))
    known = shown.converged.dropna(subset="kl")
    is_top_k = known.pool.str.contains(TOP_K)
    drawn = known[~is_top_k]
    worst = [_extremes(drawn[drawn.series == series], "kl") for series in (CORRECTED, UNCORRECTED)]
    uniform = drawn[drawn.pool == UNIFORM].drop_duplicates("series", keep="last").set_index("series").kl
    corrected, uncorrected = (float(uniform.get(series, nan)) for series in (CORRECTED, UNCORRECTED))
    return _figure(
        "kl",
        shown.converged,
        series_dots(*_marks(shown.converged, "kl", axis), scale=scale, digits=".2~g"),
        (Column("KL, nats", "kl"), lambda row: formats.decimal(row.kl, 5)),
        ("Error of the gradient", lambda row: formats.decimal(row.gradient_error, 3)),
        ("Its cosine", lambda row: formats.decimal(row.gradient_cosine, 4)),
        (Column("KL, exact targets", "kl"), lambda row: formats.decimal(row.exact, 5)),
        worst=[ends[0] for ends in worst if ends],
        reference=shown.converged.reference.dropna(),
        top_k=known[is_top_k],
        corrected=corrected,
        uncorrected=uncorrected,
        is_clear=uncorrected > CLEARLY * corrected,
    )


def _figure(key: str, rows: pd.DataFrame, spec: Spec, *columns: TableColumn, **values: Any) -> Figure:
    """A chart with its table, whose first columns name the pool of negatives and the correction.

    `values` are those of its caption.
    """
    words = caption(key, "study.txt.j2", **values)
    negatives = "Negatives, or model" if OTHER_MODEL in set(rows.series) else "Negatives"
    names: list[TableColumn] = [
        (Column(negatives, "negatives"), lambda row: str(row.pool)),
        (Column("Correction", "logq", prose=True), lambda row: str(row.series)),
    ]
    table = record_table(words[0], rows.itertuples(), *names, *columns)
    return Figure(key, *words, spec, table, open=key == "kl")


def _extremes(rows: pd.DataFrame, column: str) -> tuple[Any, Any] | None:
    """The rows with the highest and the lowest value; None where none has any."""
    known = rows.dropna(subset=column)
    return (known.loc[known[column].idxmax()], known.loc[known[column].idxmin()]) if len(known) else None


def _marks(rows: pd.DataFrame, column: str, axis: str, interval: bool = False) -> tuple[pd.DataFrame, Styles, str]:
    """What `series_dots` draws: a row per pool, a mark per series, with `low` and `high` if asked for, and the axis.

    Rows without a figure are left out.
    """
    known = rows.dropna(subset=column)
    ends = {end: known[end if interval else column] for end in ("low", "high")}
    table = pd.DataFrame({"group": known.pool, "series": known.series, "mean": known[column], **ends})
    styles = {name: style for name, style in STYLES.items() if name in set(rows.series)}
    return table, styles, axis
