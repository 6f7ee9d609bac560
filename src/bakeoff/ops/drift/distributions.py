"""Features as shares of bins: the bins come from the reference, and every value of either side falls into one.

Values come with how often each occurs, so that what is in memory grows with the distinct ones and not with the rows.
They are counted by the engine, of the validated tables of one version, wherever these are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import entropy

from bakeoff.data.engine.engine import num_rows
from bakeoff.data.params import DataParams

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
        return num_rows(self.read(table, [ID[table]]))

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
Binning = Callable[[Counts], tuple[list[str], Place]]
"""Labels of the bins of the reference, and the bin of each value; missing values fall into the last one."""
_HEAD = {"the top 1 %": 0.01, "the next 9 %": 0.1, "the next 40 %": 0.5, "the other half": 1.0}


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
        return self.times / max(self.num_now, 1)

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
    def divergence(self) -> float:
        """Kullback–Leibler divergence of the new shares from `weights`, in nats: Σ now · log(now / weights)."""
        return float(entropy(self.now, self.weights))

    @property
    def moved_most(self) -> str:
        """The bin whose share has changed most, in words."""
        place = int(np.abs(self.now - self.before).argmax())
        return f"{self.bins[place]}: {100 * self.before[place]:.1f} % → {100 * self.now[place]:.1f} %"

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
        data: which columns are features, and their kinds; texts and vectors are not compared.
        bins: of a dense feature: quantiles of the reference.

    Returns:
        the features, and sentences on those that only one of the two versions has.
    """
    found: list[Feature] = []
    notes: list[str] = []
    declared = [("interactions", "rating", "dense", "ratings")]
    declared += [("users", name, kind, f"{name} of the users") for name, kind in data.user_features.items()]
    declared += [("items", name, kind, f"{name} of the items") for name, kind in data.item_features.items()]
    quantiles = partial(_by_quantile, bins=bins)
    for table, column, kind, label in declared:
        present = [side.has(table, column) for side in (before, now)]
        if kind in ("text", "vector") or not any(present):
            continue
        if not all(present):
            notes.append(f"{table}.{column} is not compared: only one of the two versions has it.")
            continue
        old, new = (side.counts(table, column, numbers=kind == "dense") for side in (before, now))
        if kind == "tags":
            old, new = _tags(old), _tags(new)
        found.append(_feature(table, column, label, old, new, quantiles if kind == "dense" else _by_value))
    for owner in ("user", "item"):
        old, new = (side.counts_per(f"{owner}_id") for side in (before, now))
        found.append(_feature(f"{owner}s", None, f"events per {owner}", old, new, quantiles))
    old, new = (side.counts("interactions", "item_id") for side in (before, now))
    found.append(_feature("interactions", None, "events by item popularity", old, new, _by_popularity))
    return [feature for feature in found if feature.num_now], notes


def _feature(table: str, column: str | None, label: str, before: Counts, now: Counts, binning: Binning) -> Feature:
    labels, place = binning(before)
    old, new = (np.bincount(place(side.values), side.times, len(labels)).astype(np.int64) for side in (before, now))
    old[-1] += before.missing
    new[-1] += now.missing
    return Feature(table, column, label, labels, old / max(old.sum(), 1), new, int(old.sum()))


def _tags(lists: Counts) -> Counts:
    """Each tag as often as a list has it; a list without one is missing."""
    tags = pd.DataFrame({"tag": lists.values, "times": lists.times}).assign(tag=lambda rows: rows.tag.str.split("|"))
    counted = tags.explode("tag").groupby("tag")["times"].sum()
    missing = lists.missing + int(counted.get("", 0))
    counted = counted.drop("", errors="ignore")
    return Counts(counted.index.to_numpy(object), counted.to_numpy(np.int64), missing)


def _by_quantile(before: Counts, bins: int) -> tuple[list[str], Place]:
    """Below the first edge, between two of them, from the last one on; a bin per value where these are few."""
    if len(before.values) <= bins:
        return _by_value(before, by_number=True)
    reached, total = np.cumsum(before.times), int(before.times.sum())
    # The smallest value that so many of the bins' shares reach, in whole numbers: a share of 1/10 has no exact float.
    places = np.searchsorted(reached * bins, total * np.arange(1, bins), side="left")
    edges = np.unique(before.values[places]).astype(np.float64)
    edges = edges[edges > before.values[0]]  # nothing would lie below
    texts = [f"{edge:.6g}" for edge in edges]
    labels = [f"< {texts[0]}", *(f"{low} – {high}" for low, high in pairwise(texts)), f"≥ {texts[-1]}", MISSING]
    return labels, lambda values: np.searchsorted(edges, values.astype(np.float64), side="right")


def _by_value(before: Counts, by_number: bool = False) -> tuple[list[str], Place]:
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


def _by_popularity(before: Counts) -> tuple[list[str], Place]:
    """Groups of items by how popular they were in the reference; then unseen ones."""
    ranked = pd.Index(before.values[np.argsort(-before.times, kind="stable")])
    ends = np.ceil(np.array(list(_HEAD.values())) * len(ranked))

    def place(values: Values) -> NDArray[np.int64]:
        ranks = ranked.get_indexer(pd.Index(values))
        return np.where(ranks < 0, len(_HEAD), np.searchsorted(ends, ranks, side="right"))

    return [*_HEAD, UNSEEN], place
