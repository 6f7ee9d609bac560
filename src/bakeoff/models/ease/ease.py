"""EASE: items explained by the other items of a history, by one ridge regression in closed form.

Steck (2019), "Embarrassingly shallow autoencoders for sparse data", eq. 8. X is the binary user-item matrix:

    P = (XᵀX + λI)⁻¹,   B = I − P · diag(1 / diag P),   score of item j for a history x: (x B)_j.

Where we go beyond it: the items of a *query* may weigh less the longer ago they are (training never does that),
the rows of X may be windows of histories, and a query without history is the mean of all training histories.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_array

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.retriever import ArraysRetriever, Fitted, recency_weights, without_order
from bakeoff.models.base.storage import StoredModel
from bakeoff.models.ease.spec import EASEParams

_ITEMS_PER_BLOCK = 1024
"""Rows of an items × items matrix that are worked on at once: no step needs a second such matrix."""


@dataclass(frozen=True, eq=False)
class EASERetriever(ArraysRetriever):
    """Query embedding: the weights of a history's items, [n]; item embedding j: column j of B, [n].

    An item that a history names several times weighs what its last event weighs.

    Attributes:
        item_embeddings: Bᵀ [n, n].
        mean_history: the share of users that have each item, [n].
        recency_scale: τ > 0; None: all items weigh 1.
    """

    item_embeddings: NDArray[np.float32]
    mean_history: NDArray[np.float32]
    recency_scale: float | None

    fallback = "A user without history is represented by the mean of all training histories."

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[len(queries), n]; features and times have no place in EASE."""
        histories = queries.histories
        embeddings = np.zeros((len(queries), len(self.mean_history)), np.float32)
        # Of an item that is named several times, the last assignment stays.
        embeddings[histories.rows, histories.items] = recency_weights(histories, self.recency_scale)
        embeddings[self.uses_fallback(queries)] = self.mean_history
        return embeddings


def load(stored: StoredModel) -> EASERetriever:
    """The retriever that was stored; Bᵀ stays in its file."""
    return EASERetriever(**stored.arrays, recency_scale=stored.settings["recency_scale"])


def fit_ease(prepared: Prepared, queries: Queries, section: EASEParams, seed: int) -> Fitted:
    """Solve EASE on the histories of these queries.

    Raises:
        BakeoffError: λ is too small for the equations to be solved.
    """
    known, num_items = queries.histories, prepared.num_items
    retriever = fit(known, num_items, section)
    num_weights = num_items * (num_items - 1)  # an item says nothing about itself
    summary = f"{num_weights:,} weights between {num_items:,} items, of {len(known.items):,} events"
    settings = without_order(section, known, recency_scale=None, window=None).model_dump(mode="json")
    return Fitted(retriever, num_weights, summary, settings)


def fit(histories: Histories, num_items: int, params: EASEParams) -> EASERetriever:
    """Solve for B in float64 and keep it in float32.

    Where times don't differ, the order of a history says nothing: recency then plays no part in queries, and windows
    none in training.

    Args:
        histories: of the users to learn from; an item that a row of X names several times counts once.
        num_items: n, size of the catalogue. Memory peaks at some 14 n² bytes: B in double and in single precision.
        params: λ, τ and the window; max_items is for the caller to check.

    Raises:
        BakeoffError: λ is too small for the equations to be solved.
    """
    params = without_order(params, histories, recency_scale=None, window=None)
    pairs = _binary(histories, num_items)
    rows = pairs if params.window is None else _binary(histories.windows(params.window), num_items)
    weights = item_weights(rows, params.regularization)
    users_with_item = np.bincount(pairs.indices, minlength=num_items)
    mean_history = (users_with_item / max(len(histories), 1)).astype(np.float32)
    return EASERetriever(weights, mean_history, params.recency_scale)


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
