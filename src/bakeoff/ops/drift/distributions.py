"""Features as shares of bins: the bins come from the reference, and every value of either side falls into one.

Values come with how often each occurs, so that what is in memory grows with the distinct ones and not with the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.data.params import DataParams
from bakeoff.ops.drift.snapshot import Counts, Snapshot

MISSING, UNSEEN, OTHERS = "missing", "not seen before", "others"
MAX_VALUES = 20
"""Most frequent values with a bin of their own; the rest share one."""
PSEUDO_COUNT = 0.5
"""Values that an empty bin of the reference counts as, so that one value in it is no infinite divergence."""
MAX_HELD_OUT = 0.01
"""Largest share of all empty bins together: the same data diverge from themselves by no more than about this."""
Values = NDArray[np.float64] | NDArray[np.object_]
Place = Callable[[Values], NDArray[np.int64]]
"""The bin of each of some values."""
_HEAD = (("the top 1 %", 0.01), ("the next 9 %", 0.1), ("the next 40 %", 0.5), ("the other half", 1.0))


@dataclass(frozen=True)
class Feature:
    """One feature in both versions.

    Attributes:
        table: interactions, users or items.
        column: of that table; None for what is counted over events.
        label: for people, such as `age of the users`.
        bins: [b] labels, in order.
        before: float64 [b] shares in the reference; their sum is 1.
        times: int64 [b] how many values of the new data fall into each.
        num_before: number of values in the reference.
    """

    table: str
    column: str | None
    label: str
    bins: Sequence[str]
    before: NDArray[np.float64]
    times: NDArray[np.int64]
    num_before: int

    @property
    def now(self) -> NDArray[np.float64]:
        """float64 [b] shares in the new data."""
        shares: NDArray[np.float64] = self.times / max(self.num_now, 1)
        return shares

    @property
    def num_now(self) -> int:
        """Number of values in the new data."""
        return int(self.times.sum())

    @property
    def chance(self) -> float:
        """Divergence, in nats, of two samples of one distribution on average, to first order: (b − 1)/2 · (1/n + 1/m).

        Twice the sample size times the divergence from the true distribution is about χ² with b − 1 degrees of freedom
        (Wilks 1938); both samples stray from it.
        """
        used = int(np.count_nonzero(self.before + self.now))
        return (used - 1) / 2 * (1 / max(self.num_before, 1) + 1 / max(self.num_now, 1))

    @property
    def weights(self) -> NDArray[np.float64]:
        """`before` with a little in each empty bin: none is 0, and their sum is 1."""
        empty = self.before == 0
        held_out = min(PSEUDO_COUNT * empty.sum() / max(self.num_before, 1), MAX_HELD_OUT)
        weights: NDArray[np.float64] = np.where(empty, held_out / max(empty.sum(), 1), self.before * (1 - held_out))
        return weights


def features(before: Snapshot, now: Snapshot, data: DataParams, bins: int) -> tuple[list[Feature], list[str]]:
    """Everything whose distribution is compared.

    Args:
        before: the reference.
        now: the new data.
        data: which columns are features, and of which kind; texts are not compared.
        bins: of a dense feature: quantiles of the reference.

    Returns:
        the features, and sentences on those that only one of the two versions has.
    """
    found: list[Feature] = []
    notes: list[str] = []
    declared = [("interactions", "rating", "dense", "ratings")]
    declared += [("users", name, kind, f"{name} of the users") for name, kind in data.user_features.items()]
    declared += [("items", name, kind, f"{name} of the items") for name, kind in data.item_features.items()]
    for table, column, kind, label in declared:
        present = [side.has(table, column) for side in (before, now)]
        if kind == "text" or not any(present):
            continue
        if not all(present):
            notes.append(f"{table}.{column} is not compared: only one of the two versions has it.")
            continue
        old, new = (side.counts(table, column, numbers=kind == "dense") for side in (before, now))
        if kind == "tags":
            old, new = _tags(old), _tags(new)
        found.append(_feature(table, column, label, old, new, bins if kind == "dense" else None))
    for id_column, table in (("user_id", "users"), ("item_id", "items")):
        old, new = (side.counts_per(id_column) for side in (before, now))
        found.append(_feature(table, None, f"events per {table[:-1]}", old, new, bins))
    found.append(_popularity(*(side.counts("interactions", "item_id") for side in (before, now))))
    return [feature for feature in found if feature.num_now], notes


def _feature(table: str, column: str | None, label: str, before: Counts, now: Counts, bins: int | None) -> Feature:
    """`bins`: of numbers; None: of texts."""
    if bins is not None and len(before.values) > bins:
        names, place = _by_quantile(before, bins)
    else:
        names, place = _by_value(before, by_number=bins is not None)
    old, new = (_binned(side, place, len(names)) for side in (before, now))
    return Feature(table, column, label, names, old / max(before.total, 1), new, before.total)


def _binned(counts: Counts, place: Place, num_bins: int) -> NDArray[np.int64]:
    """Values per bin; the last one has those that are missing."""
    times = np.bincount(place(counts.values), counts.times, num_bins).astype(np.int64)
    times[-1] += counts.missing
    return times


def _tags(lists: Counts) -> Counts:
    """Each tag as often as a list has it; a list without one is missing."""
    tags = pd.Series(lists.values, dtype="object").str.split("|").explode()
    times = pd.Series(lists.times, dtype="int64").loc[tags.index].to_numpy()
    counted = pd.Series(times).groupby(tags.to_numpy()).sum()
    empty = int(counted.get("", 0))
    counted = counted.drop("", errors="ignore")
    return Counts(counted.index.to_numpy(object), counted.to_numpy(np.int64), lists.missing + empty)


def _by_quantile(before: Counts, bins: int) -> tuple[list[str], Place]:
    """Labels, and where a value lies: below the first edge, between two of them, from the last one on; missing."""
    reached, total = np.cumsum(before.times), int(before.times.sum())
    # The smallest value that so many of the bins' shares reach, in whole numbers: a share of 1/10 has no exact float.
    places = np.searchsorted(reached * bins, total * np.arange(1, bins), side="left")
    edges = np.unique(before.values[places]).astype(np.float64)
    edges = edges[edges > before.values[0]]  # nothing would lie below
    texts = [f"{edge:.6g}" for edge in edges]
    labels = [f"< {texts[0]}", *(f"{low} – {high}" for low, high in pairwise(texts))]
    labels += [f"≥ {texts[-1]}", MISSING]
    return labels, lambda values: np.searchsorted(edges, values.astype(np.float64), side="right")


def _by_value(before: Counts, by_number: bool) -> tuple[list[str], Place]:
    """A bin per value, most frequent first or in the order of numbers; then others, unseen ones, missing."""
    frequent = np.argsort(-before.times, kind="stable")[:MAX_VALUES]
    order = before.values[np.sort(frequent) if by_number else frequent]
    labels = [f"{value:g}" if by_number else str(value) for value in order]
    labels += [*([OTHERS] if len(before.values) > len(order) else []), UNSEEN, MISSING]
    own, known = pd.Index(order), pd.Index(before.values)

    def place(values: Values) -> NDArray[np.int64]:
        places = own.get_indexer(pd.Index(values))
        unseen = np.where(known.get_indexer(pd.Index(values)) < 0, len(labels) - 2, len(order))
        return np.where(places < 0, unseen, places)

    return labels, place


def _popularity(before: Counts, now: Counts) -> Feature:
    """Events by how popular their item was in the reference."""
    ranked = np.argsort(-before.times, kind="stable")
    ends = np.ceil(np.array([share for _, share in _HEAD]) * len(ranked))
    group = np.empty(len(ranked), np.int64)
    group[ranked] = np.searchsorted(ends, np.arange(len(ranked)), side="right")
    places = pd.Index(before.values).get_indexer(pd.Index(now.values))
    labels = [*(name for name, _ in _HEAD), UNSEEN]
    new = np.bincount(np.where(places < 0, len(_HEAD), group[places]), now.times, len(labels)).astype(np.int64)
    shares = np.bincount(group, before.times, len(labels)) / max(before.total, 1)
    return Feature("interactions", None, "events by item popularity", labels, shares, new, before.total)
