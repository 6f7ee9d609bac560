"""Features as shares of bins: the bins come from the reference, and every value of either side falls into one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.drift.snapshot import Snapshot
from bakeoff.params import DataParams

MISSING, UNSEEN, OTHERS = "missing", "not seen before", "others"
MAX_VALUES = 20
"""Most frequent values with a bin of their own; the rest share one."""
PSEUDO_COUNT = 0.5
"""Values that an empty bin of the reference counts as, so that one value in it is no infinite divergence."""
MAX_HELD_OUT = 0.01
"""Largest share of all empty bins together: the same data diverge from themselves by no more than about this."""
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
        codes: int64 [n] bin of each value of the new data.
        num_before: number of values in the reference.
    """

    table: str
    column: str | None
    label: str
    bins: Sequence[str]
    before: NDArray[np.float64]
    codes: NDArray[np.int64]
    num_before: int

    @property
    def now(self) -> NDArray[np.float64]:
        """float64 [b] shares in the new data."""
        return np.bincount(self.codes, minlength=len(self.bins)) / max(len(self.codes), 1)

    @property
    def chance(self) -> float:
        """Divergence, in nats, of two samples of one distribution on average, to first order: (b − 1)/2 · (1/n + 1/m).

        Twice the sample size times the divergence from the true distribution is about χ² with b − 1 degrees of freedom
        (Wilks 1938); both samples stray from it.
        """
        used = int(np.count_nonzero(self.before + self.now))
        return (used - 1) / 2 * (1 / max(self.num_before, 1) + 1 / max(len(self.codes), 1))

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
        old, new = before.tables()[table], now.tables()[table]
        if kind == "text" or (column not in old and column not in new):
            continue
        if column not in old or column not in new:
            notes.append(f"{table}.{column} is not compared: only one of the two versions has it.")
            continue
        found.append(_feature(table, column, label, kind, old[column], new[column], bins))
    for id_column, table in (("user_id", "users"), ("item_id", "items")):
        old, new = (side.interactions[id_column].value_counts().astype("float64") for side in (before, now))
        found.append(_feature(table, None, f"events per {table[:-1]}", "dense", old, new, bins))
    found.append(_popularity(before.interactions["item_id"], now.interactions["item_id"]))
    return [feature for feature in found if len(feature.codes)], notes


def _feature(
    table: str, column: str | None, label: str, kind: str, before: pd.Series, now: pd.Series, bins: int
) -> Feature:
    if kind == "tags":
        before, now = _tags(before), _tags(now)
    if kind == "dense" and before.nunique() > bins:
        names, old, new = _by_quantile(before.to_numpy(np.float64), now.to_numpy(np.float64), bins)
    else:
        names, old, new = _by_value(before, now, by_number=kind == "dense")
    counts = np.bincount(old, minlength=len(names))
    return Feature(table, column, label, names, counts / max(len(old), 1), new, len(old))


def _tags(values: pd.Series) -> pd.Series:
    """One row per tag, null where an item has none."""
    tags = values.fillna("").str.split("|").explode()
    return tags.where(tags != "")


def _by_quantile(
    before: NDArray[np.float64], now: NDArray[np.float64], bins: int
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Labels, and the bin of each value: below the first edge, between two of them, from the last one on; missing."""
    known = before[np.isfinite(before)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    edges = edges[edges > known.min()]  # nothing would lie below
    texts = [f"{edge:.6g}" for edge in edges]
    labels = [f"< {texts[0]}", *(f"{low} – {high}" for low, high in pairwise(texts))]
    labels += [f"≥ {texts[-1]}", MISSING]

    def place(values: NDArray[np.float64]) -> NDArray[np.int64]:
        codes = np.searchsorted(edges, values, side="right").astype(np.int64)
        return np.where(np.isfinite(values), codes, len(edges) + 1)

    return labels, place(before), place(now)


def _by_value(
    before: pd.Series, now: pd.Series, by_number: bool
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """A bin per value, most frequent first or in the order of numbers; then others, unseen ones, missing."""
    counts = before.value_counts()
    order = sorted(counts.index, key=lambda value: (-counts[value], value))[:MAX_VALUES]
    if by_number:
        order = sorted(order)
    labels = [f"{value:g}" if by_number else str(value) for value in order]
    labels += [*([OTHERS] if len(counts) > len(order) else []), UNSEEN, MISSING]
    places = {value: place for place, value in enumerate(order)}
    rest = {value: len(order) for value in counts.index if value not in places}
    unseen, missing = len(labels) - 2, len(labels) - 1

    def place(values: pd.Series) -> NDArray[np.int64]:
        codes = values.map({**places, **rest}).fillna(unseen).to_numpy(np.int64)
        return np.where(values.isna(), missing, codes)

    return labels, place(before), place(now)


def _popularity(before: pd.Series, now: pd.Series) -> Feature:
    """Events by how popular their item was in the reference."""
    counts = before.value_counts()
    ranked = sorted(counts.index, key=lambda item: (-counts[item], item))
    ends = np.ceil(np.array([share for _, share in _HEAD]) * len(ranked))
    group = dict(zip(ranked, np.searchsorted(ends, np.arange(len(ranked)), side="right"), strict=True))
    labels = [*(name for name, _ in _HEAD), UNSEEN]
    old, new = (events.map(group).fillna(len(_HEAD)).to_numpy(np.int64) for events in (before, now))
    shares = np.bincount(old, minlength=len(labels)) / max(len(old), 1)
    return Feature("interactions", None, "events by item popularity", labels, shares, new, len(old))
