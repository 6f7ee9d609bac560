"""Warm start: a training starts from the weights of an earlier one, row by row, each row found by its id or value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.data.features.encoding import FeatureEncoding

REACH = 5
"""Events before and after a new item in a history that count as its neighbours."""

FEWEST = 3
"""Events that a new item needs to start from its neighbours. Those of one event are what many people like: an item that
starts among them is on the lists of many, which cost 0.003 NDCG@10 with 6 such items of 3,883 (MovieLens 1M)."""

FIT_IN_FULL = "Fit in full: leave `start` out, or set warm_start.mode to off for one run."


class StartError(BakeoffError):
    """A training can't start from these weights."""


@dataclass(frozen=True, eq=False)
class Start:
    """Where a training starts.

    Attributes:
        weights: by name, as `Trainer.weights` of the earlier training gave them.
        item_ids: text [m], its catalogue in the order of its item indices.
        encoding: of its features.
    """

    weights: Mapping[str, NDArray[Any]]
    item_ids: NDArray[np.str_]
    encoding: FeatureEncoding

    def take(self, name: str, initial: NDArray[Any], rows: NDArray[np.integer] | None = None) -> NDArray[Any]:
        """A weight of the new training: that of the earlier one, or a table of its rows and initial ones.

        A row of zeros counts as none: nothing was learned of it.

        Args:
            name: of the weight.
            initial: where a full fit would start; float32 [n, d] of a table.
            rows: [n], row in the earlier table; −1: it has none, and the initial one is taken. None: of no table.

        Returns:
            as `initial`.

        Raises:
            StartError: the earlier training has no such weight, or one of another shape, or width of a table.
        """
        found, first = self.array(name), 0 if rows is None else 1
        theirs, ours = found.shape[first:], initial.shape[first:]
        if theirs != ours:
            raise StartError(
                f"{name} has the shape {list(theirs)} in the model to start from and {list(ours)} under these settings "
                f"and features. {FIT_IN_FULL}"
            )
        if rows is None:
            return found
        table = np.zeros_like(initial)
        table[rows >= 0] = found[rows[rows >= 0]]
        return np.where(table.any(axis=1, keepdims=True), table, initial)

    def array(self, name: str) -> NDArray[Any]:
        """A weight of the earlier training.

        Raises:
            StartError: it has none of this name.
        """
        if name not in self.weights:
            raise StartError(
                f"The model to start from has no {name}: its settings were others, or an earlier version made it. "
                f"{FIT_IN_FULL}"
            )
        return self.weights[name]


def rows_of(known: Sequence[str] | NDArray[np.str_], wanted: Sequence[str]) -> NDArray[np.int64]:
    """Place of each wanted label among the known ones, which differ, int64 [n]; −1 where it is none of them."""
    return np.asarray(pd.Index(np.asarray(known, object)).get_indexer(np.asarray(wanted, object)), np.int64)


def from_neighbours(table: NDArray[np.float32], is_known: NDArray[np.bool_], histories: Histories) -> None:
    """Give each new item that stands next to known ones the mean of their vectors, in the mean length of known ones.

    Neighbours of an item are the known items at most REACH events before or after it in a history; a pair counts as
    often as it occurs. An item without neighbours, or with fewer than FEWEST events, keeps its row.

    Args:
        table: float32 [n, d], a row per item; changed in place.
        is_known: bool [n], items whose row was learned.
        histories: of the new training.
    """
    sums = np.zeros(table.shape)
    items, rows = histories.items, histories.rows
    for lag in range(1, REACH + 1):
        is_pair = rows[lag:] == rows[:-lag]
        for these, others in ((items[lag:], items[:-lag]), (items[:-lag], items[lag:])):
            wanted = is_pair & ~is_known[these] & is_known[others]
            np.add.at(sums, these[wanted], table[others[wanted]])
    lengths = np.linalg.norm(sums, axis=1)
    typical = np.linalg.norm(table[is_known], axis=1).mean() if is_known.any() else 0.0
    found = (lengths > 0) & (histories.item_counts(len(table)) >= FEWEST)
    table[found] = sums[found] * (typical / lengths[found])[:, np.newaxis]
