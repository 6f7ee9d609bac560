"""Training batches: queries cut out of histories, their targets, and negatives shared by the batch."""

from collections.abc import Iterator
from copy import copy
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.models.neural.pooling import Examples, expand
from bakeoff.models.neural.proposals import Candidates, NegativeSampler, all_targets, log_counts, make_sampler, repeats
from bakeoff.models.neural.query_tower import HistoryPooling, activity_of_examples, asked_of_examples
from bakeoff.models.neural.spec import NegativesParams, SoftmaxParams

UNKNOWN_TIME_SHARE = 0.1
"""Share of training queries that do not say when they are asked."""


def predict_next(histories: Histories, params: SoftmaxParams, rng: np.random.Generator) -> Examples:
    """Predict later items from earlier ones, at C random cuts c of each history (0 ≤ c < length).

    What lies before the cut is the history that the query tower reads and the next `target_window` items are the
    target. A cut at 0 is an empty history, the query of a new user; it is drawn with probability `empty_history_share`,
    the cuts from 1 on share the rest evenly. For the attention tower all cuts of a user are within one window of
    `max_history` events, and their queries read from its start on: each cut alone is as likely as without.

    Args:
        histories: of U users, none of them empty.
        params: settings.
        rng: source of randomness.
    """
    lengths = histories.lengths[:, np.newaxis]
    shape = (len(histories), params.cuts_per_user)
    later = 1 + np.floor(rng.random(shape) * (lengths - 1)).astype(np.int64)
    first = np.maximum(later - params.max_history, 0)
    if params.tower == "attention":
        # Windows of so many cuts, counted from the end; that of the first cut is as likely as it has cuts.
        newest = lengths - 1 - (lengths - 1 - later[:, :1]) // params.max_history * params.max_history
        first = np.maximum(newest - params.max_history, 0)
        later = first + 1 + np.floor(rng.random(shape) * (newest - first)).astype(np.int64)
    is_empty = rng.random(shape) < params.empty_history_share
    cuts = np.where(is_empty | (lengths == 1), 0, later)
    starts = (histories.offsets[:-1, np.newaxis] + cuts).ravel()
    offsets, rows, lags = expand(np.maximum(cuts - first, 0).ravel())
    _, target_rows, ahead = expand(np.minimum((lengths - cuts).ravel(), params.target_window))
    targets = target_rows, starts[target_rows] + ahead, _pair_weights(target_rows, params)
    return Examples(offsets, starts[rows] - 1 - lags, lags, cuts.ravel(), *targets)


def reconstruct(histories: Histories, params: SoftmaxParams, rng: np.random.Generator) -> Examples:
    """Predict all items of each user from those that were not dropped: one query per user, C = 1.

    An item is dropped with probability `history_dropout`; with probability `empty_history_share` all of them are.
    """
    kept = rng.random(len(histories.items)) >= params.history_dropout
    kept &= np.repeat(rng.random(len(histories)) >= params.empty_history_share, histories.lengths)
    positions = np.flatnonzero(kept)
    num_kept = np.bincount(histories.rows[positions], minlength=len(histories))
    ends = np.cumsum(num_kept)
    offsets, rows, lags = expand(np.minimum(num_kept, params.max_history))
    lengths = np.where(num_kept > 0, histories.lengths, 0)
    targets = histories.rows, np.arange(len(histories.items)), _pair_weights(histories.rows, params)
    return Examples(offsets, positions[ends[rows] - 1 - lags], lags, lengths, *targets)


def target_chances(histories: Histories, params: SoftmaxParams) -> NDArray[np.float64]:
    """Chance that an event's item is a target once its user is in the batch.

    Reconstruction makes a target of each. Otherwise a cut hits an event at position p with chance
    e · [p < w] + (1 − e) · k/(L − 1): w the target window, e the share of empty histories, k = min(p, w) of the L − 1
    later cuts. Where the user has had the item before, at position q, k = min(p − q, w) of these cuts hit this event
    and not that one, and the empty history never does: the sum over the events of a pair is the chance that a cut hits
    any of them. C cuts miss it with (1 − chance)^C; for the attention tower and histories beyond `max_history`, whose
    cuts are within one window, that is an approximation.

    Returns:
        [nnz] in [0, 1], aligned with histories.items; the same for all events of a pair of user and item.
    """
    if params.objective == "reconstruct":
        return all_targets(histories)
    lengths = np.repeat(histories.lengths, histories.lengths)
    position = histories.position
    first, before = repeats(histories)
    is_first = before == PAD
    since = np.where(is_first, position, np.arange(len(position)) - before)
    empty = np.where(lengths == 1, 1.0, params.empty_history_share)
    later = np.minimum(since, params.target_window) / np.maximum(lengths - 1, 1)
    hit = empty * (is_first & (position < params.target_window)) + (1 - empty) * later
    chance = np.minimum(np.bincount(first, hit, minlength=len(hit))[first], 1.0)  # rounding takes a sum beyond it
    return np.asarray(1.0 - (1.0 - chance) ** params.cuts_per_user)


def _pair_weights(target_rows: NDArray[np.int64], params: SoftmaxParams) -> NDArray[np.float32]:
    if params.weight_pairs_equally:
        return np.ones(len(target_rows), np.float32)
    return (1 / np.bincount(target_rows)[target_rows]).astype(np.float32)


def _distinct_pairs(
    rows: NDArray[np.int64], items: NDArray[np.int32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Each (query, positive) pair once, in order, with the sum of its weights: a positive does not compete with itself.

    Args:
        rows: [P], query of each pair.
        items: [P], its positive.
        weights: [P], its weight.

    Returns:
        [D], the place of each distinct pair where it comes first, and [D], its weight.
    """
    keys = rows * (1 + np.int64(items.max(initial=0))) + items
    _, first, pair = np.unique(keys, return_index=True, return_inverse=True)
    sums = np.bincount(first[pair], weights, minlength=len(rows)).astype(np.float32)
    places = np.sort(first)
    return places, sums[places]


def _with_dislikes(
    candidates: Candidates, own: NDArray[np.bool_], histories: Histories, dislikes: Histories
) -> tuple[Candidates, NDArray[np.bool_]]:
    """Candidates with what the batch's users dislike, each for its user alone.

    A dislike of weight −w counts as w items that are surely drawn, and is not counted again where it was sampled. With
    w = 1 that is what sampling makes of the item in expectation. An item that the user has had is no negative.

    Args:
        candidates: S of the batch.
        own: bool [U, S], candidates that don't count for a user.
        histories: of the U users.
        dislikes: of these users.

    Returns:
        candidates and mask of the S + D candidates.
    """
    rows, items = dislikes.rows, dislikes.items
    stride = 1 + max(each.max(initial=0) for each in (items, histories.items, candidates.ids))
    sampled = np.arange(len(own))[:, np.newaxis] * stride + candidates.ids
    only = np.ones((len(own), len(items)), np.bool_)
    only[rows, np.arange(len(items))] = np.isin(dislikes.keys(stride), histories.keys(stride))
    ids = np.concatenate([candidates.ids, items])
    log_weights = np.log(np.abs(np.asarray(dislikes.weights)))
    log_expected_count = np.concatenate([candidates.log_expected_count, -log_weights])
    masked = own | np.isin(sampled, dislikes.keys(stride))
    return Candidates(ids, log_expected_count), np.concatenate([masked, only], axis=1)


Batch = dict[str, NDArray[np.generic]]


class Batches:
    """Endless epochs of training batches over the queries' histories."""

    def __init__(
        self,
        queries: Queries,
        pooling: HistoryPooling,
        params: SoftmaxParams,
        num_items: int,
        rng: np.random.Generator,
        sampler: NegativeSampler | None = None,
        dislikes: Histories | None = None,
    ) -> None:
        self._queries, self._pooling, self._params, self._rng = queries, pooling, params, rng
        self._dislikes = dislikes
        self._users = np.flatnonzero(queries.histories.lengths)
        self._sampler = self._make_sampler(num_items) if sampler is None else sampler
        self._cut = predict_next if params.objective == "next" else reconstruct
        # Kept between batches: to fill it anew would cost O(n) a step.
        self._column = np.full(num_items, PAD, np.int32)
        self.masked = np.zeros(2, np.int64)
        """Numbers of (user, candidate) pairs that are masked, being a user's own item, and of all pairs."""

    def drawn_by(self, rng: np.random.Generator) -> "Batches":
        """Batches over the same users, drawn by another generator."""
        other = copy(self)
        vars(other).update(_rng=rng, masked=np.zeros(2, np.int64))
        return other

    @property
    def per_epoch(self) -> int:
        """Batches in which every user is seen once."""
        return -(-len(self._users) // self._params.users_per_batch)

    def epoch(self) -> Iterator[Batch]:
        """One pass over the users in random order, in batches of equal size: those of others depend on the size."""
        for users in np.array_split(self._rng.permutation(self._users), self.per_epoch):
            yield self._batch(users)

    def _make_sampler(self, num_items: int) -> NegativeSampler:
        """Negatives as the settings say."""
        chances, size = partial(target_chances, params=self._params), len(self._users) / max(self.per_epoch, 1)
        return make_sampler(self._queries.histories, num_items, self._params.negatives, chances, size)

    def _batch(self, users: NDArray[np.int64]) -> Batch:
        """Arrays of one step: U users with C queries each, R = U · C, and M distinct items.

        Returns:
            item_ids int32 [M]: the distinct items of the step, in which the other arrays count;
            what each query reads, as the pooling has it (`HistoryPooling.inputs`);
            activity float32 [R, NUM_ACTIVITY];
            asked int64 [R, 2], if the settings read when queries are asked;
            dense float32 [U, D] and categorical int32 [U, K] features of the users;
            targets int32 [P], target_rows int32 [P], target_weights float32 [P], times the weights that events have,
            and target_log_expected_count float32 [P]: distinct (query, positive) pairs, with the weights of all events;
            candidates int32 [S], log_expected_count float32 [S] and own bool [U, S], where a candidate is one of
            the user's own items, or a dislike of another user.
        """
        block = self._queries.take(users)
        items = block.histories.items
        examples = self._cut(block.histories, self._params, self._rng)
        targets, read = items[examples.target_positions], items[examples.positions]
        weights, of_events = examples.target_weights, block.histories.weights
        if of_events is not None:
            weights = weights * of_events[examples.target_positions]
        candidates = self._sampler.draw(targets, self._rng)
        own = self._own(block, candidates.ids)
        self.masked += own.sum(), own.size
        if self._dislikes is not None:
            candidates, own = _with_dislikes(candidates, own, block.histories, self._dislikes.take(users))
        pairs, weights = _distinct_pairs(examples.target_rows, targets, weights)
        targets = targets[pairs]
        chances = target_chances(block.histories, self._params)[examples.target_positions[pairs]]
        asked = {"asked": self._asked(block, examples)} if self._params.use_query_time else {}
        item_ids, index = np.unique(np.concatenate([read, targets, candidates.ids]), return_inverse=True)
        history, target, candidate = np.split(index.astype(np.int32), [len(read), len(read) + len(targets)])
        return {
            "item_ids": item_ids.astype(np.int32),
            **self._pooling.inputs(examples, history, block.histories.timestamps, len(block)),
            "activity": activity_of_examples(block.histories.timestamps, examples, self._params.max_history),
            **asked,
            "dense": block.dense,
            "categorical": block.categorical,
            "targets": target,
            "target_rows": examples.target_rows[pairs].astype(np.int32),
            "target_weights": weights,
            "target_log_expected_count": log_counts(self._sampler.target_inclusion(targets, chances)),
            "candidates": candidate,
            "log_expected_count": candidates.log_expected_count,
            "own": own,
        }

    def _asked(self, block: Queries, examples: Examples) -> NDArray[np.int64]:
        """When the queries are asked, int64 [R, 2]; some don't say so, since not everyone who asks later will."""
        asked = asked_of_examples(block.histories.timestamps, examples)
        asked[self._rng.random(len(asked)) < UNKNOWN_TIME_SHARE, 1] = 0
        return asked

    def _own(self, block: Queries, candidates: NDArray[np.int32]) -> NDArray[np.bool_]:
        """[U, S], whether a candidate is one of the user's items."""
        self._column[candidates] = np.arange(len(candidates), dtype=np.int32)
        columns = self._column[block.histories.items]
        self._column[candidates] = PAD
        own = np.zeros((len(block), len(candidates)), np.bool_)
        is_candidate = columns != PAD
        own[block.histories.rows[is_candidate], columns[is_candidate]] = True
        return own


class PositivesOnlyBatches(Batches):
    """Batches in which every candidate is masked: a user's positives compete with each other and nothing else."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Leave out dislikes, which would be negatives."""
        super().__init__(*arguments, **options)
        self._dislikes = None

    def _make_sampler(self, num_items: int) -> NegativeSampler:
        return in_batch_sampler(self._queries.histories, num_items, self._params, self._params.users_per_batch)

    def _own(self, block: Queries, candidates: NDArray[np.int32]) -> NDArray[np.bool_]:
        return np.ones((len(block), len(candidates)), np.bool_)


def in_batch_sampler(
    histories: Histories, num_items: int, params: SoftmaxParams, users_per_batch: float
) -> NegativeSampler:
    """Negatives from the targets of batches of so many of these users, whatever the settings say of negatives."""
    negatives, chances = NegativesParams(sampler="in-batch"), partial(target_chances, params=params)
    return make_sampler(histories, num_items, negatives, chances, users_per_batch)
