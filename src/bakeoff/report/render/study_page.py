"""The page of the study of negative sampling: charts, each with its table."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import altair as alt
import pandas as pd

from bakeoff.report import formats
from bakeoff.report.glossary import SAMPLERS
from bakeoff.report.models import MF, SOFTMAX
from bakeoff.report.render import study_sentences as sentences
from bakeoff.report.render.chart_parts import NARROW, Spec, layered, present, tooltip
from bakeoff.report.render.figure import Column, Figure, Heading, Row, change_cell, mean_cell, table_of
from bakeoff.report.render.pages import render_page
from bakeoff.report.study import (
    CORRECTED,
    NEITHER,
    OTHER_MODEL,
    UNCORRECTED,
    ConvergedSampler,
    SampledVariant,
    SamplingStudy,
)

TERMS = (
    *("interval", "lift", "long-tail", "coverage", "mask", "validation", "folding", "relatedness", "spurious"),
    *(*SAMPLERS, "logq", "kl"),
)
"""Terms that the page explains, in addition to the primary metric."""
LOOKS = {
    CORRECTED: ("var(--softmax)", "diamond", -6),
    UNCORRECTED: ("var(--mf)", "circle", 6),
    NEITHER: ("var(--text)", "square", 0),
    OTHER_MODEL: ("var(--muted)", "cross", 0),
}
"""Series → colour, shape, and pixels below the middle of its row, since two series share a row."""
ROW_HEIGHT = 38
"""Pixels."""
SMALLEST = 1e-6
"""Smallest figure on a logarithmic axis: anything below is a rounding error."""
NAMES: list[Heading] = [Column("Negatives", "negatives"), Column("Correction", "logq", prose=True)]
NAMES_WITH_MODELS: list[Heading] = [Column("Negatives, or model", "negatives"), NAMES[1]]

R = TypeVar("R", SampledVariant, ConvergedSampler)


def study_html(shown: SamplingStudy) -> str:
    """The page, complete in itself."""
    return render_page(
        "study.html.j2",
        [MF, SOFTMAX],
        [_metric_term(shown), *TERMS],
        [_quality(shown), _lift(shown), _folding(shown), _steps(shown), _convergence(shown)],
        study=shown,
        metric=formats.metric_label(shown.metric),
        findings=[
            ("quality", "Quality.", sentences.quality_caption(shown)),
            ("quality", "Correction.", sentences.correction_caption(shown)),
            ("lift", "Popularity.", sentences.lift_caption(shown)),
            ("folding", "Folding.", sentences.folding_caption(shown)),
            ("steps", "Cost.", sentences.steps_caption(shown)),
            ("kl", "Unbiasedness.", sentences.unbiasedness_caption(shown)),
        ],
    )


def _quality(shown: SamplingStudy) -> Figure:
    metric = formats.metric_label(shown.metric)
    rows: list[Row] = [
        [
            row.pool,
            row.series,
            mean_cell(row.mean, row.low, row.high),
            "the shipped settings"
            if row.base
            else change_cell(*row.difference, strong=row.difference[1] > 0 or row.difference[2] < 0),
        ]
        for row in shown.everyone
    ]
    columns = [*NAMES_WITH_MODELS, Column(metric, _metric_term(shown)), Column("− shipped", "interval")]
    return Figure(
        "quality",
        f"{metric} on validation",
        _alt(shown.others),
        f"{sentences.quality_caption(shown)} {sentences.correction_caption(shown)}",
        _marks(shown.everyone, lambda row: row.mean, f"{metric}, mean over users", interval=True),
        table_of(f"{metric} on validation", columns, rows),
    )


def _lift(shown: SamplingStudy) -> Figure:
    rows = [
        [
            row.pool,
            row.series,
            formats.signed_percent(row.lift),
            formats.percent(row.long_tail),
            formats.percent(row.coverage),
        ]
        for row in shown.everyone
    ]
    columns = [
        Column("Popularity lift", "lift"),
        Column("Long-tail share", "long-tail"),
        Column("Coverage", "coverage"),
    ]
    return Figure(
        "lift",
        f"Popularity lift of lists of {shown.cutoff}",
        _alt(shown.others),
        sentences.lift_caption(shown),
        _marks(shown.everyone, lambda row: row.lift, "popularity lift", ticks="%", exact="+.1%"),
        table_of(f"Lists of {shown.cutoff}", [*NAMES_WITH_MODELS, *columns], rows),
    )


def _folding(shown: SamplingStudy) -> Figure:
    rows = [
        [row.pool, row.series, formats.decimal(row.folding), formats.percent(row.spurious)] for row in shown.everyone
    ]
    columns = [Column("Folding", "folding"), Column("Unrelated items in the first 10", "spurious")]
    return Figure(
        "folding",
        "Folding",
        _alt(shown.others),
        sentences.folding_caption(shown),
        _marks(shown.everyone, lambda row: row.folding, "folding"),
        table_of("Folding", [*NAMES_WITH_MODELS, *columns], rows),
    )


def _steps(shown: SamplingStudy) -> Figure:
    rows = [
        [
            row.pool,
            row.series,
            sentences.milliseconds(row.step_seconds),
            formats.decimal(row.batch_false_negatives, 1),
            formats.decimal(row.false_negatives, 2),
        ]
        for row in shown.trained
    ]
    return Figure(
        "steps",
        "Time of a training step",
        _alt(),
        sentences.steps_caption(shown),
        _marks(shown.trained, lambda row: 1000 * row.step_seconds, "milliseconds", exact=".1f"),
        table_of("A training step", [*NAMES, "Time", Column("Own items per batch", "mask"), "per query"], rows),
    )


def _convergence(shown: SamplingStudy) -> Figure:
    """The axis is logarithmic, since biased samplers are off by orders of magnitude."""
    rows = [
        [
            row.pool,
            row.series,
            formats.decimal(row.kl, 5),
            formats.decimal(row.gradient_error, 3),
            formats.decimal(row.gradient_cosine, 4),
            formats.decimal(row.exact, 5),
        ]
        for row in shown.converged
    ]
    columns: list[Heading] = [
        Column("KL, nats", "kl"),
        "Error of the gradient",
        "Its cosine",
        Column("KL, exact targets", "kl"),
    ]
    axis = "KL divergence from the true distribution, nats"
    return Figure(
        "kl",
        "Where training against samples ends",
        _alt(),
        sentences.unbiasedness_caption(shown),
        _marks(shown.converged, lambda row: row.kl, axis, logarithmic=True, exact=".2~g"),
        table_of("Samplers on a small catalogue", [*NAMES, *columns], rows),
        open=True,
    )


def _alt(others: Sequence[SampledVariant] = ()) -> str:
    words = "Dot chart: a row per pool of negatives, a mark with and one without correction"
    return f"{words}; below, a row per other model." if others else f"{words}."


def _marks(
    rows: Sequence[R],
    figure: Callable[[R], float],
    axis: str,
    *,
    interval: bool = False,
    logarithmic: bool = False,
    ticks: str | None = None,
    exact: str = ".4f",
) -> Spec:
    """A row per pool, a mark per series, with its interval if asked for.

    Args:
        rows: variants or samplers; those whose figure is NaN are left out.
        figure: what is drawn.
        axis: its name.
        interval: whether to draw `low` and `high` too.
        logarithmic: the scale of the axis; figures are drawn as SMALLEST or more.
        ticks: format of the axis.
        exact: format of a figure in tooltips.
    """
    drawn = [row for row in rows if not math.isnan(figure(row))]
    values = [[row.pool, row.series, LOOKS[row.series][2], figure(row)] for row in drawn]
    table = pd.DataFrame(values, columns=["pool", "series", "offset", "value"])
    for end in ("low", "high"):
        table[end] = [getattr(row, end) for row in drawn] if interval else table.value
    table[["place", "from", "to"]] = table[["value", "low", "high"]].clip(lower=SMALLEST if logarithmic else None)
    pools, series = present(table.pool), [name for name in LOOKS if name in set(table.series)]
    scale = alt.Scale(type="log") if logarithmic else alt.Scale(zero=True)
    colors, shapes = (alt.Scale(domain=series, range=[LOOKS[name][part] for name in series]) for part in (0, 1))
    legend = alt.Legend(title=None, labelLimit=200, columns={"expr": f"width < {NARROW} ? 1 : {len(series)}"})
    base = alt.Chart().encode(
        y=alt.Y(
            "pool:N",
            sort=pools,
            title=None,
            scale=alt.Scale(type="point", padding=0.5),
            axis=alt.Axis(grid=True, ticks=False, labelLimit=180),
        ),
        yOffset=alt.YOffset("offset:Q", scale=None),
        color=alt.Color("series:N", scale=colors, legend=legend),
        tooltip=tooltip("pool", "series", **dict.fromkeys(["value", "low", "high"] if interval else ["value"], exact)),
    )
    x = alt.Axis(tickCount=6, format=ticks) if ticks else alt.Axis(tickCount=6)
    rule = base.mark_rule(strokeWidth=2).encode(x=alt.X("from:Q", title=axis, axis=x, scale=scale), x2="to:Q")
    point = base.mark_point(filled=True, opacity=1, size=90).encode(
        x=alt.X("place:Q", scale=scale), shape=alt.Shape("series:N", scale=shapes, legend=legend)
    )
    return layered(table, [rule, point], height=ROW_HEIGHT * len(pools))


def _metric_term(shown: SamplingStudy) -> str:
    """The primary metric in the glossary."""
    return shown.metric.partition("@")[0].replace("_", "-")
