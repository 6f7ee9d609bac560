"""One question, such as "what next, given the first 5 events?", asked to a model about many users."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.evaluation.params import EvaluateParams
from bakeoff.evaluation.ranking import TopLists, rank
from bakeoff.models.base.retriever import Retriever


@dataclass(frozen=True)
class Answers:
    """What a model answered about n users, and what would have been right.

    Attributes:
        users: int64 [n], user_index of each.
        told: n rows, the history that the model was told.
        truth: n rows, the user's test items.
        lists: the recommendations.
        fallback: bool [n], where the model has no answer of its own and its stated fallback answered.
    """

    users: NDArray[np.int64]
    told: Histories
    truth: Histories
    lists: TopLists
    fallback: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class Asker:
    """A retriever and how it is asked.

    Attributes:
        retriever: the model.
        list_length: items in each list.
        users_per_block: users ranked at once, which bounds memory.
        on_block: called with the number of users after each block.
    """

    retriever: Retriever
    list_length: int
    users_per_block: int
    on_block: Callable[[int], None] | None = None

    @classmethod
    def of(cls, retriever: Retriever, params: EvaluateParams, on_block: Callable[[int], None] | None = None) -> Self:
        """As the parameters say it."""
        return cls(retriever, params.list_length, params.users_per_block, on_block)

    def ask(self, users: NDArray[np.int64], queries: Queries, exclude: Histories, truth: Histories) -> Answers:
        """Ask about users with index `users`, [n]; queries, exclude and truth have n rows in their order.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        lists = rank(
            self.retriever,
            queries,
            exclude,
            truth,
            list_length=self.list_length,
            users_per_block=self.users_per_block,
            on_block=self.on_block,
        )
        return Answers(users, queries.histories, truth, lists, self.retriever.uses_fallback(queries))
