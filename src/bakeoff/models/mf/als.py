"""Implicit ALS in TensorFlow: batched solves of one side, given the other.

Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets", in the form of Rendle,
Krichene, Zhang & Koren (2021), "Revisiting the performance of iALS on item recommendation benchmarks", eqs. 1-4:

    L = Σ_{(u,i) ∈ S} (x_u·y_i − 1)² + α₀ Σ_{u,i} (x_u·y_i)² + Σ_u λ_u ‖x_u‖² + Σ_i λ_i ‖y_i‖²,
    λ_u = λ (|S_u| + α₀ |I|)^ν,   λ_i = λ (|S_i| + α₀ |U|)^ν.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.tensorflow import tf
from bakeoff.params import MFParams
from bakeoff.preparation.histories import PAD, Histories

PAIRS_PER_SOLVE = 1 << 16
"""Padded (row, column) pairs that are gathered at once: 2¹⁶ × d floats, 16 MiB at d = 64."""


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([], tf.float32),
        tf.TensorSpec([], tf.float32),
        tf.TensorSpec([], tf.float32),
    ]
)
def solve(
    columns: tf.Tensor,
    weights: tf.Tensor,
    others: tf.Tensor,
    gramian: tf.Tensor,
    unobserved_weight: tf.Tensor,
    regularization: tf.Tensor,
    exponent: tf.Tensor,
) -> tf.Tensor:
    """Least-squares optimum of rows, given the embeddings of the other side.

    Args:
        columns: int32 [B, W], observed columns of each row, PAD-padded; distinct within a row.
        weights: float32 [B, W], weight of each observed pair, ≥ 0; 0 where padded, 1 in training.
        others: float32 [n, d], embeddings of the columns.
        gramian: float32 [d, d], othersᵀ · others.
        unobserved_weight: α₀ ≥ 0.
        regularization: λ > 0.
        exponent: ν in [0, 1].

    Returns:
        float32 [B, d]: (Σ w y yᵀ + α₀ G + λ_u I)⁻¹ Σ w y; 0 for a row without columns.
    """
    y = tf.gather(others, tf.maximum(columns, 0))  # (B, W, d)
    weighted = y * weights[:, :, tf.newaxis]
    size = tf.cast(tf.shape(others)[0], tf.float32)
    ridge = regularization * (tf.reduce_sum(weights, axis=1) + unobserved_weight * size) ** exponent
    matrix = tf.matmul(weighted, y, transpose_a=True) + unobserved_weight * gramian  # (B, d, d)
    matrix += ridge[:, tf.newaxis, tf.newaxis] * tf.eye(tf.shape(others)[1])
    target = tf.reduce_sum(weighted, axis=1)[:, :, tf.newaxis]  # (B, d, 1)
    return tf.linalg.cholesky_solve(tf.linalg.cholesky(matrix), target)[:, :, 0]


def padded_blocks(histories: Histories) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
    """Rows with their columns, padded, in blocks of at most PAIRS_PER_SOLVE pairs (or one row).

    Rows of like length share a block, so that little of it is padding.

    Yields:
        rows int64 [B] and columns int32 [B, W], PAD-padded.
    """
    order = np.argsort(histories.lengths, kind="stable")
    lengths = histories.lengths[order]
    start = int(np.searchsorted(lengths, 1))  # rows without events have no equation: they stay 0
    while start < len(order):
        # The block's width is its last row's length: grow until rows × width exceeds the budget.
        pairs = np.arange(1, len(order) - start + 1) * lengths[start:]
        stop = start + max(1, int(np.searchsorted(pairs, PAIRS_PER_SOLVE, "right")))
        rows = order[start:stop]
        yield rows, histories.take(rows).padded(int(lengths[stop - 1]))[0]
        start = stop


class ImplicitALS:
    """Alternating least squares over observed pairs; one epoch solves items, then users."""

    def __init__(self, histories: Histories, num_items: int, params: MFParams, seed: int) -> None:
        """Draw the initial embeddings from N(0, init_scale² / d) and lay the pairs out for both sides."""
        self._params = params
        rng = np.random.default_rng(seed)
        shape = (num_items, params.dim)
        self.item_embeddings = rng.normal(0, params.init_scale / np.sqrt(params.dim), shape).astype(np.float32)
        transposed = Histories.from_rows(histories.items, histories.rows, histories.timestamps, num_items)
        self._user_blocks = list(padded_blocks(histories))
        self._item_blocks = list(padded_blocks(transposed))
        self._pairs = histories
        self.user_embeddings = self._solve_side(self._user_blocks, self.item_embeddings, len(histories))

    def run_epoch(self) -> float:
        """Solve items given users, then users given items, as fold-in with equal weights would.

        Returns:
            loss L per observed pair.
        """
        num_items = len(self.item_embeddings)
        self.item_embeddings = self._solve_side(self._item_blocks, self.user_embeddings, num_items)
        num_users = len(self.user_embeddings)
        self.user_embeddings = self._solve_side(self._user_blocks, self.item_embeddings, num_users)
        return self.loss()

    def loss(self) -> float:
        """L per observed pair, without ever forming users × items: Σ_{u,i} (x_u·y_i)² = tr(XᵀX · YᵀY)."""
        x, y, p = self.user_embeddings, self.item_embeddings, self._params
        pairs = self._pairs
        score = np.einsum("pd,pd->p", x[pairs.rows], y[pairs.items])
        user_ridge = _ridge(pairs.lengths, len(y), p)
        item_ridge = _ridge(np.bincount(pairs.items, minlength=len(y)), len(x), p)
        total = (
            np.sum((score - 1) ** 2)
            + p.unobserved_weight * np.sum((x.T @ x) * (y.T @ y))
            + np.sum(user_ridge * np.sum(x**2, axis=1))
            + np.sum(item_ridge * np.sum(y**2, axis=1))
        )
        return float(total / max(len(score), 1))

    def _solve_side(
        self,
        blocks: list[tuple[NDArray[np.int64], NDArray[np.int32]]],
        others: NDArray[np.float32],
        size: int,
    ) -> NDArray[np.float32]:
        solution = np.zeros((size, self._params.dim), np.float32)
        gramian = others.T @ others
        p = self._params
        for rows, columns in blocks:
            solution[rows] = solve(
                columns,
                (columns != PAD).astype(np.float32),
                others,
                gramian,
                p.unobserved_weight,
                p.regularization,
                p.regularization_exponent,
            )
        return solution


def _ridge(frequencies: NDArray[np.int64], other_size: int, params: MFParams) -> NDArray[np.float64]:
    base = frequencies + params.unobserved_weight * other_size
    return np.asarray(params.regularization * base**params.regularization_exponent)
