"""Softmax DNNs that never see a negative of another group: the cases in which they fold."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.experiments.training.runner import Build
from bakeoff.models.neural.batches import Batch, Batches
from bakeoff.models.neural.examples import target_chances
from bakeoff.models.neural.negatives.proposals import InBatchSampler, NegativeSampler
from bakeoff.models.neural.pooling import RecencyPooling
from bakeoff.models.neural.spec import SoftmaxParams
from bakeoff.models.neural.trainer import build


class OwnGroupSampler(NegativeSampler):
    """In-batch negatives of batches whose users are all of one group: the targets of the others of that group."""

    def __init__(
        self, histories: Histories, num_items: int, params: SoftmaxParams, user_groups: NDArray[np.integer]
    ) -> None:
        """Count within each group; an item that users of several groups meet, as noise has it, by the most likely."""
        parts = [histories.take(np.flatnonzero(user_groups == group)) for group in np.unique(user_groups)]
        chances = [_in_batch(part, num_items, params).inclusion for part in parts]
        super().__init__(np.max(chances, axis=0))  # given a batch of the item's group

    def _ids(self, targets: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.integer]:
        return np.unique(targets)


class OwnGroupBatches(Batches):
    """Batches of users of one group each, in random order."""

    user_groups: NDArray[np.integer]
    """[n], group of each query; set before the first epoch."""

    @property
    def per_epoch(self) -> int:
        """Batches in which every user is seen once; the last one of a group may be smaller."""
        sizes = np.bincount(self.user_groups[self._users])
        return int((-(-sizes // self._params.users_per_batch)).sum())

    def epoch(self) -> Iterator[Batch]:
        """One pass over the users."""
        order = self._rng.permutation(self._users)
        of_group = [order[self.user_groups[order] == group] for group in np.unique(self.user_groups)]
        size = self._params.users_per_batch
        batches = [users[start : start + size] for users in of_group for start in range(0, len(users), size)]
        for place in self._rng.permutation(len(batches)):
            yield self._batch(batches[place])


class PositivesOnlyBatches(Batches):
    """Batches in which every candidate is masked, as if all items were the user's own."""

    def _own(self, block: Queries, candidates: NDArray[np.int32]) -> NDArray[np.bool_]:
        return np.ones((len(block), len(candidates)), np.bool_)


def own_group_batches(
    queries: Queries,
    pooling: RecencyPooling,
    params: SoftmaxParams,
    num_items: int,
    rng: np.random.Generator,
    user_groups: NDArray[np.integer],
) -> Batches:
    """Batches with negatives of the user's own group alone; user_groups [n] holds the group of each query."""
    sampler = OwnGroupSampler(queries.histories, num_items, params, user_groups)
    batches = OwnGroupBatches(queries, sampler, pooling, params, num_items, rng)
    batches.user_groups = user_groups
    return batches


def positives_only_batches(
    queries: Queries, pooling: RecencyPooling, params: SoftmaxParams, num_items: int, rng: np.random.Generator
) -> Batches:
    """Batches without any negative: a user's positives compete with each other and nothing else."""
    return PositivesOnlyBatches(
        queries, _in_batch(queries.histories, num_items, params), pooling, params, num_items, rng
    )


def _in_batch(histories: Histories, num_items: int, params: SoftmaxParams) -> InBatchSampler:
    return InBatchSampler(partial(target_chances, params=params), histories, params.users_per_batch, num_items)


positives_only_trainer = partial(build, make_batches=positives_only_batches)
"""Builds a softmax DNN that is trained without negatives."""


def own_group_trainer(user_groups: NDArray[np.integer]) -> Build:
    """Builds a softmax DNN with negatives of the user's own group; user_groups [n] holds the group of each query."""
    return partial(build, make_batches=partial(own_group_batches, user_groups=user_groups))
