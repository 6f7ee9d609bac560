"""EASE: items explained by the other items of a history, by one ridge regression in closed form.

Steck (2019), "Embarrassingly shallow autoencoders for sparse data", eq. 8. X is the binary user-item matrix:

    P = (XᵀX + λI)⁻¹,   B = I − P · diag(1 / diag P),   score of item j for a history x: (x B)_j.

Where we go beyond it: the items of a *query* may weigh less the longer ago they are (training never does that),
the rows of X may be windows of histories, and a query without history is the mean of all training histories.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_array

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.models.base.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE, in_order, recency_weights
from bakeoff.models.base.tensorflow import graph, tf
from bakeoff.models.ease.params import EASEParams

_ITEMS_PER_BLOCK = 1024
"""Rows of an items × items matrix that are worked on at once: no step needs a second such matrix."""


class EASEEncoder(tf.Module):
    """Query embedding: the weights of a history's items, [n]; item embedding j: column j of B, [n].

    An item that a history names several times weighs what its last event weighs.
    """

    FALLBACK = "A user without history is asked about with the mean of all training histories."

    def __init__(
        self, item_embeddings: NDArray[np.float32], mean_history: NDArray[np.float32], recency_scale: float | None
    ) -> None:
        """Take Bᵀ [n, n], the share of users that have each item [n], and τ > 0 (None: all items weigh 1)."""
        super().__init__(name="ease")
        self.item_embeddings = tf.Variable(item_embeddings, trainable=False, name="item_embeddings")
        self._mean_history = tf.Variable(mean_history, trainable=False, name="mean_history")
        self.recency_scale = recency_scale

    @graph(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, n]; features and times have no place in EASE."""
        rows = tf.broadcast_to(tf.range(tf.shape(history)[0])[:, tf.newaxis], tf.shape(history))
        places = tf.stack([rows, tf.maximum(history, 0)], axis=2)  # (B, W, 2)
        nothing = tf.zeros([tf.shape(history)[0], tf.shape(self.item_embeddings)[0]])
        weights = tf.tensor_scatter_nd_max(nothing, places, recency_weights(history, self.recency_scale))
        return tf.where(self.uses_fallback(history)[:, tf.newaxis], self._mean_history, weights)

    @graph(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Where the history is empty."""
        return tf.reduce_all(history < 0, axis=1)


def fit(histories: Histories, num_items: int, params: EASEParams) -> EASEEncoder:
    """Solve for B in float64 and keep it in float32.

    Where no event has a time, the order of a history says nothing: recency then plays no part in queries, and windows
    none in training.

    Args:
        histories: of the users to learn from; an item that a row of X names several times counts once.
        num_items: n, size of the catalogue. Memory peaks at some 14 n² bytes: B in double and in single precision.
        params: λ, τ and the window; max_items is for the caller to check.

    Raises:
        BakeoffError: λ is too small for the equations to be solved.
    """
    params = in_order(params, histories)
    pairs = _binary(histories, num_items)
    rows = pairs if params.window is None else _binary(histories.windows(params.window), num_items)
    weights = item_weights(rows, params.regularization)
    users_with_item = np.bincount(pairs.indices, minlength=num_items)
    mean_history = (users_with_item / max(len(histories), 1)).astype(np.float32)
    return EASEEncoder(weights, mean_history, params.recency_scale)


def item_weights(pairs: csr_array, regularization: float) -> NDArray[np.float32]:
    """Bᵀ float32 [n, n], its diagonal 0, of binary pairs [users, n] and λ > 0.

    Raises:
        BakeoffError: XᵀX + λI is not positive definite in float64.
    """
    matrix = gramian(pairs)
    matrix[np.diag_indices(len(matrix))] += regularization
    _invert(matrix, regularization)
    matrix /= -np.diag(matrix)[:, np.newaxis].copy()
    np.fill_diagonal(matrix, 0)
    return matrix.astype(np.float32)


def gramian(pairs: csr_array) -> NDArray[np.float64]:
    """XᵀX [n, n] of binary pairs X [users, n]; its sparse product exists for a block of rows at a time."""
    num_items = pairs.shape[1]
    transposed = pairs.T.tocsr()
    result = np.empty((num_items, num_items))
    for start in range(0, num_items, _ITEMS_PER_BLOCK):
        block = slice(start, min(start + _ITEMS_PER_BLOCK, num_items))
        result[block] = (transposed[block] @ pairs).toarray()
    return result


def _binary(histories: Histories, num_items: int) -> csr_array:
    """X, float32 [users, num_items]: 1 where the user has the item, however often."""
    ones = np.ones(len(histories.items), np.float32)
    # A copy, since SciPy sorts indices where they lie, and the order of a history is not its to change.
    pairs = csr_array((ones, histories.items, histories.offsets), shape=(len(histories), num_items), copy=True)
    pairs.sum_duplicates()
    pairs.data[:] = 1
    return pairs


def _invert(matrix: NDArray[np.float64], regularization: float) -> None:
    """The inverse of a symmetric positive definite C-ordered matrix, in its place: Cholesky, then LAPACK's potri."""
    # A C-ordered matrix is its own transpose in the column order that LAPACK works in, so nothing is copied.
    rounding = np.finfo(np.float64).eps * len(matrix) * np.diag(matrix).max(initial=0)
    factor, failed = lapack.dpotrf(matrix.T, lower=True, overwrite_a=True, clean=False)
    if not failed:
        _, failed = lapack.dpotri(factor, lower=True, overwrite_c=True)
    if failed or regularization <= rounding:  # then a pivot is nothing but rounding, even if it is above 0
        raise BakeoffError(
            f"ease.regularization {regularization:g} is too small: the equations of EASE can't be solved in double "
            "precision. Raise it in params.yaml."
        )
    for start in range(0, len(matrix), _ITEMS_PER_BLOCK):  # LAPACK leaves the other triangle as it was
        stop = start + _ITEMS_PER_BLOCK
        corner = np.triu(matrix[start:stop, start:stop])
        matrix[start:stop, start:stop] = corner + np.triu(corner, 1).T
        matrix[stop:, start:stop] = matrix[start:stop, stop:].T
