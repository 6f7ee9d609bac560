"""Scores on validation, by which epochs and settings are chosen."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import draw_users
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics.table import accuracy_per_user, means
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.models.base.retriever import Retriever

SELECTION_METRIC = "ndcg@10"
"""Metric on validation by which epochs and settings are chosen; higher is better."""

SELECTION_LISTS = 20
"""Length of the lists on validation."""

MAX_VALIDATED_USERS = 50_000
"""Users that validation ranks for: more would cost more than the training. The mean NDCG@10 of so many users is known
to about 0.002, and every epoch and setting is judged by the same ones."""

USERS_PER_BLOCK = 1024
"""Users that validation ranks at once; bounds memory."""

Validate = Callable[[Retriever], Mapping[str, float]]
"""Scores a model on validation."""


def validated_users(lengths: NDArray[np.integer], seed: int) -> NDArray[np.int64]:
    """Rows of the users with validation events, ascending; a seeded sample of MAX_VALIDATED_USERS where there are more.

    Args:
        lengths: numbers of validation events of all users.
        seed: of the sample.
    """
    users = np.flatnonzero(lengths)
    return users[draw_users(len(users), MAX_VALIDATED_USERS, seed)]


def shipped_validation(prepared: Prepared, seed: int) -> Validate | None:
    """`validation_scores` on `validated_users`: what chooses epochs and settings of models that ship."""
    return validation_scores(prepared, validated_users(prepared.valid.lengths, seed))


def validation_scores(prepared: Prepared, users: NDArray[np.int64]) -> Validate | None:
    """Scores on the validation events of these users, with the train part as history; None where there is no user."""
    if len(users) == 0:
        return None
    eval_set = EvalSet.of(prepared, prepared.train, prepared.valid, users)

    def validate(retriever: Retriever) -> dict[str, float]:
        lists = eval_set.rank(retriever, SELECTION_LISTS, USERS_PER_BLOCK)
        scores = means(accuracy_per_user(lists, eval_set.truth, (10, SELECTION_LISTS)))
        return {metric: scores[metric] for metric in (SELECTION_METRIC, "recall@20")}

    return validate
