"""The table of metrics, and what computes all metrics of a set of lists under the names used in files.

A new metric is one entry of METRICS: the tables of every user, metrics.json, the choice of a primary metric and the
labels of the report follow from it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.core.histories import Histories
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics import formulas
from bakeoff.evaluation.metrics.formulas import BoolArray, FloatArray, IntArray
from bakeoff.evaluation.ranking import TopLists

if TYPE_CHECKING:
    from bakeoff.evaluation.ranking.protocol import Evaluated

HISTORY_POPULARITY = "history_arp"
"""Mean popularity of a user's own history: what `popularity_lift@k` compares `arp@k` with."""

ALL_ITEMS = "full_"
"""Prefix of a metric of test items that are ranked among all items, in tables of those ranked among a few."""

DEBIAS_EXPONENT = 0.5
"""β of `debiased_ndcg`: a hit on an item with 100 train interactions counts a tenth of one on an item with one."""

PerUser = dict[str, FloatArray]
"""Metrics by name, one value per user; NaN where it is not defined."""


class MetricSet(Enum):
    """What a metric is computed from, and so the signature of its function."""

    ACCURACY = "accuracy"
    """(relevant [n, length], num_relevant [n], k) → [n] values of users."""
    POPULARITY = "popularity"
    """(counts [num_items], users [num_items], num_users) → [num_items] values of items, averaged over the first k of
    each user's list; see `popularity_per_user`."""
    CATALOGUE = "catalogue"
    """(Evaluated, Prepared, k) → [n] values of users, from lists and what is known of the items. They are not in the
    family of tests of the accuracy metrics."""
    ALL_LISTS = "all lists"
    """(ListTotals) → a figure that the first k items of all lists have together."""


@dataclass(frozen=True)
class Metric:
    """An entry of the table.

    Attributes:
        name: its name in files, before `@k`.
        label: its name in the report, before `@k`.
        set: what it is computed from.
        function: computes it; see MetricSet.
    """

    name: str
    label: str
    set: MetricSet
    function: Callable[..., Any]


def _debiased_ndcg(found: "Evaluated", prepared: Prepared, k: int) -> FloatArray:
    weights = formulas.popularity_weights(prepared.train_counts, DEBIAS_EXPONENT)
    return formulas.debiased_ndcg(found.lists, found.relevant, found.eval_set.truth, weights, k)


def _diversity(found: "Evaluated", prepared: Prepared, k: int) -> FloatArray:
    return formulas.intra_list_diversity(found.lists, prepared.item_features.directions, k)


class ExactSum:
    """The exact sum and the number of float64 values, whatever their order and the batches they come in."""

    def __init__(self) -> None:
        """Start at 0."""
        self.count = 0
        self._total = Fraction(0)

    def add(self, values: FloatArray) -> None:
        """Add float64 [n], n < 2^36.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        if not np.isfinite(values).all():
            raise ValueError("what is not finite can't be summed: leave it out")
        fractions, exponents = np.frexp(values)
        whole = np.ldexp(fractions, 53).astype(np.int64)  # each value is one of these times a power of two
        for exponent in np.unique(exponents):
            # In two halves, whose sums int64 can hold.
            high, low = np.divmod(whole[exponents == exponent], 1 << 27)
            total = (int(high.sum()) << 27) + int(low.sum())
            self._total += total * Fraction(2) ** (int(exponent) - 53)
        self.count += len(values)

    @property
    def value(self) -> float:
        """The float64 next to the sum: what `math.fsum` gives for all values at once."""
        return float(self._total)

    @property
    def mean(self) -> float:
        """`value` / `count`; NaN without a value."""
        return self.value / self.count if self.count else float("nan")


@dataclass
class ListTotals:
    """Totals over the first k items of all lists.

    Attributes:
        slots: int64 [num_items], number of list slots that each item fills.
        lists: sum of `arp@k` over users with both a list and a history.
        histories: sum of `history_arp` over the same users.
    """

    slots: IntArray
    lists: ExactSum = field(default_factory=ExactSum)
    histories: ExactSum = field(default_factory=ExactSum)

    def popularity_lift(self) -> float:
        """ARP(lists) / ARP(histories) − 1: 0 means that lists are as popular as what people already like.

        At least −1; NaN where no user has both a list and a history, or histories have popularity 0.
        """
        own = self.histories.value
        return self.lists.value / own - 1 if own > 0 else float("nan")


METRICS = (
    Metric("recall", "Capped recall", MetricSet.ACCURACY, formulas.recall),
    Metric("ndcg", "NDCG", MetricSet.ACCURACY, formulas.ndcg),
    Metric("mrr", "MRR", MetricSet.ACCURACY, formulas.mrr),
    Metric("hit_rate", "Hit rate", MetricSet.ACCURACY, formulas.hit_rate),
    Metric("arp", "ARP", MetricSet.POPULARITY, lambda counts, *_: counts),
    Metric("novelty", "Novelty", MetricSet.POPULARITY, lambda _, users, n: formulas.self_information(users, n)),
    Metric("long_tail_share", "Long-tail share", MetricSet.POPULARITY, lambda counts, *_: formulas.long_tail(counts)),
    Metric("debiased_ndcg", f"Debiased NDCG (β {DEBIAS_EXPONENT})", MetricSet.CATALOGUE, _debiased_ndcg),
    Metric("diversity", "Intra-list diversity", MetricSet.CATALOGUE, _diversity),
    Metric("coverage", "Coverage", MetricSet.ALL_LISTS, lambda totals: formulas.coverage(totals.slots)),
    Metric("gini", "Gini", MetricSet.ALL_LISTS, lambda totals: formulas.gini(totals.slots)),
    Metric("popularity_lift", "Popularity lift", MetricSet.ALL_LISTS, ListTotals.popularity_lift),
)
"""All metrics, in the order of the columns of files."""


def metrics_of(group: MetricSet) -> dict[str, Metric]:
    """Metrics of a set by name, in order."""
    return {metric.name: metric for metric in METRICS if metric.set is group}


ACCURACY_LABELS = {
    name: metric.label for name, metric in sorted(metrics_of(MetricSet.ACCURACY).items(), key=lambda m: m[0] != "ndcg")
}
"""Labels of the accuracy metrics by name, in the order in which the report shows them: NDCG first."""


def accuracy_per_user(lists: TopLists, truth: Histories, cutoffs: Sequence[int]) -> dict[str, FloatArray]:
    """recall@k, ndcg@k, mrr@k and hit_rate@k of each user, float64 [n] in [0, 1]; NaN without truth."""
    return accuracy_of(formulas.relevance(lists, truth), truth, cutoffs)


def accuracy_of(relevant: BoolArray, truth: Histories, cutoffs: Sequence[int]) -> dict[str, FloatArray]:
    """`accuracy_per_user` of lists with these hits, [n, length], from `formulas.relevance`."""
    return at_cutoffs(MetricSet.ACCURACY, cutoffs, relevant, formulas.num_relevant(truth))


def popularity_per_user(
    lists: TopLists, histories: Histories, counts: IntArray, users: IntArray, num_users: int, cutoffs: Sequence[int]
) -> dict[str, FloatArray]:
    """history_arp, and arp@k, novelty@k and long_tail_share@k of each user's list, float64 [n].

    Args:
        lists: lists of n users.
        histories: n rows, what each user interacted with before.
        counts: [num_items] train interactions of each item.
        users: [num_items] users with a train interaction with each item.
        num_users: users whose train interactions were counted.
        cutoffs: the k.
    """
    values = {
        name: entry.function(counts, users, num_users) for name, entry in metrics_of(MetricSet.POPULARITY).items()
    }
    return {HISTORY_POPULARITY: formulas.history_popularity(histories, counts)} | {
        f"{name}@{k}": formulas.mean_over_list(lists, of_items, k) for k in cutoffs for name, of_items in values.items()
    }


def at_cutoffs(group: MetricSet, cutoffs: Sequence[int], *given: Any) -> dict[str, FloatArray]:
    """Metrics of a set at each of the k, by name, whose functions take what is given and k; see MetricSet."""
    table = metrics_of(group)
    return {f"{name}@{k}": metric.function(*given, k) for k in cutoffs for name, metric in table.items()}


class AllLists:
    """coverage@k, gini@k and popularity_lift@k: figures that no single user has, of lists that come in batches.

    Neither the number nor the order of batches changes the figures.
    """

    def __init__(self, num_items: int, cutoffs: Sequence[int]) -> None:
        """Start without a list."""
        self._totals = {k: ListTotals(np.zeros(num_items, np.int64)) for k in cutoffs}

    def add(self, lists: TopLists, per_user: PerUser) -> None:
        """Count the lists of more users, whose `arp@k` and `history_arp` are in `per_user`."""
        for k, totals in self._totals.items():
            totals.slots += formulas.slots(lists, len(totals.slots), k)
            both = np.stack([per_user[f"arp@{k}"], per_user[HISTORY_POPULARITY]])
            of_lists, of_histories = both[:, ~np.isnan(both).any(axis=0)]
            totals.lists.add(of_lists)
            totals.histories.add(of_histories)

    def figures(self) -> dict[str, float]:
        """All figures; NaN where one is not defined."""
        table = metrics_of(MetricSet.ALL_LISTS)
        return {f"{name}@{k}": each.function(of_k) for k, of_k in self._totals.items() for name, each in table.items()}


def of_all_lists(lists: TopLists, per_user: PerUser, num_items: int, cutoffs: Sequence[int]) -> dict[str, float]:
    """The figures of AllLists where all lists are in one batch."""
    together = AllLists(num_items, cutoffs)
    together.add(lists, per_user)
    return together.figures()


class Means:
    """The number of users who come in batches, and the mean of each metric over those for whom it is defined.

    Neither the number nor the order of batches changes the means.
    """

    def __init__(self) -> None:
        """Start without a user."""
        self.num_users = 0
        self._sums: dict[str, ExactSum] = {}

    def add(self, per_user: Mapping[str, FloatArray]) -> None:
        """Count more users, or none; all batches have the same metrics."""
        self.num_users += max(map(len, per_user.values()), default=0)
        for name, values in per_user.items():
            self._sums.setdefault(name, ExactSum()).add(values[~np.isnan(values)])

    def figures(self) -> dict[str, float]:
        """By name; NaN where a metric is defined for nobody."""
        return {name: total.mean for name, total in self._sums.items()}


def means(per_user: Mapping[str, FloatArray]) -> dict[str, float]:
    """The figures of Means where all users are in one batch."""
    together = Means()
    together.add(per_user)
    return together.figures()


def means_or_none(per_user: PerUser) -> dict[str, float | None]:
    """Mean of each metric over the users for whom it is defined; None where there are none."""
    return or_none(means(per_user))


def or_none(figures: Mapping[str, float]) -> dict[str, float | None]:
    """The figures with None for NaN, which JSON does not have."""
    return {name: None if math.isnan(value) else value for name, value in figures.items()}
