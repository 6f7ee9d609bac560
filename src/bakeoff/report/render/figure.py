"""Tables of text, charts with all that the page shows with them, and what all charts share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import altair as alt
import pandas as pd
from altair.utils.schemapi import disable_debug_mode

from bakeoff.report import formats

disable_debug_mode()
# Altair would validate each part of a chart against a schema, which is slow; tests draw every chart in a browser.

Spec = dict[str, Any]

CAPTIONS = "captions.txt.j2"
"""Template with a macro per chart."""
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


@dataclass(frozen=True)
class Cell:
    """Text of a cell; `detail` is smaller (in Markdown: in brackets), `strong` is bold."""

    text: str
    detail: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Column:
    """Heading of a column: `term` is its anchor in the glossary, `prose` says that it holds text and no figures."""

    label: str
    term: str = ""
    prose: bool = False


@dataclass(frozen=True)
class Table:
    """A caption, headings and rows; the first cell of a row is its heading."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


Heading = str | Column
Row = Sequence[str | Cell]
R = TypeVar("R")


@dataclass(frozen=True)
class Picture:
    """A chart with its texts.

    Attributes:
        key: unique on the page; part of element ids.
        title: what is drawn.
        alt: the kind of chart, for people who can't see it.
        sentence: what to see in it.
        spec: Vega-Lite specification.
    """

    key: str
    title: str
    alt: str
    sentence: str
    spec: Spec


@dataclass(frozen=True)
class Figure(Picture):
    """One chart, whose specification is empty if it is several small ones side by side.

    Attributes:
        table: the same figures as text.
        open: whether the table is visible below the chart.
        folded: whether chart and table are in a closed fold under the title.
        section: anchor of the section that shows it; empty if the section's template names the figure.
        panels: label → specification of a small chart.
    """

    table: Table
    open: bool = False
    folded: bool = False
    section: str = ""
    panels: Mapping[str, Spec] = field(default_factory=dict)

    def specs(self) -> dict[str, dict[str, Any]]:
        """Last part of the id of an element → the specification that is drawn in it."""
        if not self.panels:
            return {self.key: self.spec}
        return {f"{self.key}-{place}": spec for place, spec in enumerate(self.panels.values(), start=1)}


def caption(key: str, template: str = CAPTIONS, **values: Any) -> tuple[str, str, str]:
    """Title, alternative text and sentence of a chart, from the macro of its key."""
    title, alt, sentence = formats.paragraphs(template, key.replace("-", "_"), **values)
    return title, alt, sentence


def table_of(caption: str, columns: Iterable[Heading], rows: Iterable[Row]) -> Table:
    """A table from texts; a `Column` or a `Cell` is needed only for what is more than a text."""
    headings = [Column(each) if isinstance(each, str) else each for each in columns]
    return Table(caption, headings, [[Cell(each) if isinstance(each, str) else each for each in row] for row in rows])


def record_table(caption: str, records: Iterable[R], *columns: tuple[Heading, Callable[[R], str | Cell]]) -> Table:
    """A row per record.

    Args:
        caption: of the table.
        records: what the rows are about.
        columns: heading, and what its cells say of a record.
    """
    headings = [heading for heading, _ in columns]
    return table_of(caption, headings, [[write(record) for _, write in columns] for record in records])


def estimate_cell(estimate: Any, note: str = "") -> Cell:
    """The mean of anything that has mean, low and high, with its interval and a note."""
    interval = f"{formats.decimal(estimate.low)} to {formats.decimal(estimate.high)}"
    return Cell(formats.decimal(estimate.mean), f"{interval}{note}")


def change_cell(mean: float, low: float, high: float, *, strong: bool = False) -> Cell:
    """A difference with its interval."""
    return Cell(formats.signed(mean), f"{formats.signed(low)} to {formats.signed(high)}", strong)


def difference_cell(found: Any) -> Cell:
    """The same of anything that has mean, low and high."""
    return change_cell(found.mean, found.low, found.high)
