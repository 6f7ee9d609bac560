"""What all charts share: the look of the models, tooltips, text and grid colours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from altair.utils.schemapi import disable_debug_mode

from bakeoff.report.exposure import WATCHED
from bakeoff.report.models import drawing_order, look, model_label

disable_debug_mode()
# Altair would validate each part of a chart against a schema, which is slow; tests draw every chart in a browser.

Spec = dict[str, Any]

FONT = "system-ui, sans-serif"
FEW_TICKS = alt.Axis(tickCount=6)
WHOLE_NUMBERS = alt.Axis(tickMinStep=1, format="d")
NARROW = 520
"""Below this width in pixels a legend takes several rows."""
ROW_HEIGHT = 28
"""Pixels for a row of `intervals`."""

SIZE = alt.Size("size:Q", scale=None, legend=None)
"""Area of the mark as `named` gives it: contenders are larger."""
WIDTH = alt.StrokeWidth("width:Q", scale=None, legend=None)
"""Width of the line, likewise."""


def named(table: pd.DataFrame, enlarged: float = 1.0) -> pd.DataFrame:
    """Rows with the models' labels, contenders last, and their marks' `size` (times `enlarged`) and `width`."""
    order = drawing_order(present(table.model))
    return table.sort_values("model", key=lambda names: names.map(order.index), kind="stable").assign(
        size=lambda frame: frame.model.map(lambda name: look(name).size * enlarged),
        width=lambda frame: frame.model.map(lambda name: look(name).width),
        model=lambda frame: frame.model.map(model_label),
    )


def present(names: Iterable[str]) -> list[str]:
    """Each name once, in the order of the report."""
    return list(dict.fromkeys(names))


def labels(names: Iterable[str]) -> list[str]:
    """Labels of the models, each once, in the order of the report."""
    return [model_label(name) for name in present(names)]


def color(names: pd.Series) -> alt.Color:
    """Colour by model, a CSS variable, with the legend of all models."""
    values = {name: "var(--text)" if name == WATCHED else f"var(--{name})" for name in names}
    return alt.Color("model:N", scale=_scale(names, values), legend=_legend(names))


def shape(names: pd.Series) -> alt.Shape:
    """Shape of the mark by model."""
    values = {name: "triangle-up" if name == WATCHED else look(name).shape for name in names}
    return alt.Shape("model:N", scale=_scale(names, values), legend=_legend(names))


def model_lines(base: alt.Chart, names: pd.Series, **mark: Any) -> list[alt.Chart]:
    """A line per model, of its width and pattern, contenders on top.

    A layer each: a scale of patterns would make the legend draw its symbols dashed, too.
    """
    return [
        base.transform_filter(alt.datum.model == model_label(name)).mark_line(
            strokeWidth=look(name).width, strokeDash=[4, 4] if name == WATCHED else look(name).dash, **mark
        )
        for name in drawing_order(present(names))
    ]


def tooltip(*names: str, **formats: str | None) -> list[alt.Tooltip]:
    """Columns as text, then figures with their formats."""
    plain = [alt.Tooltip(f"{name}:N") for name in names]
    return plain + [
        alt.Tooltip(f"{name}:Q", format=form) if form else alt.Tooltip(f"{name}:N") for name, form in formats.items()
    ]


def zero_line(at: float = 0.0) -> alt.Chart:
    """A dashed vertical line."""
    rule = alt.Chart(pd.DataFrame({"zero": [at]})).mark_rule(strokeDash=[4, 3], stroke="var(--muted)", strokeWidth=1.5)
    return rule.encode(x="zero:Q")


def interval_chart(table: pd.DataFrame, row: str, axis: str, hue: alt.Color, **formats: str) -> Spec:
    """Differences with their intervals around a line at 0, one per row.

    Args:
        table: mean, low, high, the column `row`, and what `hue` and `formats` name.
        row: column whose values, in order, label the rows.
        axis: which side of 0 means what.
        hue: colour of the marks.
        formats: further columns of the tooltip with their formats.
    """
    digits = dict.fromkeys(("mean", "low", "high"), "+.4f")
    base = alt.Chart().encode(
        y=alt.Y(f"{row}:N", sort=present(table[row]), title=None, axis=alt.Axis(grid=False, ticks=False)),
        color=hue,
        tooltip=tooltip(row, **digits, **formats),
    )
    low = alt.X("low:Q", title=axis, axis=FEW_TICKS, scale=alt.Scale(padding=8))
    interval = base.mark_rule(strokeWidth=3).encode(x=low, x2="high:Q")
    point = base.mark_point(filled=True, size=70, opacity=1).encode(x="mean:Q")
    return layered(table, [zero_line(), interval, point], height=ROW_HEIGHT * len(table))


def finish(chart: alt.Chart, height: int) -> Spec:
    """A chart as wide as the page, in its text and grid colours."""
    return to_spec(chart.properties(**_frame(height)))


def layered(table: pd.DataFrame, layers: Sequence[alt.Chart], height: int) -> Spec:
    """Like `finish`, for layers of which the first is the lowest.

    Args:
        table: the data of layers that have none of their own; one table, since Altair copies and compares each.
        layers: at least one.
        height: in pixels.
    """
    return to_spec(alt.layer(*layers, data=table, **_frame(height)))


def chart_config(**more: Any) -> alt.Config:
    """Font, text and grid colours of all charts."""
    quiet = {"labelColor": "var(--text)", "titleColor": "var(--muted)", "gridColor": "var(--grid)"}
    line = {"domainColor": "var(--grid)", "tickColor": "var(--grid)", "titleFontWeight": "normal"}
    return alt.Config(
        font=FONT,
        aria=False,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(labelFontSize=12, titleFontSize=12, titlePadding=8, labelLimit=140, **quiet, **line),
        legend=alt.LegendConfig(
            orient="top", direction="horizontal", labelColor="var(--text)", labelFontSize=12, symbolSize=70
        ),
        **more,
    )


def to_spec(chart: Any) -> Spec:
    """The specification of a chart, without the address of its schema."""
    spec: Spec = chart.to_dict(validate=False)
    spec.pop("$schema", None)
    return spec


def _frame(height: int) -> dict[str, Any]:
    """Properties of a whole chart; all at once, since each method of Altair copies the chart."""
    return {"width": "container", "height": height, "background": "transparent", "config": chart_config()}


def _scale(names: Iterable[str], values: Mapping[str, Any]) -> alt.Scale:
    shown = present(names)
    return alt.Scale(domain=labels(shown), range=[values[name] for name in shown])


def _legend(names: Iterable[str]) -> alt.Legend:
    count = len(present(names))
    columns = {"expr": f"width < {NARROW} ? 2 : {count}"}
    return alt.Legend(title=None, columns=columns)
