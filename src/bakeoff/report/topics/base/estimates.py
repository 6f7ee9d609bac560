"""Means with intervals per group and series, and tables of what a chart shows."""

from collections.abc import Callable, Sequence
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report import formats
from bakeoff.report.accuracy import Statistics
from bakeoff.report.render.chart_parts import present
from bakeoff.report.render.figure import Cell, Column, Table
from bakeoff.report.topics.base.judge import padded

Named = tuple[str, str, NDArray[np.float64]]
"""Group, series and the values over users."""
TableColumn = tuple[str | Column, str, Callable[[Any], str]]
"""Heading (a `Column` where it is a term of the glossary), attribute of a row, and how its value is written."""


def estimates(columns: Sequence[Named], statistics: Statistics) -> pd.DataFrame:
    """Group, series, mean, low, high: a row per column; columns without any user are left out."""
    size = max((len(values) for _, _, values in columns), default=0)
    found = statistics.estimates(
        [(series, group, padded(values, size)) for group, series, values in columns if not np.isnan(values).all()]
    )
    rows = [(e.metric, e.model, e.mean, e.low, e.high) for e in found]
    return pd.DataFrame(rows, columns=["group", "series", "mean", "low", "high"])


def interval_cell(row: Any, form: Callable[[float], str] = formats.decimal) -> Cell:
    """Mean with its interval where there is one; an en dash for None."""
    if row is None:
        return Cell(formats.NO_VALUE)
    return Cell(form(row.mean), f"{form(row.low)} to {form(row.high)}" if row.low < row.high else "")


def estimate_table(caption: str, corner: str, frame: pd.DataFrame) -> Table:
    """Series × groups: the mean with its interval; an en dash where there is no figure."""
    groups, series = present(frame.group), present(frame.series)
    found = {(row.group, row.series): row for row in frame.itertuples()}
    rows = [[Cell(name), *(interval_cell(found.get((group, name))) for group in groups)] for name in series]
    return Table(caption, [Column(corner), *(Column(group.replace("\n", ", ")) for group in groups)], rows)


def record_table(caption: str, records: pd.DataFrame, *columns: TableColumn) -> Table:
    """A row per record; an en dash for NaN."""
    rows = [
        [Cell(_written(getattr(record, attribute), form)) for _, attribute, form in columns]
        for record in records.itertuples(index=False)
    ]
    headings = [Column(heading) if isinstance(heading, str) else heading for heading, _, _ in columns]
    return Table(caption, headings, rows)


def _written(value: Any, form: Callable[[Any], str]) -> str:
    return formats.NO_VALUE if isinstance(value, float) and isnan(value) else form(value)
