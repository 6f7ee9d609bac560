"""Tables of text, and charts with all that the page shows with them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bakeoff.report import formats
from bakeoff.report.render.chart_parts import Spec


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
class Figure:
    """One chart, or several small ones side by side.

    Attributes:
        key: unique on the page; part of element ids.
        title: what is drawn.
        alt: the kind of chart, for people who can't see it.
        sentence: what to see in it.
        spec: Vega-Lite specification; empty if there are panels.
        table: the same figures as text.
        open: whether the table is visible below the chart.
        folded: whether chart and table are in a closed fold under the title.
        section: anchor of the section that shows it; empty if the section's template names the figure.
        panels: label → specification of a small chart.
    """

    key: str
    title: str
    alt: str
    sentence: str
    spec: Spec
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


def specs_of(figures: Iterable[Figure]) -> dict[str, Spec]:
    """Specifications of all charts of a page, as charts.js draws them."""
    return {place: spec for figure in figures for place, spec in figure.specs().items()}


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


def estimate_with_interval(estimate: Any, is_best: bool = False) -> Cell:
    """The mean of anything that has mean, low and high, with its interval, in bold if it is the best."""
    interval = f"{formats.decimal(estimate.low)} to {formats.decimal(estimate.high)}"
    return Cell(formats.decimal(estimate.mean), interval, is_best)


def change_cell(mean: float, low: float, high: float, *, strong: bool = False) -> Cell:
    """A difference with its interval."""
    return Cell(formats.signed(mean), f"{formats.signed(low)} to {formats.signed(high)}", strong)
