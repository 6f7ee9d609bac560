"""What a variant is asked, and what its answers are worth: by the evaluation's own code."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.metrics import table as measures
from bakeoff.evaluation.params import EvaluateParams
from bakeoff.evaluation.protocol import Recommendations, recommend
from bakeoff.evaluation.stats.intervals import intervals
from bakeoff.models.base.retriever import Retriever
from bakeoff.report.params import CompareParams

ALL = "all"
"""`first_interactions` of new users who are asked about with their whole history."""

PerUser = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Question:
    """What is asked of every variant of a group alike, about n users.

    Attributes:
        users: int64 [n], user_index of each.
        queries: n queries.
        exclude: n rows, items that are left out of the lists.
        truth: n rows, what would be right.
    """

    users: NDArray[np.int64]
    queries: Queries
    exclude: Histories
    truth: Histories

    def put(self, retriever: Retriever, params: EvaluateParams) -> Recommendations:
        """Rank the whole catalogue of the retriever.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        return recommend(retriever, self.users, self.queries, self.exclude, self.truth, params)


def about_warm_users(prepared: Prepared, told: Histories, truth: Histories) -> Question:
    """What comes after `told`, asked about the users who have truth; rows of both are user_index."""
    users = np.flatnonzero(truth.lengths)
    return Question(users, prepared.queries(told, users), told.take(users), truth.take(users))


def about_new_users(prepared: Prepared, held_out: HeldOut, params: EvaluateParams) -> dict[str, Question]:
    """By how many of their first events the model is told, which all are left out of the lists in any case."""
    users = np.flatnonzero(held_out.new_test.lengths)
    history = held_out.new_history
    told = {str(count): history.first(count) for count in params.first_interactions} | {ALL: history}
    return {
        step: Question(users, prepared.queries(events, users), history.take(users), held_out.new_test.take(users))
        for step, events in told.items()
    }


def accuracy_of(answers: Recommendations, params: EvaluateParams) -> PerUser:
    """Accuracy metrics of each user."""
    return measures.accuracy_per_user(answers.lists, answers.truth, params.cutoffs)


def means_of(
    answers: Recommendations, accuracy: PerUser, prepared: Prepared, params: EvaluateParams
) -> dict[str, float | None]:
    """Means over the users, of their accuracy and of how popular their lists are, and figures of all lists."""
    counts = prepared.train_counts
    num_users = prepared.num_warm_users
    popular = measures.popularity_per_user(answers.lists, answers.given, counts, num_users, params.cutoffs)
    together = measures.of_all_lists(answers.lists, popular, prepared.num_items, params.cutoffs)
    return measures.or_none(measures.means(accuracy | popular) | together)


def intervals_of(columns: Sequence[NDArray[np.float64]], seed: int, params: CompareParams) -> list[dict[str, float]]:
    """Mean, low and high end of each column of figures of the same n users, none of them NaN."""
    found = intervals(np.stack(columns, axis=1), np.random.default_rng(seed), params.confidence, params.resamples)
    return [
        {"mean": float(mean), "low": float(low), "high": float(high)}
        for mean, low, high in zip(found.mean, found.low, found.high, strict=True)
    ]
