"""Training batches: queries cut out of histories, their targets, and negatives shared by the batch."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Queries
from bakeoff.models.neural.examples import predict_next, reconstruct
from bakeoff.models.neural.pooling import RecencyPooling
from bakeoff.models.neural.proposals import NegativeSampler
from bakeoff.models.neural.query_tower import activity_of_examples
from bakeoff.models.neural.spec import SoftmaxParams

Batch = dict[str, NDArray[np.generic]]


class Batches:
    """Endless epochs of training batches over the queries' histories."""

    def __init__(
        self,
        queries: Queries,
        sampler: NegativeSampler,
        pooling: RecencyPooling,
        params: SoftmaxParams,
        num_items: int,
        rng: np.random.Generator,
    ) -> None:
        self._queries = queries
        self._sampler = sampler
        self._pooling = pooling
        self._params = params
        self._rng = rng
        self._cut = predict_next if params.objective == "next" else reconstruct
        self._users = np.flatnonzero(queries.histories.lengths)
        # Kept between batches: to fill it anew would cost O(n) a step.
        self._column = np.full(num_items, PAD, np.int32)
        self.masked = np.zeros(2, np.int64)
        """Numbers of (user, candidate) pairs that are masked, being a user's own item, and of all pairs."""

    @property
    def per_epoch(self) -> int:
        """Batches in which every user is seen once."""
        return -(-len(self._users) // self._params.users_per_batch)

    def epoch(self) -> Iterator[Batch]:
        """One pass over the users in random order."""
        order = self._rng.permutation(self._users)
        for start in range(0, len(order), self._params.users_per_batch):
            yield self._batch(order[start : start + self._params.users_per_batch])

    def _batch(self, users: NDArray[np.int64]) -> Batch:
        """Arrays of one step: U users with C queries each, R = U · C, and M distinct items.

        Returns:
            item_ids int32 [M]: the distinct items of the step, in which the other arrays count;
            history int32 [E], history_offsets int64 [R + 1] and history_weights float32 [E, H]: what each query reads;
            activity float32 [R, NUM_ACTIVITY];
            dense float32 [U, D] and categorical int32 [U, K] features of the users;
            targets int32 [P], target_rows int32 [P], target_weights float32 [P] and target_log_expected_count
            float32 [P]: (query, positive) pairs;
            candidates int32 [S], log_expected_count float32 [S] and own bool [U, S], where a candidate is one of
            the user's own items.
        """
        block = self._queries.take(users)
        items = block.histories.items
        examples = self._cut(block.histories, self._params, self._rng)
        targets, read = items[examples.target_positions], items[examples.positions]
        candidates = self._sampler.draw(targets, self._rng)
        own = self._own(block, candidates.ids)
        self.masked += own.sum(), own.size
        item_ids, index = np.unique(np.concatenate([read, targets, candidates.ids]), return_inverse=True)
        history, target, candidate = np.split(index.astype(np.int32), [len(read), len(read) + len(targets)])
        return {
            "item_ids": item_ids.astype(np.int32),
            "history": history,
            "history_offsets": examples.offsets,
            "history_weights": self._pooling.weights(examples.lags, examples.counts),
            "activity": activity_of_examples(block.histories.timestamps, examples, self._params.max_history),
            "dense": block.dense,
            "categorical": block.categorical,
            "targets": target,
            "target_rows": examples.target_rows.astype(np.int32),
            "target_weights": examples.target_weights,
            "target_log_expected_count": self._sampler.log_counts[targets],
            "candidates": candidate,
            "log_expected_count": candidates.log_expected_count,
            "own": own,
        }

    def _own(self, block: Queries, candidates: NDArray[np.int32]) -> NDArray[np.bool_]:
        """[U, S], whether a candidate is one of the user's items."""
        self._column[candidates] = np.arange(len(candidates), dtype=np.int32)
        columns = self._column[block.histories.items]
        self._column[candidates] = PAD
        own = np.zeros((len(block), len(candidates)), np.bool_)
        is_candidate = columns != PAD
        own[block.histories.rows[is_candidate], columns[is_candidate]] = True
        return own
