"""All metrics of one set of lists, by the names under which they are written and printed."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.evaluation.metrics import accuracy, popularity
from bakeoff.evaluation.metrics.sums import ExactSum
from bakeoff.evaluation.ranking import TopLists

_ACCURACY = {
    "recall": accuracy.recall,
    "ndcg": accuracy.ndcg,
    "mrr": accuracy.mrr,
    "hit_rate": accuracy.hit_rate,
}

HISTORY_POPULARITY = "history_arp"
"""Mean popularity of a user's own history: what `popularity_lift@k` compares `arp@k` with."""

ALL_ITEMS = "full_"
"""Before the name of a metric of test items that are ranked among a few others: the same among all items."""

PerUser = Mapping[str, NDArray[np.float64]]
"""Metrics by name, one value per user; NaN where it is not defined."""


def accuracy_per_user(lists: TopLists, truth: Histories, cutoffs: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """recall@k, ndcg@k, mrr@k and hit_rate@k of each user, float64 [n] in [0, 1]; NaN without truth."""
    relevant = accuracy.relevance(lists, truth)
    sizes = accuracy.num_relevant(truth)
    return {f"{name}@{k}": metric(relevant, sizes, k) for k in cutoffs for name, metric in _ACCURACY.items()}


def popularity_per_user(
    lists: TopLists,
    histories: Histories,
    counts: NDArray[np.int64],
    num_users: int,
    cutoffs: Sequence[int],
) -> dict[str, NDArray[np.float64]]:
    """arp@k, novelty@k and long_tail_share@k of each user's list, and history_arp, float64 [n].

    Args:
        lists: lists of n users.
        histories: n rows, what each user interacted with before.
        counts: [num_items] train interactions of each item.
        num_users: users whose train interactions were counted.
        cutoffs: the k.
    """
    tail = popularity.long_tail(counts)
    columns = {HISTORY_POPULARITY: popularity.history_popularity(histories, counts)}
    for k in cutoffs:
        columns[f"arp@{k}"] = popularity.average_popularity(lists.items, counts, k)
        columns[f"novelty@{k}"] = popularity.novelty(lists.items, counts, num_users, k)
        columns[f"long_tail_share@{k}"] = popularity.long_tail_share(lists.items, tail, k)
    return columns


class AllLists:
    """coverage@k, gini@k and popularity_lift@k: figures that no single user has, of lists that come in portions.

    In however many portions and in whatever order they come, the figures are the same.
    """

    def __init__(self, num_items: int, cutoffs: Sequence[int]) -> None:
        """Begin without a list."""
        self._slots = {k: np.zeros(num_items, np.int64) for k in cutoffs}
        self._lift = {k: popularity.PopularityLift() for k in cutoffs}

    def add(self, lists: TopLists, per_user: PerUser) -> None:
        """Count the lists of some more users, whose `arp@k` and `history_arp` are in `per_user`."""
        for k, filled in self._slots.items():
            filled += popularity.slots(lists.items, len(filled), k)
            self._lift[k].add(per_user[f"arp@{k}"], per_user[HISTORY_POPULARITY])

    def figures(self) -> dict[str, float]:
        """All of them; NaN where one is not defined."""
        figures = {}
        for k, filled in self._slots.items():
            figures[f"coverage@{k}"] = popularity.coverage(filled)
            figures[f"gini@{k}"] = popularity.gini(filled)
            figures[f"popularity_lift@{k}"] = self._lift[k].value
        return figures


def of_all_lists(lists: TopLists, per_user: PerUser, num_items: int, cutoffs: Sequence[int]) -> dict[str, float]:
    """The figures of AllLists where all lists are there at once."""
    together = AllLists(num_items, cutoffs)
    together.add(lists, per_user)
    return together.figures()


class Means:
    """Mean of each metric over users who come in portions, of those for whom it is defined.

    In however many portions and in whatever order they come, the means are the same.
    """

    def __init__(self) -> None:
        """Begin without a user."""
        self._sums: dict[str, ExactSum] = {}

    def add(self, per_user: PerUser) -> None:
        """Count some more users, or none; all portions have the same metrics."""
        for name, values in per_user.items():
            self._sums.setdefault(name, ExactSum()).add(values[~np.isnan(values)])

    def figures(self) -> dict[str, float]:
        """By name; NaN where a metric is defined for nobody."""
        return {name: total.mean for name, total in self._sums.items()}


def means(per_user: PerUser) -> dict[str, float]:
    """The figures of Means where all users are there at once."""
    together = Means()
    together.add(per_user)
    return together.figures()


def or_none(figures: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: null where a figure is not defined."""
    return {name: None if math.isnan(value) else value for name, value in figures.items()}
