"""How the variants of a group are evaluated: on which queries, against which truth, and with which extra metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.metrics.table import PerUser, means_or_none
from bakeoff.evaluation.protocol import EvalQueries, EvalSet, Evaluated, users_with_test_items
from bakeoff.experiments.folding import Relatedness, fit_relatedness, model_folding
from bakeoff.experiments.training.runner import Seconds
from bakeoff.experiments.variants.groups import NEW_ITEMS
from bakeoff.experiments.variants.subsets import MIN_EVENTS, ItemSubset, draw_new_items, only_items, withhold
from bakeoff.experiments.variants.variant import Group, SkippedGroup
from bakeoff.models.base.retriever import Retriever


@dataclass(frozen=True)
class VariantMetrics:
    """What was measured of a variant.

    Attributes:
        warm: on warm users.
        new_users: on new users, by the number of their first interactions that are known.
        figures: `metrics`, `new_users`, `folding` and, of new items, `among_new`, as JSON values.
        folding: figures of each warm user of a sample, NaN for the others; empty where folding is not measured.
        among_new: metrics of each warm user in lists of new items alone, named `among_new_…`; empty without new items.
        queries_per_cpu_second: warm users embedded and ranked, of every ranking but the first; empty for one ranking.
    """

    warm: Evaluated
    new_users: Mapping[str, Evaluated]
    figures: dict[str, Any]
    folding: PerUser
    among_new: PerUser
    queries_per_cpu_second: Sequence[float]


@dataclass(frozen=True)
class VariantProtocol:
    """What all variants of a group are trained and evaluated on.

    Attributes:
        group: what is compared.
        prepared: what training sees.
        warm: queries of warm users.
        new_users: queries of new users by the number of their first interactions that are known; may be empty.
        relatedness: where folding is measured.
        new_items: int64 [m], items that count as new; may be empty.
    """

    group: Group
    prepared: Prepared
    warm: EvalSet
    new_users: Mapping[str, EvalSet] = field(default_factory=dict)
    relatedness: Relatedness | None = None
    new_items: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def evaluate(self, retriever: Retriever) -> VariantMetrics:
        """Evaluate a trained variant.

        Raises:
            BakeoffError: the model's embeddings are not finite.
        """
        shipped = self.group.shipped
        params, rates = shipped.evaluate, []
        for _ in range(self.group.rankings):
            start = Seconds.now()
            warm = self.warm.evaluate(retriever, params)
            rates.append(len(self.warm) / Seconds.now().since(start).cpu)
        new_users = {count: each.evaluate(retriever, params) for count, each in self.new_users.items()}
        folding: PerUser = {}
        if self.relatedness is not None:
            queries, users = self.warm.queries, self.warm.users
            folding = model_folding(retriever, queries, self.relatedness, users, seed=shipped.seed)
        figures = {
            "metrics": warm.means(self.prepared),
            "new_users": {count: means_or_none(each.accuracy) for count, each in new_users.items()},
            "folding": means_or_none(folding) if folding else None,
        }
        among_new = self._among_new(retriever) if len(self.new_items) else {}
        if among_new:
            figures["among_new"] = means_or_none(among_new)
        prefixed = {f"among_new_{name}": values for name, values in among_new.items()}
        return VariantMetrics(warm, new_users, figures, folding, prefixed, rates[1:])

    def _among_new(self, retriever: Retriever) -> PerUser:
        """Accuracy of lists of new items alone."""
        subset, warm = ItemSubset(retriever, self.new_items), self.warm
        exclude, truth = subset.renumbered(warm.exclude), subset.renumbered(warm.truth)
        return EvalSet(warm.users, warm.queries, exclude, truth).evaluate(subset, self.group.shipped.evaluate).accuracy


def on_validation(group: Group, prepared: Prepared) -> VariantProtocol:
    """Evaluate on validation, with the train part as the history.

    Raises:
        BakeoffError: there is no validation event.
    """
    warm = EvalSet.of(prepared, prepared.train, prepared.valid)
    if len(warm) == 0:
        raise BakeoffError("The validation part has no event to judge by: raise split.valid_share and split again.")
    return VariantProtocol(group, prepared, warm, relatedness=_relatedness(group, prepared, on_train=True))


def on_test(group: Group, prepared: Prepared, held_out: HeldOut) -> VariantProtocol | SkippedGroup:
    """Evaluate on test, with train and validation as the history.

    Raises:
        BakeoffError: no warm user has a test item.
    """
    users_with_test_items(held_out.test, "measure")  # raises where there are none
    if group.name == NEW_ITEMS:
        return _on_new_items(group, prepared, held_out)
    warm = EvalSet.of(prepared, prepared.known(), held_out.test)
    shipped = group.shipped
    of_new = EvalQueries(prepared, held_out, shipped.evaluate, shipped.seed, shipped.evidence.sampled_candidates)
    steps = of_new.steps if group.evaluates_new_users else ()
    new_users = {step: of_new.eval_set(step, of_new.new) for step in steps}
    return VariantProtocol(group, prepared, warm, new_users, _relatedness(group, prepared))


def _relatedness(group: Group, prepared: Prepared, on_train: bool = False) -> Relatedness | None:
    if not group.measures_folding:
        return None
    shipped = group.shipped
    history = prepared.train if on_train else prepared.known()
    weight = shipped.evidence.relatedness_weight
    return fit_relatedness(history, prepared.num_items, shipped.mf, weight, shipped.seed)


def _on_new_items(group: Group, prepared: Prepared, held_out: HeldOut) -> VariantProtocol | SkippedGroup:
    """Truth is in test alone, as everywhere: a withheld train event precedes the history of the query.

    New items that a user had before test are excluded from the lists, like any other item.
    """
    new = draw_new_items(prepared, group.shipped.evidence.new_item_share, group.shipped.seed)
    truth = only_items(held_out.test, new, prepared.num_items)
    seen = withhold(prepared, new)
    if len(truth.items) == 0:
        return SkippedGroup(
            f"No test event is on an item that could be made new: it takes items with {MIN_EVENTS} events before test. "
            "Raise evidence.new_item_share, or bring more events."
        )
    users = np.flatnonzero(truth.lengths)
    warm = EvalSet(users, seen.queries(seen.known(), users), prepared.known().take(users), truth.take(users))
    return VariantProtocol(group, seen, warm, new_items=new)
