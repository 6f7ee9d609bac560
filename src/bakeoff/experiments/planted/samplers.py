"""Softmax DNNs that never see a negative of another group: the cases in which they fold."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.retriever import Trainer
from bakeoff.models.neural.batches import Batch, Batches
from bakeoff.models.neural.examples import target_chances
from bakeoff.models.neural.negatives.proposals import InBatchSampler, NegativeSampler
from bakeoff.models.neural.spec import SoftmaxParams
from bakeoff.models.neural.trainer import SoftmaxTrainer


class OwnGroupSampler(NegativeSampler):
    """In-batch negatives of batches whose users are all of one group: the targets of the others of that group."""

    def __init__(
        self, histories: Histories, num_items: int, params: SoftmaxParams, user_groups: NDArray[np.integer]
    ) -> None:
        """Count within each group; an item that users of several groups meet, as noise has it, by the most likely."""
        parts = [histories.take(np.flatnonzero(user_groups == group)) for group in np.unique(user_groups)]
        chances = [
            InBatchSampler(partial(target_chances, params=params), part, params.users_per_batch, num_items).inclusion
            for part in parts
        ]
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


class OwnGroupTrainer(SoftmaxTrainer):
    """Trains a softmax DNN against items of the user's own group alone."""

    def __init__(
        self,
        queries: Queries,
        num_items: int,
        item_features: EncodedFeatures,
        params: SoftmaxParams,
        seed: int,
        user_groups: NDArray[np.integer],
    ) -> None:
        """As SoftmaxTrainer; user_groups [n] holds the group of each query."""
        self._user_groups = user_groups
        super().__init__(queries, num_items, item_features, {}, params, seed)

    def _make_batches(self, rng: np.random.Generator) -> Batches:
        sampler = OwnGroupSampler(self._queries.histories, self._num_items, self._params, self._user_groups)
        pooling = self._model.query_tower.pooling
        batches = OwnGroupBatches(self._queries, sampler, pooling, self._params, self._num_items, rng)
        batches.user_groups = self._user_groups
        return batches


class PositivesOnlyBatches(Batches):
    """Batches in which every candidate is masked, as if all items were the user's own."""

    def _own(self, block: Queries, candidates: NDArray[np.int32]) -> NDArray[np.bool_]:
        return np.ones((len(block), len(candidates)), np.bool_)


class PositivesOnlyTrainer(SoftmaxTrainer):
    """Trains a softmax DNN without any negative: a user's positives compete with each other and nothing else."""

    def _make_batches(self, rng: np.random.Generator) -> Batches:
        histories, params = self._queries.histories, self._params
        sampler: NegativeSampler = InBatchSampler(
            partial(target_chances, params=params), histories, params.users_per_batch, self._num_items
        )
        pooling = self._model.query_tower.pooling
        return PositivesOnlyBatches(self._queries, sampler, pooling, params, self._num_items, rng)


def positives_only_trainer(prepared: Prepared, queries: Queries, params: SoftmaxParams, seed: int) -> Trainer:
    """A trainer without negatives, of the softmax DNN."""
    sizes = prepared.encoding.user.categorical_sizes
    return PositivesOnlyTrainer(queries, prepared.num_items, prepared.item_features, sizes, params, seed)


def own_group_trainer(
    prepared: Prepared, queries: Queries, params: SoftmaxParams, seed: int, user_groups: NDArray[np.integer]
) -> Trainer:
    """A trainer with negatives of the user's own group; user_groups [n] holds the group of each query."""
    return OwnGroupTrainer(queries, prepared.num_items, prepared.item_features, params, seed, user_groups)
