"""What all charts share: tooltips, colours, text and grid."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from altair.utils.schemapi import disable_debug_mode

disable_debug_mode()
# Altair would validate each part of a chart against a schema, which is slow; tests draw every chart in a browser.

Spec = dict[str, Any]

FONT = "system-ui, sans-serif"
FEW_TICKS = alt.Axis(tickCount=6)
NARROW = 520
"""Below this width in pixels a legend takes several rows."""
ROW_HEIGHT = 28
"""Pixels for a row of `interval_chart`."""


def present(names: Iterable[str]) -> list[str]:
    """Each name once, in the order of the report."""
    return list(dict.fromkeys(names))


def tooltip(*names: str, **formats: str) -> list[alt.Tooltip]:
    """Columns as text, then figures with their formats."""
    texts = [alt.Tooltip(f"{name}:N") for name in names]
    return texts + [alt.Tooltip(f"{name}:Q", format=form) for name, form in formats.items()]


def fixed_colors(column: str, colors: Mapping[str, str]) -> alt.Color:
    """Colour by a column, without a legend.

    Args:
        column: its name.
        colors: value → CSS colour.
    """
    return alt.Color(f"{column}:N", scale=alt.Scale(domain=[*colors], range=[*colors.values()]), legend=None)


def interval_chart(table: pd.DataFrame, row: str, axis: str, color: alt.Color, **formats: str) -> Spec:
    """Differences with their intervals around a dashed line at 0, one per row.

    Args:
        table: mean, low, high, the column `row`, and what `color` and `formats` name.
        row: column whose values, in order, label the rows.
        axis: which side of 0 means what.
        color: of the marks.
        formats: further columns of the tooltip with their formats.
    """
    digits = dict.fromkeys(("mean", "low", "high"), "+.4f")
    base = alt.Chart().encode(
        y=alt.Y(f"{row}:N", sort=present(table[row]), title=None, axis=alt.Axis(grid=False, ticks=False)),
        color=color,
        tooltip=tooltip(row, **digits, **formats),
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).encode(x="zero:Q")
    line = zero.mark_rule(strokeDash=[4, 3], stroke="var(--muted)", strokeWidth=1.5)
    low = alt.X("low:Q", title=axis, axis=FEW_TICKS, scale=alt.Scale(padding=8))
    interval = base.mark_rule(strokeWidth=3).encode(x=low, x2="high:Q")
    point = base.mark_point(filled=True, size=70, opacity=1).encode(x="mean:Q")
    return layered(table, [line, interval, point], height=ROW_HEIGHT * len(table))


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
