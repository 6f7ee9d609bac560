"""Metrics of every test user, from which the tables of the report are made: in memory, or read in portions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.evaluation.stats.intervals import in_blocks
from bakeoff.report.accuracy import Difference, Estimate, Statistics

FloatArray = NDArray[np.float64]

Column = tuple[str, str]
"""A model and a metric."""

PORTION = 1 << 16
"""Users who are read at once."""


class PerUser(Protocol):
    """Metrics of the same users by model."""

    @property
    def models(self) -> Sequence[str]:
        """In order."""

    def means(self, metric: str) -> dict[str, float]:
        """Model → mean over users; −∞ without any, so that it is never the best."""

    def estimates(self, columns: Sequence[Column], statistics: Statistics) -> list[Estimate]:
        """Mean and interval of each column; all at once, to share the draws."""

    def differences(self, pairs: Sequence[tuple[Column, Column]], statistics: Statistics) -> list[Difference]:
        """First − second of each pair, judged together; named by the metric of the first."""


@dataclass(frozen=True)
class InMemory:
    """Tables that are there.

    Attributes:
        tables: model → one row per user, a column per metric; NaN: the user has none.
    """

    tables: Mapping[str, pd.DataFrame]

    @property
    def models(self) -> Sequence[str]:
        """In order."""
        return list(self.tables)

    def means(self, metric: str) -> dict[str, float]:
        """Model → mean over users with a value."""
        return {name: _mean(self._values((name, metric))) for name in self.tables}

    def estimates(self, columns: Sequence[Column], statistics: Statistics) -> list[Estimate]:
        """Mean and interval of each column."""
        return statistics.estimates([(*column, self._values(column)) for column in columns])

    def differences(self, pairs: Sequence[tuple[Column, Column]], statistics: Statistics) -> list[Difference]:
        """First − second of each pair."""
        first, second = ([self._values(pair[side]) for pair in pairs] for side in (0, 1))
        return statistics.differences(first, second, [pair[0][1] for pair in pairs])

    def _values(self, column: Column) -> FloatArray:
        values: FloatArray = self.tables[column[0]][column[1]].to_numpy(np.float64)
        return values


@dataclass(frozen=True)
class OnDisk:
    """Tables of more users than memory shall hold; what is held does not grow with them.

    Attributes:
        files: model → users.parquet of its evaluation, users in the same order.
    """

    files: Mapping[str, Path]

    @property
    def models(self) -> Sequence[str]:
        """In order."""
        return list(self.files)

    def means(self, metric: str) -> dict[str, float]:
        """Model → mean over users."""
        total, count = np.zeros(len(self.files)), 0
        for block in self._portions([(name, metric) for name in self.files]):
            total, count = total + block.sum(axis=0), count + len(block)
        return dict(zip(self.files, (total / count).tolist(), strict=True))

    def estimates(self, columns: Sequence[Column], statistics: Statistics) -> list[Estimate]:
        """Mean and interval of each column."""
        return statistics.estimates_of_portions(lambda: self._portions(columns), columns)

    def differences(self, pairs: Sequence[tuple[Column, Column]], statistics: Statistics) -> list[Difference]:
        """First − second of each pair."""
        columns = list(dict.fromkeys(column for pair in pairs for column in pair))
        first, second = ([columns.index(pair[side]) for pair in pairs] for side in (0, 1))
        return statistics.differences_of_portions(
            lambda: (block[:, first] - block[:, second] for block in self._portions(columns)),
            [pair[0][1] for pair in pairs],
        )

    def check_same_users(self) -> None:
        """Check that all models were evaluated on the same users, in the same order.

        Raises:
            BakeoffError: two models differ.
        """
        names = list(self.files)
        for blocks in zip(*(_read(self.files[name], ["user_id"]) for name in names), strict=False):
            for (name, one), (other, another) in pairwise(zip(names, blocks, strict=True)):
                if not np.array_equal(one, another):
                    raise _other_users(other, name)
        counts = [pq.ParquetFile(path).metadata.num_rows for path in self.files.values()]
        for (name, one), (other, another) in pairwise(zip(names, counts, strict=True)):
            if one != another:
                raise _other_users(other, name)

    def _portions(self, columns: Sequence[Column]) -> Iterator[FloatArray]:
        """[m, c] values of the columns, of all users."""
        metrics: dict[str, list[str]] = {}
        for model, metric in columns:
            metrics.setdefault(model, []).append(metric)
        order = [(model, metric) for model, names in metrics.items() for metric in names]
        places = [order.index(column) for column in columns]
        tables = (_read(self.files[model], names) for model, names in metrics.items())
        for blocks in zip(*tables, strict=True):
            yield np.concatenate(blocks, axis=1)[:, places].astype(np.float64)


def _read(path: Path, columns: Sequence[str]) -> Iterator[NDArray[np.generic]]:
    """Blocks [m, c] of a table, PORTION users each but for the last, whatever row groups it has."""

    def batches() -> Iterator[NDArray[np.generic]]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(PORTION, columns=list(columns)):
                yield np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in columns], axis=1)

    return in_blocks(batches(), PORTION)


def _other_users(name: str, reference: str) -> BakeoffError:
    return BakeoffError(
        f"{name} was evaluated on other users than {reference}, or in another order: their figures can't be compared. "
        "Run `dvc repro` so that every model is evaluated on the present split."
    )


def _mean(values: FloatArray) -> float:
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else -np.inf
