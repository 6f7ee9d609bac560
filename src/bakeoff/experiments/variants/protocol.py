"""How the variants of a group are evaluated: on which queries, against which truth, and with which extra metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import draw_users
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.metrics.table import PerUser, accuracy_per_user, means_or_none
from bakeoff.evaluation.ranking.protocol import EvalQueries, EvalSet, Evaluated, users_with_test_items
from bakeoff.experiments.folding import Relatedness, fit_relatedness, model_folding
from bakeoff.experiments.params import ExperimentSettings, sentence
from bakeoff.experiments.subsets import with_users, withhold
from bakeoff.experiments.training.runner import Seconds, facts_of
from bakeoff.experiments.variants.groups import NEW_ITEMS, Group, NothingToCompareError, make_group
from bakeoff.models.base.retriever import Retriever

MIN_EVENTS = 5
"""Train and validation events that an item must have to be drawn: test has hardly any event on the others."""


def held_out_with_users(held_out: HeldOut, users: NDArray[np.int64]) -> HeldOut:
    """The held-out events of these users."""
    return HeldOut(held_out.test.take(users), held_out.new_history.take(users), held_out.new_test.take(users))


def sample_sentence(count: int, total: int) -> str:
    """A sentence for the report about the sample; empty if it holds all users."""
    return "" if count == total else sentence("sample", count=count, total=total)


def draw_new_items(prepared: Prepared, share: float, seed: int) -> NDArray[np.int64]:
    """Indices of the items that count as new, ascending.

    Args:
        prepared: the split; test plays no part in the choice.
        share: in [0, 1), of the items that have MIN_EVENTS; rounded, but at least one of them if it is above 0.
        seed: of the draw.
    """
    counts = prepared.known().item_counts(prepared.num_items)
    eligible = np.flatnonzero(counts >= MIN_EVENTS)
    size = min(len(eligible), max(1, round(share * len(eligible)))) if share > 0 else 0
    return np.sort(np.random.default_rng(seed).choice(eligible, size, replace=False))


@dataclass(frozen=True)
class VariantMetrics:
    """What was measured of a variant.

    Attributes:
        warm: on warm users.
        new_users: on new users, by the number of their first interactions that are known.
        figures: `metrics`, `new_users`, `folding` and, of new items, `among_new`, as JSON values.
        further: of each warm user, next to the accuracy: metrics in lists of new items alone, `among_new_…`, where
            there are any; folding of those in a sample, NaN for the others, where it is measured.
        queries_per_cpu_second: warm users embedded and ranked, of every ranking but the first; empty for one ranking.
    """

    warm: Evaluated
    new_users: Mapping[str, Evaluated]
    figures: dict[str, Any]
    further: PerUser
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
        of_new_users = {count: means_or_none(each.accuracy) for count, each in new_users.items()}
        figures: dict[str, Any] = {"metrics": warm.means(self.prepared), "new_users": of_new_users, "folding": None}
        further: PerUser = {}
        if len(self.new_items):
            lists = self.warm.rank(retriever, params.list_length, params.users_per_block, among=self.new_items)
            among_new = accuracy_per_user(lists, self.warm.truth, params.cutoffs)
            figures["among_new"] = means_or_none(among_new)
            further = {f"among_new_{name}": values for name, values in among_new.items()}
        if self.relatedness is not None:
            folding = model_folding(retriever, self.warm, self.relatedness, seed=shipped.seed)
            figures["folding"] = means_or_none(folding)
            further |= folding
        return VariantMetrics(warm, new_users, figures, further, rates[1:])


def protocol_of(
    settings: ExperimentSettings, name: str, whole: Prepared, held_out: Callable[[], HeldOut]
) -> VariantProtocol:
    """The protocol of a group on a split, or on a seeded sample of its users if it has more than evidence.max_users.

    The truth is in test, with train and validation as the history, or in validation, with the train part alone.

    Args:
        settings: the settings.
        name: of the group.
        whole: the split.
        held_out: reads its held-out events; not called for groups that are judged on validation.

    Raises:
        BakeoffError: there is no such group, or nobody to evaluate on.
        NothingToCompareError: the group is skipped on this split.
    """
    users = draw_users(whole.num_users, settings.evidence.max_users, settings.seed)
    prepared = with_users(whole, users)
    group = make_group(name, settings, facts_of(prepared))
    said = filter(None, [group.sentence, sample_sentence(len(users), whole.num_users)])
    group = replace(group, sentence=" ".join(said))
    shipped, new_users = group.shipped, dict[str, EvalSet]()
    if group.judged_on == "valid":
        known, truth = prepared.train, prepared.valid
        if len(truth.items) == 0:
            raise BakeoffError("The validation part has no event to judge by: raise split.valid_share and split again.")
    else:
        events = held_out_with_users(held_out(), users)
        users_with_test_items(events.test, "measure")  # raises where there are none
        if group.name == NEW_ITEMS:
            return _on_new_items(group, prepared, events)
        known, truth = prepared.known(), events.test
        if group.evaluates_new_users:
            of_new = EvalQueries(prepared, events, shipped.evaluate, shipped.seed, shipped.evidence.sampled_candidates)
            new_users = {step: of_new.eval_set(step, of_new.users(step)) for step in of_new.steps}
    relatedness = None
    if group.measures_folding:
        weight = shipped.evidence.relatedness_weight
        relatedness = fit_relatedness(known, prepared.num_items, shipped.mf, weight, shipped.seed)
    return VariantProtocol(group, prepared, EvalSet.of(prepared, known, truth), new_users, relatedness)


def _on_new_items(group: Group, prepared: Prepared, held_out: HeldOut) -> VariantProtocol:
    """Truth is in test alone, as everywhere: a withheld train event precedes the history of the query.

    New items that a user had before test are excluded from the lists, like any other item.
    """
    new = draw_new_items(prepared, group.shipped.evidence.new_item_share, group.shipped.seed)
    truth = held_out.test.keep(np.isin(held_out.test.items, new))
    seen = withhold(prepared, new)
    if len(truth.items) == 0:
        raise NothingToCompareError(sentence("new-items_untested", events=MIN_EVENTS))
    users = np.flatnonzero(truth.lengths)
    warm = EvalSet.of_rows(seen, users, seen.known().take(users), truth.take(users), prepared.known().take(users))
    return VariantProtocol(group, seen, warm, new_items=new)
