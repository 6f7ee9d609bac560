"""Queries with a known truth, and how a trained model is ranked and scored on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics import table
from bakeoff.evaluation.metrics.table import PerUser
from bakeoff.evaluation.params import EvaluateParams
from bakeoff.evaluation.ranking import TopLists, rank
from bakeoff.models.base.retriever import Retriever


@dataclass(frozen=True)
class EvalSet:
    """Queries of n users and the items that would be right.

    Attributes:
        users: int64 [n], user_index of each.
        queries: n queries.
        exclude: n rows, items that lists must not contain.
        truth: n rows, the held-out items.
    """

    users: NDArray[np.int64]
    queries: Queries
    exclude: Histories
    truth: Histories

    @classmethod
    def of(
        cls, prepared: Prepared, history: Histories, truth: Histories, users: NDArray[np.int64] | None = None
    ) -> "EvalSet":
        """Queries with this history; lists exclude it.

        Args:
            prepared: the split.
            history: events before the query; rows are user_index.
            truth: held-out events; rows are user_index.
            users: user_index of those to evaluate; None: everyone with truth.
        """
        users = np.flatnonzero(truth.lengths) if users is None else users
        queries = prepared.queries(history, users)
        return cls(users, queries, queries.histories, truth.take(users))

    def __len__(self) -> int:
        return len(self.users)

    def rank(self, retriever: Retriever, list_length: int, users_per_block: int) -> TopLists:
        """Rank the whole catalogue of the retriever.

        Raises:
            BakeoffError: the model's embeddings are not finite.
        """
        return rank(retriever, self.queries, self.exclude, self.truth, list_length, users_per_block)

    def evaluate(self, retriever: Retriever, params: EvaluateParams) -> "Evaluated":
        """Rank with the lengths and cutoffs of the evaluation.

        Raises:
            BakeoffError: the model's embeddings are not finite.
        """
        lists = self.rank(retriever, params.list_length, params.users_per_block)
        accuracy = table.accuracy_per_user(lists, self.truth, params.cutoffs)
        return Evaluated(self, lists, accuracy, retriever.uses_fallback(self.queries))


@dataclass(frozen=True)
class Evaluated:
    """Lists of a model for an evaluation set, and their accuracy.

    Attributes:
        eval_set: the queries, n of them.
        lists: top-k lists of the n users.
        accuracy: accuracy metrics, float64 [n] each.
        fallback: bool [n], whether the model's stated fallback answered.
    """

    eval_set: EvalSet
    lists: TopLists
    accuracy: PerUser
    fallback: NDArray[np.bool_]

    def means(self, prepared: Prepared, cutoffs: Sequence[int]) -> dict[str, float | None]:
        """Means over users of accuracy and popularity metrics, and the figures of all lists together."""
        history = self.eval_set.queries.histories
        popularity = table.popularity_per_user(
            self.lists, history, prepared.train_counts, prepared.num_warm_users, cutoffs
        )
        together = table.of_all_lists(self.lists, popularity, prepared.num_items, cutoffs)
        return table.or_none(table.means(self.accuracy | popularity) | together)


def mean_or_none(per_user: PerUser) -> dict[str, float | None]:
    """Mean of each metric over the users for whom it is defined; None where there are none."""
    return table.or_none(table.means(per_user))
