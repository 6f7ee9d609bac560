"""Training batches: users, points in their histories, and negatives shared by the batch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.negatives import NegativeSampler
from bakeoff.params import SoftmaxParams
from bakeoff.preparation.histories import PAD, Histories, Queries

Batch = dict[str, NDArray[np.generic]]


@dataclass
class MaskedCount:
    """How many false negatives the mask caught: candidates that are the user's own items."""

    masked: int = 0
    candidates: int = 0

    @property
    def share(self) -> float:
        """Share of (user, candidate) pairs that were masked; 0 before the first batch."""
        return self.masked / max(self.candidates, 1)


class Batches:
    """Endless epochs of training batches over the queries' histories.

    A user contributes C examples to a batch: at each of C random cuts c of the history (0 ≤ c < length), what
    lies before the cut is the history that the query tower reads and the next `target_window` items are the target.
    A cut at 0 is an empty history, the query of a new user; it is drawn with probability `empty_history_share`,
    the cuts from 1 on share the rest evenly.
    """

    def __init__(
        self,
        queries: Queries,
        sampler: NegativeSampler,
        params: SoftmaxParams,
        num_items: int,
        rng: np.random.Generator,
    ) -> None:
        self._queries = queries
        self._sampler = sampler
        self._params = params
        self._num_items = num_items
        self._rng = rng
        self._users = np.flatnonzero(queries.histories.lengths)
        self.masked = MaskedCount()

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
        """Arrays of one step; U users, C cuts, W positions, S candidates, M distinct items.

        Returns:
            item_ids int32 [M]: the distinct items of the step, in which the other arrays count;
            history int32 [U, W], PAD-padded, and timestamps int64 [U, W]; cuts int32 [U, C];
            dense float32 [U, D] and categorical int32 [U, K] user features;
            candidates int32 [S], log_expected_count float32 [S] and own bool [U, S], where a candidate is one of
            the user's own items.
        """
        block = self._queries.take(users)
        lengths = block.histories.lengths
        items, timestamps = block.histories.padded(int(lengths.max()))
        cuts = self._cuts(lengths)
        candidates = self._sampler.draw(items[self._is_target(items, cuts)], self._rng)
        own = self._own(items, candidates.ids)
        self.masked.masked += int(own.sum())
        self.masked.candidates += own.size
        known = items != PAD
        item_ids, index = np.unique(np.concatenate([items[known], candidates.ids]), return_inverse=True)
        history = np.full(items.shape, PAD, np.int32)
        history[known] = index[: known.sum()]
        return {
            "item_ids": item_ids,
            "history": history,
            "timestamps": timestamps,
            "cuts": cuts,
            "dense": block.dense,
            "categorical": block.categorical,
            "candidates": index[known.sum() :].astype(np.int32),
            "log_expected_count": candidates.log_expected_count,
            "own": own,
        }

    def _cuts(self, lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        shape = (len(lengths), self._params.cuts_per_user)
        later = 1 + np.floor(self._rng.random(shape) * (lengths - 1)[:, np.newaxis])
        empty = self._rng.random(shape) < self._params.empty_history_share
        return np.where(empty | (lengths[:, np.newaxis] == 1), 0, later).astype(np.int32)

    def _is_target(self, items: NDArray[np.int32], cuts: NDArray[np.int32]) -> NDArray[np.bool_]:
        position = np.arange(items.shape[1])
        ahead = position - cuts[:, :, None]
        inside = np.any((ahead >= 0) & (ahead < self._params.target_window), axis=1)
        return np.asarray(inside & (items != PAD))

    def _own(self, items: NDArray[np.int32], candidates: NDArray[np.int32]) -> NDArray[np.bool_]:
        column = np.full(self._num_items, PAD, np.int32)
        column[candidates] = np.arange(len(candidates), dtype=np.int32)
        columns = np.where(items == PAD, PAD, column[items])
        own = np.zeros((len(items), len(candidates)), np.bool_)
        row, place = np.nonzero(columns != PAD)
        own[row, columns[row, place]] = True
        return own


def target_chances(histories: Histories, params: SoftmaxParams) -> NDArray[np.float64]:
    """Chance that an event is a target of its user's batch row.

    A cut hits an event at position p with chance e · [p < w] + (1 − e) · k/(L − 1): w the target window, e the
    share of empty histories, k = min(p, w) of the L − 1 later cuts. C cuts miss it with (1 − chance)^C.

    Returns:
        [nnz] in [0, 1], aligned with histories.items.
    """
    lengths = np.repeat(histories.lengths, histories.lengths)
    position = np.arange(len(histories.items)) - np.repeat(histories.offsets[:-1], histories.lengths)
    empty = np.where(lengths == 1, 1.0, params.empty_history_share)
    later = np.minimum(position, params.target_window) / np.maximum(lengths - 1, 1)
    chance = empty * (position < params.target_window) + (1 - empty) * later
    return np.asarray(1.0 - (1.0 - chance) ** params.cuts_per_user)
