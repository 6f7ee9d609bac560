"""What all variants of a group are trained on and asked, and what one of them answered."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.metrics.table import means, or_none
from bakeoff.evaluation.protocol import Recommendations
from bakeoff.experiments.variants.cold_start_queries import (
    PerUser,
    Question,
    about_new_users,
    about_warm_users,
    accuracy_of,
    means_of,
)
from bakeoff.experiments.variants.groups import NEW_ITEMS, Group, Skipped
from bakeoff.experiments.variants.measure_folding import model_folding
from bakeoff.experiments.variants.new_items import MIN_EVENTS, AmongItems, draw_new_items, only_items, withhold
from bakeoff.experiments.variants.relatedness import Relatedness, fit_relatedness
from bakeoff.models.base.retriever import Retriever


@dataclass(frozen=True)
class Answered:
    """What a variant answered.

    Attributes:
        answers: about warm users.
        accuracy: metrics of each of them.
        new_users: the same about new users, by first interactions told.
        figures: `metrics`, `new_users`, `folding` and, of new items, `among_new`, as JSON values.
        folding: figures of each warm user of a sample, NaN of the others; empty where folding is not measured.
        among_new: metrics of each warm user in lists of new items alone, named `among_new_…`; empty without new items.
        queries_per_cpu_second: warm users embedded and ranked, each time that they were asked about but the first;
            empty where they were asked about once.
    """

    answers: Recommendations
    accuracy: PerUser
    new_users: Mapping[str, tuple[Recommendations, PerUser]]
    figures: dict[str, Any]
    folding: PerUser
    among_new: PerUser
    queries_per_cpu_second: Sequence[float]


@dataclass(frozen=True)
class Plan:
    """What all variants of a group are trained on and asked.

    Attributes:
        group: what is compared.
        prepared: what training sees.
        question: about warm users.
        new_users: by first interactions told; empty where they are not asked about.
        relatedness: where folding is measured.
        new_items: int64 [m], where new items are asked for; else empty.
    """

    group: Group
    prepared: Prepared
    question: Question
    new_users: Mapping[str, Question] = field(default_factory=dict)
    relatedness: Relatedness | None = None
    new_items: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def ask(self, retriever: Retriever) -> Answered:
        """Ask a trained variant.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        params = self.group.params.evaluate
        rates = []
        for _ in range(self.group.asked_times):
            start = time.process_time()
            answers = self.question.put(retriever, params)
            rates.append(len(answers) / (time.process_time() - start))
        accuracy = accuracy_of(answers, params)
        new_users = {step: question.put(retriever, params) for step, question in self.new_users.items()}
        of_new_users = {step: (each, accuracy_of(each, params)) for step, each in new_users.items()}
        folding = self._folding(retriever)
        figures = {
            "metrics": means_of(answers, accuracy, self.prepared, params),
            "new_users": {step: or_none(means(per_user)) for step, (_, per_user) in of_new_users.items()},
            "folding": or_none(means(folding)) if folding else None,
        }
        among_new = self._among_new(retriever) if len(self.new_items) else {}
        if among_new:
            figures["among_new"] = or_none(means(among_new))
        prefixed = {f"among_new_{name}": values for name, values in among_new.items()}
        return Answered(answers, accuracy, of_new_users, figures, folding, prefixed, rates[1:])

    def _folding(self, retriever: Retriever) -> PerUser:
        if self.relatedness is None:
            return {}
        asked = self.question
        return model_folding(retriever, asked.queries, self.relatedness, asked.users, seed=self.group.params.seed)

    def _among_new(self, retriever: Retriever) -> PerUser:
        """Accuracy of lists of new items alone."""
        among = AmongItems(retriever, self.new_items)
        asked, params = self.question, self.group.params.evaluate
        exclude, truth = among.renumbered(asked.exclude), among.renumbered(asked.truth)
        answers = Question(asked.users, asked.queries, exclude, truth).put(among, params)
        return accuracy_of(answers, params)


def plan_on_validation(group: Group, prepared: Prepared) -> Plan:
    """Ask about validation, with the train part as the history.

    Raises:
        BakeoffError: there is no validation event.
    """
    question = about_warm_users(prepared, prepared.train, prepared.valid)
    if len(question.users) == 0:
        raise BakeoffError("The validation part has no event to judge by: raise split.valid_share and split again.")
    return Plan(group, prepared, question, relatedness=_relatedness(group, prepared, on_train=True))


def plan_on_test(group: Group, prepared: Prepared, held_out: HeldOut) -> Plan | Skipped:
    """Ask about test, with train and validation as the history.

    Raises:
        BakeoffError: no warm user has a test item.
    """
    if not held_out.test.lengths.any():
        raise BakeoffError(
            "No warm user has a test item, so there is nothing to measure: raise split.test_share in params.yaml, or "
            "bring more events per user, and split again."
        )
    if group.name == NEW_ITEMS:
        return _plan_of_new_items(group, prepared, held_out)
    question = about_warm_users(prepared, prepared.known(), held_out.test)
    new_users = about_new_users(prepared, held_out, group.params.evaluate) if group.asks_new_users else {}
    return Plan(group, prepared, question, new_users, _relatedness(group, prepared))


def _relatedness(group: Group, prepared: Prepared, on_train: bool = False) -> Relatedness | None:
    if not group.measures_folding:
        return None
    params = group.params
    told = prepared.train if on_train else prepared.known()
    return fit_relatedness(told, prepared.num_items, params.mf, params.evidence.relatedness_weight, params.seed)


def _plan_of_new_items(group: Group, prepared: Prepared, held_out: HeldOut) -> Plan | Skipped:
    """Truth is in test alone, as everywhere: a withheld train event lies before the history that models are told.

    What a user met of the new items before test stays out of the lists, as it would be for any other item.
    """
    new = draw_new_items(prepared, group.params.evidence.new_item_share, group.params.seed)
    truth = only_items(held_out.test, new, prepared.num_items)
    seen = withhold(prepared, new)
    if len(truth.items) == 0:
        return Skipped(
            f"No test event is on an item that could be made new: it takes items with {MIN_EVENTS} events before test. "
            "Raise evidence.new_item_share, or bring more events."
        )
    users = np.flatnonzero(truth.lengths)
    question = Question(users, seen.queries(seen.known(), users), prepared.known().take(users), truth.take(users))
    return Plan(group, seen, question, new_items=new)
