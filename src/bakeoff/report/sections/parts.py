"""What the sections share: frames of estimates, and tables of them."""

from collections.abc import Callable, Sequence
from math import isnan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report import formats
from bakeoff.report.accuracy import Statistics
from bakeoff.report.render.chart_parts import present
from bakeoff.report.render.figure import Cell, Column, Table

Named = tuple[str, str, NDArray[np.float64]]
"""Group, series and the values over users."""


def estimates(columns: Sequence[Named], statistics: Statistics) -> pd.DataFrame:
    """Group, series, mean, low, high: a row per column; those without any user are left out."""
    size = max((len(values) for _, _, values in columns), default=0)
    padded = [
        (group, series, np.concatenate([values, np.full(size - len(values), np.nan)]))
        for group, series, values in columns
        if not np.isnan(values).all()
    ]
    found = statistics.estimates([(series, group, values) for group, series, values in padded])
    rows = [(e.metric, e.model, e.mean, e.low, e.high) for e in found]
    return pd.DataFrame(rows, columns=["group", "series", "mean", "low", "high"])


def estimate_table(
    caption: str, corner: str, frame: pd.DataFrame, form: Callable[[float], str] = formats.decimal
) -> Table:
    """Series × groups: mean, with its interval where there is one; an en dash where there is no figure."""
    groups, series = present(frame.group), present(frame.series)
    found = {(row.group, row.series): row for row in frame.itertuples()}
    rows = []
    for name in series:
        cells = [Cell(name)]
        for group in groups:
            row = found.get((group, name))
            if row is None:
                cells.append(Cell(formats.NO_VALUE))
            else:
                has_interval = row.low < row.high
                cells.append(Cell(form(row.mean), f"{form(row.low)} to {form(row.high)}" if has_interval else ""))
        rows.append(cells)
    return Table(caption, [Column(corner), *(Column(group.replace("\n", ", ")) for group in groups)], rows)


def text_table(caption: str, columns: Sequence[str | Column], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose cells are already text; headings that are terms of the glossary come as columns."""
    headings = [Column(heading) if isinstance(heading, str) else heading for heading in columns]
    return Table(caption, headings, [[Cell(text) for text in row] for row in rows])


def or_dash(value: float, form: Callable[[float], str]) -> str:
    """The figure, or an en dash for NaN."""
    return formats.NO_VALUE if isnan(value) else form(value)
