"""The validated tables of one version, wherever they are: what comes to this process are counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

DAY = 86_400
"""Seconds."""

ID = {"interactions": "item_id", "users": "user_id", "items": "item_id"}
"""The tables, and a column that each has."""
TABLES = tuple(ID)


@dataclass(frozen=True)
class Counts:
    """How often each value occurs.

    Attributes:
        values: [v] distinct, ascending, none missing: float64, or texts as objects.
        times: int64 [v], 1 or more.
        missing: rows without a value.
    """

    values: NDArray[np.float64] | NDArray[np.object_]
    times: NDArray[np.int64]
    missing: int

    @property
    def total(self) -> int:
        """All rows."""
        return int(self.times.sum()) + self.missing


@dataclass(frozen=True)
class Snapshot:
    """What validation let pass.

    Attributes:
        read: table (of interactions, users, items) and columns → these columns of it, but for those that it lacks.
            Interactions have user_id, item_id, timestamp (UTC seconds; 0 everywhere where events have no time), perhaps
            rating; users user_id and features; items item_id, title and features.
    """

    read: Callable[[str, Sequence[str]], ir.Table]

    def num_rows(self, table: str) -> int:
        """Rows of a table."""
        return int(self.read(table, [ID[table]]).count().to_pyarrow().as_py())

    def has(self, table: str, column: str) -> bool:
        """Whether a table has a column."""
        return column in self.read(table, [ID[table], column]).columns

    def counts(self, table: str, column: str, *, numbers: bool = False) -> Counts:
        """Of a column, as texts or as numbers."""
        values = self.read(table, [column]).select(value=ibis._[column].cast("float64" if numbers else "string"))
        return _counted(values.group_by("value").aggregate(times=ibis._.count()))

    def counts_per(self, column: str) -> Counts:
        """Of the numbers of events of each user, or of each item: `column` is its id."""
        each = self.read("interactions", [column]).group_by(column).aggregate(events=ibis._.count())
        return _counted(each.group_by(value=ibis._.events.cast("float64")).aggregate(times=ibis._.count()))

    @cached_property
    def days(self) -> "pd.Series[int]":
        """Events by day (whole days since 1970, UTC), days without one left out; empty where events have no time."""
        times = self.read("interactions", ["timestamp"])
        if not times.aggregate(timed=(ibis._.timestamp != 0).any()).to_pyarrow()["timed"][0].as_py():
            return pd.Series(dtype="int64")
        by_day = times.group_by(value=(ibis._.timestamp // DAY).cast("float64")).aggregate(times=ibis._.count())
        counts = _counted(by_day)
        return pd.Series(counts.times, index=counts.values.astype(np.int64))


def _counted(table: ir.Table) -> Counts:
    frame = table.to_pyarrow().to_pandas()
    missing = frame["value"].isna()
    known = frame[~missing].sort_values("value")
    return Counts(known["value"].to_numpy(), known["times"].to_numpy(np.int64), int(frame.loc[missing, "times"].sum()))
