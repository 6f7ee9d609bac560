"""Features as shares of bins: the bins come from the reference, and every value of either side falls into one.

Values come with how often each occurs, so that what is in memory grows with the distinct ones and not with the rows.
They are counted by the engine, of the validated tables of one version, wherever these are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import TypeAlias

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import entropy

from bakeoff.data.engine.engine import num_rows
from bakeoff.data.features.encoding import TAG_SEPARATOR
from bakeoff.data.params import DataParams

DAY = 86_400
"""Seconds."""

ID = {"interactions": "item_id", "users": "user_id", "items": "item_id"}
"""The tables, and a column that each has."""
TABLES = tuple(ID)


Counts: TypeAlias = "pd.Series[int]"
"""How often each value occurs, 1 or more, by the value: numbers or texts, those that are known ascending."""


@dataclass(frozen=True)
class Snapshot:
    """What validation let pass.

    Attributes:
        read: table (of interactions, users, items) and columns → these columns of it, but for those that it lacks.
            Interactions have user_id, item_id, timestamp (UTC seconds; 0 everywhere where events have no time), perhaps
            rating, event and weight; users user_id and features; items item_id, title and features.
    """

    read: Callable[[str, Sequence[str]], ir.Table]

    def num_rows(self, table: str) -> int:
        """Rows of a table."""
        return num_rows(self.read(table, [ID[table]]))

    def counts(self, table: str, column: str, kind: str = "categorical") -> Counts:
        """Of a column, as numbers where it is dense, else as texts; of tags, each as often as a list has it.

        A list without a tag is missing.
        """
        values = self.read(table, [column])[column].cast("float64" if kind == "dense" else "string")
        if kind == "tags":
            return _counted(values.fill_null("").re_split(f"[{TAG_SEPARATOR}]").unnest()).rename({"": None})
        return _counted(values)

    def has_numbers(self, table: str, column: str) -> bool:
        """Whether every known value of a column is a number, or a text that `counts` reads as one."""
        values = self.read(table, [column])[column]
        if not values.type().is_string():
            return bool(values.type().is_numeric())
        value = ibis._.value
        unread = values.name("value").as_table().filter(value.notnull(), value.try_cast("float64").isnull())
        return num_rows(unread) == 0

    def counts_per(self, column: str) -> Counts:
        """Of the numbers of events of each user, or of each item: `column` is its id."""
        each = self.read("interactions", [column]).group_by(column).aggregate(events=ibis._.count())
        return _counted(each.events.cast("float64"))

    @cached_property
    def days(self) -> Counts:
        """Events by day (whole days since 1970, UTC), days without one left out; empty where events have no time."""
        times = self.read("interactions", ["timestamp"])
        if not times.aggregate(timed=(ibis._.timestamp != 0).any()).to_pyarrow()["timed"][0].as_py():
            return pd.Series(dtype="int64")
        return _counted((times.timestamp // DAY).cast("int64"))


def _counted(values: ir.Column) -> Counts:
    rows = values.name("value").value_counts(name="times").to_pyarrow().to_pandas()
    return rows.sort_values("value").set_index("value")["times"]


MISSING, UNSEEN, OTHERS = "missing", "not seen before", "others"
MAX_VALUES = 20
"""Most frequent values with a bin of their own; the rest share one."""
PSEUDO_COUNT = 0.5
"""Values that an empty bin of the reference counts as, so that one value in it is no infinite divergence."""
MAX_HELD_OUT = 0.01
"""Largest share of all empty bins together: the same data diverge from themselves by no more than about this."""
Place = Callable[[pd.Index], NDArray[np.int64]]
"""The bin of each of some values, none of them missing."""
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
        return np.asarray(np.where(empty, held_out / max(empty.sum(), 1), self.before * (1 - held_out)), np.float64)


def features(before: Snapshot, now: Snapshot, data: DataParams, bins: int) -> tuple[list[Feature], list[str]]:
    """Everything whose distribution is compared.

    Args:
        before: the reference.
        now: the new data.
        data: which columns are features, and their kinds; texts and vectors are not compared.
        bins: of a dense feature: quantiles of the reference.

    Returns:
        the features, and sentences on what is not compared, since one version lacks it, or its numbers.
    """
    found: list[Feature] = []
    notes: list[str] = []
    declared = [
        ("interactions", "rating", "dense", "ratings"),
        ("interactions", "event", "categorical", "kinds of events"),
        ("interactions", "weight", "dense", "weights of events"),
    ]
    declared += [("users", name, kind, f"{name} of the users") for name, kind in data.user_features.items()]
    declared += [("items", name, kind, f"{name} of the items") for name, kind in data.item_features.items()]
    quantiles = partial(_by_quantile, bins=bins)
    for table, column, kind, label in declared:
        present = [column in side.read(table, [ID[table], column]).columns for side in (before, now)]
        if kind in ("text", "vector") or not any(present):
            continue
        if not all(present):
            notes.append(f"{table}.{column} is not compared: only one of the two versions has it.")
            continue
        if kind == "dense" and not all(side.has_numbers(table, column) for side in (before, now)):
            notes.append(f"{table}.{column} is not compared: one of the two versions has values that are no numbers.")
            continue
        old, new = (side.counts(table, column, kind) for side in (before, now))
        found.append(_feature(table, column, label, old, new, quantiles if kind == "dense" else _by_value))
    for owner in ("user", "item"):
        old, new = (side.counts_per(f"{owner}_id") for side in (before, now))
        found.append(_feature(f"{owner}s", None, f"events per {owner}", old, new, quantiles))
    old, new = (side.counts("interactions", "item_id") for side in (before, now))
    found.append(_feature("interactions", None, "events by item popularity", old, new, _by_popularity))
    return [feature for feature in found if feature.num_now], notes


def _feature(table: str, column: str | None, label: str, before: Counts, now: Counts, binning: Binning) -> Feature:
    labels, place = binning(before[before.index.notna()])
    old, new = (np.zeros(len(labels), np.int64) for _ in range(2))
    for side, bins in ((before, old), (now, new)):
        known = side.index.notna()
        np.add.at(bins, place(side.index[known]), side[known])
        bins[-1] += side[~known].sum()
    return Feature(table, column, label, labels, old / max(old.sum(), 1), new, int(old.sum()))


def _by_quantile(before: Counts, bins: int) -> tuple[list[str], Place]:
    """Below the first edge, between two of them, from the last one on; a bin per value where these are few."""
    if len(before) <= bins:
        return _by_value(before, by_number=True)
    values, reached, total = before.index.to_numpy(np.float64), before.cumsum().to_numpy(), int(before.sum())
    # The smallest value that so many of the bins' shares reach, in whole numbers: a share of 1/10 has no exact float.
    places = np.searchsorted(reached * bins, total * np.arange(1, bins), side="left")
    edges = np.unique(values[places])
    edges = edges[edges > values[0]]  # nothing would lie below
    if not len(edges):
        edges = values[1:2]  # the smallest value reaches every share, and has a bin of its own
    texts = [f"{edge:.6g}" for edge in edges]
    labels = [f"< {texts[0]}", *(f"{low} – {high}" for low, high in pairwise(texts)), f"≥ {texts[-1]}", MISSING]
    return labels, lambda values: np.searchsorted(edges, values.to_numpy(np.float64), side="right")


def _by_value(before: Counts, by_number: bool = False) -> tuple[list[str], Place]:
    """A bin per value, most frequent first or in the order of numbers; then others, unseen ones, missing."""
    frequent = np.argsort(-before.to_numpy(), kind="stable")[:MAX_VALUES]
    order = before.index[np.sort(frequent) if by_number else frequent]
    labels = [f"{value:g}" if by_number else str(value) for value in order]
    labels += [*([OTHERS] if len(before) > len(order) else []), UNSEEN, MISSING]

    def place(values: pd.Index) -> NDArray[np.int64]:
        places = order.get_indexer(values)
        unseen = np.where(values.isin(before.index), len(order), len(labels) - 2)
        return np.where(places < 0, unseen, places)

    return labels, place


def _by_popularity(before: Counts) -> tuple[list[str], Place]:
    """Groups of items by how popular they were in the reference; then unseen ones."""
    ranked = before.index[np.argsort(-before.to_numpy(), kind="stable")]
    ends = np.ceil(np.array(list(_HEAD.values())) * len(ranked))

    def place(values: pd.Index) -> NDArray[np.int64]:
        ranks = ranked.get_indexer(values)
        return np.where(ranks < 0, len(_HEAD), np.searchsorted(ends, ranks, side="right"))

    return [*_HEAD, UNSEEN], place
