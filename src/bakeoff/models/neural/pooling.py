"""Histories as vectors: what training reads of them, recency pooling; and smoothing.

Smoothing sums over the users of an item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, offsets_of
from bakeoff.models.base.tensorflow import tf

REACH = 7.0
"""A head with scale τ reads lags up to 7 τ: what lies further would weigh less than a thousandth of the last item."""


@dataclass(frozen=True)
class Examples:
    """R = U · C queries about U users, C each, and their targets. Positions count in the users' `Histories.items`.

    Attributes:
        offsets: int64 [R + 1]; query r reads entries offsets[r] to offsets[r + 1] (excluded), the last item first.
        positions: int64 [E], position of each item that is read.
        lags: int64 [E], how many items of the query come after it.
        lengths: int64 [R], how many items the user has at the moment of the query; more than are read where
            histories are long or items were dropped.
        target_rows: int64 [P], query of each (query, positive) pair.
        target_positions: int64 [P], position of the positive.
        target_weights: float32 [P], weight of the pair in the loss.
    """

    offsets: NDArray[np.int64]
    positions: NDArray[np.int64]
    lags: NDArray[np.int64]
    lengths: NDArray[np.int64]
    target_rows: NDArray[np.int64]
    target_positions: NDArray[np.int64]
    target_weights: NDArray[np.float32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """[E], items that are read by the query to which the entry belongs."""
        read = np.diff(self.offsets)
        return np.repeat(read, read)


def expand(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows with these numbers of entries: offsets [R + 1], the row of each entry and its place in the row."""
    offsets = offsets_of(counts)
    rows = np.repeat(np.arange(len(counts)), counts)
    return offsets, rows, np.arange(offsets[-1]) - offsets[rows]


class RecencyPooling:
    """Heads' means of a history: the item at lag l (0 is the last one) weighs exp(−l/τ_h) in head h.

    Without scales there is one head, the plain mean.
    """

    def __init__(self, scales: Sequence[float], max_history: int) -> None:
        """Tabulate the weights of every lag that is read."""
        lag = np.arange(max_history)[:, np.newaxis]
        with np.errstate(over="ignore"):
            weights = np.exp(-lag / np.asarray(scales)) if len(scales) else np.ones((max_history, 1))
        if len(scales):
            weights[lag > REACH * np.asarray(scales)] = 0
        self._weights = weights.astype(np.float32)
        self._totals = np.cumsum(weights, axis=0).astype(np.float32)
        self.num_heads = self._weights.shape[1]
        self.max_history = max_history

    def weights(self, lags: NDArray[np.integer], counts: NDArray[np.integer]) -> NDArray[np.float32]:
        """Share of an item in each head's mean.

        Args:
            lags: [E], in [0, max_history).
            counts: [E], items that are read of the history to which the item belongs, in [1, max_history].

        Returns:
            float32 [E, H]; those of one history sum to 1.
        """
        return np.asarray(self._weights[lags] / self._totals[counts - 1])

    def inputs(
        self, examples: Examples, items: NDArray[np.int32], timestamps: NDArray[np.int64], num_users: int
    ) -> dict[str, NDArray[np.generic]]:
        """The arrays of a batch that `of_batch` reads.

        Args:
            examples: R queries about U users.
            items: int32 [E], item of each entry, as a row of the embeddings that `of_batch` gets.
            timestamps: int64 [nnz], UTC seconds of all events of the users.
            num_users: U.

        Returns:
            history int32 [E], history_offsets int64 [R + 1] and history_weights float32 [E, H].
        """
        weights = self.weights(examples.lags, examples.counts)
        return {"history": items, "history_offsets": examples.offsets, "history_weights": weights}

    def of_batch(self, item_embeddings: Any, inputs: dict[str, Any], drop_at: Any) -> Any:
        """The R queries of a batch, float32 [R, H, d]; see `inputs`. `drop_at`: the training step, or None."""
        return pool(item_embeddings, inputs["history_offsets"], inputs["history"], inputs["history_weights"])

    def of_padded(self, item_embeddings: Any, lengths: Any, timestamps: Any) -> Any:
        """Pool whole padded histories, as serving does.

        Args:
            item_embeddings: [B, W, d], oldest item first; anything where padded.
            lengths: int32 [B].
            timestamps: not read.

        Returns:
            float32 [B, H, d]; zeros for an empty history.
        """
        position = tf.range(tf.shape(item_embeddings)[1])
        lag = lengths[:, tf.newaxis] - 1 - position  # (B, W)
        is_read = tf.cast((lag >= 0) & (lag < self.max_history), tf.float32)
        weights = tf.gather(self._weights, tf.clip_by_value(lag, 0, self.max_history - 1))  # (B, W, H)
        read = tf.minimum(lengths, self.max_history)
        totals = tf.gather(self._totals, tf.maximum(read - 1, 0))[:, tf.newaxis, :]
        return tf.einsum("bwh,bwd->bhd", weights * is_read[..., tf.newaxis] / totals, item_embeddings)


@tf.custom_gradient
def pool(item_embeddings: Any, offsets: Any, items: Any, weights: Any) -> Any:
    """Weighted sums of item embeddings, row by row: the product of a sparse matrix per head with the embeddings.

    Compiled: TensorFlow's own sparse product takes ten times as long, a gather of padded histories writes and reads
    mostly padding.

    Args:
        item_embeddings: float32 [M, d].
        offsets: int64 [R + 1]; row r holds entries offsets[r] to offsets[r + 1] (excluded).
        items: int32 [E], row of item_embeddings of each entry.
        weights: float32 [E, H].

    Returns:
        float32 [R, H, d].
    """
    pooled = tf.numpy_function(weighted_sums, [item_embeddings, offsets, items, weights], tf.float32)
    pooled.set_shape([None, weights.shape[1], item_embeddings.shape[1]])

    def gradient(upstream: Any) -> tuple[Any, None, None, None]:
        # The shape as an array: alone, its first number would come as an array without dimension outside of a graph.
        shape = tf.shape(item_embeddings)
        found = tf.numpy_function(weighted_sums_gradient, [upstream, shape, offsets, items, weights], tf.float32)
        found.set_shape(item_embeddings.shape)
        return found, None, None, None

    return pooled, gradient


@numba.njit(cache=True, nogil=True, fastmath=True)
def weighted_sums(
    embeddings: NDArray[np.float32], offsets: NDArray[np.int64], items: NDArray[np.int32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:  # pragma: no cover - compiled
    """Σ_e weights[e, h] · embeddings[items[e]] over the entries e of each row: [R, H, d]."""
    rows, heads, dim = len(offsets) - 1, weights.shape[1], embeddings.shape[1]
    sums = np.zeros((rows, heads, dim), np.float32)
    for row in range(rows):
        for entry in range(offsets[row], offsets[row + 1]):
            embedding = embeddings[items[entry]]
            for head in range(heads):
                weight = weights[entry, head]
                if weight != 0:
                    for k in range(dim):
                        sums[row, head, k] += weight * embedding[k]
    return sums


@numba.njit(cache=True, nogil=True, fastmath=True)
def weighted_sums_gradient(
    upstream: NDArray[np.float32],
    shape: NDArray[np.int32],
    offsets: NDArray[np.int64],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:  # pragma: no cover - compiled
    """Gradient of weighted_sums with respect to its embeddings, of shape [M, d], given that of its sums, [R, H, d]."""
    heads, dim = upstream.shape[1], shape[1]
    gradient = np.zeros((shape[0], dim), np.float32)
    for row in range(len(offsets) - 1):
        for entry in range(offsets[row], offsets[row + 1]):
            target = gradient[items[entry]]
            for head in range(heads):
                weight = weights[entry, head]
                if weight != 0:
                    for k in range(dim):
                        target[k] += weight * upstream[row, head, k]
    return gradient


def smooth(
    item_embeddings: NDArray[np.float32], query_embeddings: NDArray[np.float32], histories: Histories, strength: float
) -> NDArray[np.float32]:
    """One step of propagation over the graph of users and items: V_i + a φ(i)^−½ Σ_{u ∋ i} ψ_u / |P_u|.

    What LightGCN does at every layer (He et al. 2020, eq. 3), with the queries of a trained tower in the place of
    user embeddings. The result is not normalised: ranking is by inner product.

    Args:
        item_embeddings: [n, d], V.
        query_embeddings: [U, d], ψ of the users that were trained on.
        histories: of these users, P_u.
        strength: a ≥ 0.

    Returns:
        float32 [n, d].
    """
    sums, counts = np.zeros(item_embeddings.shape, np.float32), np.zeros(len(item_embeddings), np.int64)
    for part, block in histories.blocks():
        by_item = Histories.from_rows(block.items, block.rows, block.timestamps, len(item_embeddings))
        shares = (1 / np.maximum(block.lengths, 1)).astype(np.float32)[by_item.items, np.newaxis]
        sums += weighted_sums(query_embeddings[part], by_item.offsets, by_item.items, shares)[:, 0]
        counts += by_item.lengths
    frequencies = np.maximum(counts, 1)[:, np.newaxis]
    return np.asarray(item_embeddings + strength * sums / np.sqrt(frequencies), np.float32)
