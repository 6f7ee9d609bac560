"""The page of the study of negative sampling: charts, each with its table."""

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import pandas as pd

from bakeoff.report import formats
from bakeoff.report.glossary import SAMPLERS
from bakeoff.report.models import MF, SOFTMAX
from bakeoff.report.render import pages as sheets
from bakeoff.report.render import study_sentences
from bakeoff.report.render.chart_parts import FEW_TICKS, NARROW, Spec, layered, present, tooltip
from bakeoff.report.render.figure import Figure
from bakeoff.report.render.tables import Cell, Column, Table
from bakeoff.report.study import BESIDE, CORRECTED, NEITHER, UNCORRECTED, Converged, Study, Trained

TERMS = (
    *("interval", "lift", "long-tail", "coverage", "mask", "validation", "folding", "relatedness", "spurious"),
    *(*SAMPLERS, "logq", "kl"),
)
"""Beside the primary metric."""
LOOKS = {
    CORRECTED: ("var(--softmax)", "diamond", -6),
    UNCORRECTED: ("var(--mf)", "circle", 6),
    NEITHER: ("var(--text)", "square", 0),
    BESIDE: ("var(--muted)", "cross", 0),
}
"""Series → colour, shape, and pixels below the middle of its row, which two series share."""
ROW_HEIGHT = 38
"""Pixels."""
LOGARITHMIC = alt.Scale(type="log")
LINEAR = alt.Scale(zero=True)
SMALLEST = 1e-6
"""What the logarithmic axis shows of figures below: they are rounding errors."""


def html(shown: Study) -> str:
    """The page, complete in itself."""
    return sheets.render(
        "study.html.j2",
        [MF, SOFTMAX],
        [_term(shown), *TERMS],
        study=shown,
        metric=formats.metric_label(shown.metric),
        findings=[
            ("quality", "Quality.", study_sentences.quality(shown)),
            ("quality", "Correction.", study_sentences.correction(shown)),
            ("lift", "Popularity.", study_sentences.lift(shown)),
            ("folding", "Folding.", study_sentences.folding(shown)),
            ("steps", "Cost.", study_sentences.steps(shown)),
            ("kl", "Unbiasedness.", study_sentences.unbiasedness(shown)),
        ],
        figures=[*_of_training(shown), _of_convergence(shown)],
    )


def _of_training(shown: Study) -> list[Figure]:
    metric = formats.metric_label(shown.metric)
    return [
        _figure(
            "quality",
            f"{metric} on validation",
            f"{study_sentences.quality(shown)} {study_sentences.correction(shown)}",
            _marks(_frame(shown.everyone, lambda row: row.mean, True), f"{metric}, mean over users"),
            _quality_table(shown),
            beside=bool(shown.beside),
        ),
        _figure(
            "lift",
            f"Popularity lift of lists of {shown.cutoff}",
            study_sentences.lift(shown),
            _marks(_frame(shown.everyone, lambda row: row.lift), "popularity lift", form="%", exact="+.1%"),
            _list_table(shown),
            beside=bool(shown.beside),
        ),
        _figure(
            "folding",
            "Folding",
            study_sentences.folding(shown),
            _marks(_frame(shown.everyone, lambda row: row.folding), "folding"),
            _folding_table(shown),
            beside=bool(shown.beside),
        ),
        _figure(
            "steps",
            "Time of a training step",
            study_sentences.steps(shown),
            _marks(_frame(shown.trained, lambda row: 1000 * row.step_seconds), "milliseconds", exact=".1f"),
            _step_table(shown),
        ),
    ]


def _of_convergence(shown: Study) -> Figure:
    """Of the unbiasedness test. A logarithmic axis: what is biased is so by orders of magnitude."""
    rows = shown.converged
    return _figure(
        "kl",
        "Where training against samples ends",
        study_sentences.unbiasedness(shown),
        _marks(
            _frame(rows, lambda row: row.kl),
            "KL divergence from the true distribution, nats",
            LOGARITHMIC,
            exact=".2~g",
        ),
        _convergence_table(rows),
        is_open=True,
    )


def _figure(
    key: str, title: str, sentence: str, spec: Spec, table: Table, beside: bool = False, is_open: bool = False
) -> Figure:
    words = "Dot chart: a row per pool of negatives, a mark with and one without correction"
    words += "; below, a row per other model." if beside else "."
    return Figure(key, title, words, sentence, spec, table, is_open)


def _frame(rows: Sequence[Any], figure: Callable[[Any], float], interval: bool = False) -> pd.DataFrame:
    """Pool, series, value, low, high; rows without the figure are left out."""
    table = pd.DataFrame(
        [
            (row.pool, row.series, figure(row), *((row.low, row.high) if interval else (figure(row), figure(row))))
            for row in rows
        ],
        columns=["pool", "series", "value", "low", "high"],
    )
    return table.dropna(subset="value")


def _marks(
    table: pd.DataFrame, axis: str, scale: alt.Scale = LINEAR, form: str | None = None, exact: str = ".4f"
) -> Spec:
    """A row per pool, a mark per series, with its interval where there is one; formats of the axis and of a mark."""
    pools, series = present(table.pool), [name for name in LOOKS if name in set(table.series)]
    look = {"domain": series, "range": [LOOKS[name][0] for name in series]}
    shapes = {"domain": series, "range": [LOOKS[name][1] for name in series]}
    legend = alt.Legend(title=None, labelLimit=200, columns={"expr": f"width < {NARROW} ? 1 : {len(series)}"})
    ticks = FEW_TICKS if form is None else alt.Axis(tickCount=6, format=form)
    shown = ["value", "low", "high"] if (table.low < table.high).any() else ["value"]
    rows = alt.Axis(grid=True, ticks=False, labelLimit=180)
    base = alt.Chart().encode(
        y=alt.Y("pool:N", sort=pools, title=None, scale=alt.Scale(type="point", padding=0.5), axis=rows),
        yOffset=alt.YOffset("offset:Q", scale=None),
        color=alt.Color("series:N", scale=alt.Scale(**look), legend=legend),
        tooltip=tooltip("pool", "series", **dict.fromkeys(shown, exact)),
    )
    rule = base.mark_rule(strokeWidth=2).encode(x=alt.X("from:Q", title=axis, axis=ticks, scale=scale), x2="to:Q")
    point = base.mark_point(filled=True, opacity=1, size=90).encode(
        x=alt.X("place:Q", scale=scale), shape=alt.Shape("series:N", scale=alt.Scale(**shapes), legend=legend)
    )
    drawn = table[["value", "low", "high"]]
    if scale is LOGARITHMIC:
        drawn = drawn.clip(lower=SMALLEST)
    placed = table.assign(offset=table.series.map(lambda name: LOOKS[name][2]))
    placed[["place", "from", "to"]] = drawn
    return layered(placed, [rule, point], height=ROW_HEIGHT * len(pools))


def _quality_table(shown: Study) -> Table:
    metric = formats.metric_label(shown.metric)
    rows = [
        [
            *_name(row),
            Cell(formats.decimal(row.mean), f"{formats.decimal(row.low)} to {formats.decimal(row.high)}"),
            Cell("the shipped settings")
            if row.base
            else Cell(
                formats.signed(row.difference[0]),
                f"{formats.signed(row.difference[1])} to {formats.signed(row.difference[2])}",
                strong=row.difference[1] > 0 or row.difference[2] < 0,
            ),
        ]
        for row in shown.everyone
    ]
    return Table(
        f"{metric} on validation", [*_names(True), Column(metric, _term(shown)), Column("− shipped", "interval")], rows
    )


def _list_table(shown: Study) -> Table:
    rows = [
        [
            *_name(row),
            Cell(formats.signed_percent(row.lift)),
            Cell(formats.percent(row.long_tail)),
            Cell(formats.percent(row.coverage)),
        ]
        for row in shown.everyone
    ]
    columns = [*_names(True), Column("Popularity lift", "lift"), Column("Long-tail share", "long-tail")]
    return Table(f"Lists of {shown.cutoff}", [*columns, Column("Coverage", "coverage")], rows)


def _folding_table(shown: Study) -> Table:
    rows = [
        [*_name(row), Cell(formats.decimal(row.folding)), Cell(formats.percent(row.spurious))] for row in shown.everyone
    ]
    columns = [Column("Folding", "folding"), Column("Unrelated items in the first 10", "spurious")]
    return Table("Folding", [*_names(True), *columns], rows)


def _step_table(shown: Study) -> Table:
    rows = [
        [
            *_name(row),
            Cell(study_sentences.milliseconds(row.step_seconds)),
            Cell(formats.decimal(row.batch_false_negatives, 1)),
            Cell(formats.decimal(row.false_negatives, 2)),
        ]
        for row in shown.trained
    ]
    caught = [Column("Own items per batch", "mask"), Column("per query")]
    return Table("A training step", [*_names(), Column("Time"), *caught], rows)


def _convergence_table(rows: Sequence[Converged]) -> Table:
    shown = [
        [
            Cell(row.pool),
            Cell(row.series),
            Cell(formats.decimal(row.kl, 5)),
            Cell(formats.decimal(row.gradient_error, 3)),
            Cell(formats.decimal(row.gradient_cosine, 4)),
            Cell(formats.decimal(row.exact, 5)),
        ]
        for row in rows
    ]
    columns = [*_names(), Column("KL, nats", "kl"), Column("Error of the gradient"), Column("Its cosine")]
    return Table("Samplers on a small catalogue", [*columns, Column("KL, exact targets", "kl")], shown)


def _name(row: Trained) -> list[Cell]:
    return [Cell(row.pool), Cell(row.series)]


def _names(beside: bool = False) -> list[Column]:
    return [
        Column("Negatives, or model" if beside else "Negatives", "negatives"),
        Column("Correction", "logq", prose=True),
    ]


def _term(shown: Study) -> str:
    """The primary metric in the glossary."""
    return shown.metric.partition("@")[0].replace("_", "-")
