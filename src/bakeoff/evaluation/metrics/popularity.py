"""How popular the recommended items are, and how much of the catalogue the lists cover.

`items` is int32 [n, length], the lists of n users, PAD where shorter. `counts` is int64 [num_items], φ(i),
the number of train interactions of each item.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories
from bakeoff.evaluation.metrics.arrays import divide
from bakeoff.evaluation.metrics.sums import ExactSum

ItemLists = NDArray[np.int32]
FloatArray = NDArray[np.float64]


def average_popularity(items: ItemLists, counts: NDArray[np.int64], k: int) -> FloatArray:
    """ARP@k per user, [n]: mean of φ(i) over the list (Yin et al. 2012); NaN where it is empty."""
    return _mean_over_list(items[:, :k], counts)


def history_popularity(histories: Histories, counts: NDArray[np.int64]) -> FloatArray:
    """Mean of φ(i) over each user's own history, [n]; NaN where it is empty."""
    total = np.bincount(histories.rows, weights=counts[histories.items], minlength=len(histories))
    return divide(total, histories.lengths)


class PopularityLift:
    """ARP(lists) / ARP(histories) − 1: 0 means that lists are as popular as what people already like."""

    def __init__(self) -> None:
        """Begin without a user."""
        self._lists, self._histories = ExactSum(), ExactSum()

    def add(self, lists: FloatArray, histories: FloatArray) -> None:
        """Count some more users, those who have both a list and a history.

        Args:
            lists: [n] `average_popularity` of each user.
            histories: [n] `history_popularity` of the same users.
        """
        both = ~(np.isnan(lists) | np.isnan(histories))
        self._lists.add(lists[both])
        self._histories.add(histories[both])

    @property
    def value(self) -> float:
        """At least −1; NaN where no user has both a list and a history, or histories have popularity 0."""
        own = self._histories.value
        return self._lists.value / own - 1 if own > 0 else float("nan")


def novelty(items: ItemLists, counts: NDArray[np.int64], num_users: int, k: int) -> FloatArray:
    """MIUF@k per user, [n]: −mean log2(φ(i) / num_users) over the list, in bits; NaN where it is empty.

    An item without a train interaction counts as if it had one: its novelty would be infinite.
    """
    bits = -np.log2(np.maximum(counts, 1) / num_users)
    return _mean_over_list(items[:, :k], bits)


def long_tail(counts: NDArray[np.int64], head_share: float = 0.8) -> NDArray[np.bool_]:
    """[num_items] the items outside the head.

    The head is the shortest run of the most popular items, equal ones by index, that gathers at least
    `head_share` of all interactions.
    """
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    tail = np.empty(len(counts), np.bool_)
    tail[order] = before >= head_share * counts.sum()
    return tail


def long_tail_share(items: ItemLists, tail: NDArray[np.bool_], k: int) -> FloatArray:
    """APLT@k per user, [n] in [0, 1]: share of the list that lies in the long tail; NaN where it is empty."""
    return _mean_over_list(items[:, :k], tail)


def slots(items: ItemLists, num_items: int, k: int) -> NDArray[np.int64]:
    """[num_items] number of list slots that each item fills; those of parts of the users add up to those of all."""
    shown = items[:, :k]
    return np.bincount(shown[shown != PAD], minlength=num_items)


def coverage(filled: NDArray[np.int64]) -> float:
    """|∪_u L_u| / num_items, in [0, 1]: share of the catalogue that is recommended to anyone.

    Args:
        filled: [num_items], of `slots`.
    """
    return float((filled > 0).mean())


def gini(filled: NDArray[np.int64]) -> float:
    """Σ_j (2j − n − 1) p_(j) / (n − 1), in [0, 1]; p_(j) the ascending shares of list slots, n = num_items.

    0: all items are recommended equally often; 1: one item has all slots. 0 for a catalogue of one item, NaN
    without any slot.

    Args:
        filled: [num_items], of `slots`.
    """
    ascending, num_items = np.sort(filled), len(filled)
    if ascending.sum() == 0:
        return float("nan")
    if num_items == 1:
        return 0.0
    j = np.arange(1, num_items + 1)
    return float(((2 * j - num_items - 1) * ascending).sum() / ascending.sum() / (num_items - 1))


def _mean_over_list(items: ItemLists, values: NDArray[Any]) -> FloatArray:
    """[n] mean of values[item] over each list, padding left out."""
    filled = items != PAD
    total = np.where(filled, values[items], 0).sum(axis=1, dtype=np.float64)
    return divide(total, filled.sum(axis=1))
