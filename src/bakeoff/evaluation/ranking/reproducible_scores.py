"""Scores that are the same on every processor, whatever its BLAS, the size of blocks, and the place in a block.

A matrix product adds up in an order that differs between processors and between the edge and the middle of a matrix.
Its last bits differ, equal items get unequal scores, and chance breaks a tie. Embeddings are therefore rounded to so
few bits that every sum of products is exact in float64. An exact sum is the same in any order.
"""

import numpy as np
from numpy.typing import NDArray

_MANTISSA, _SINGLE = 53, 24
# Bits of a float64 and of a float32.

_VALUES_PER_CHUNK = 1 << 17
# Values rounded at once: 1 MiB of float64 stays in the processor's cache.


def rounded(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round embeddings so that their `scores` are exact.

    With 2^e the power of two above the largest value of a row, each of its values becomes the nearest multiple of
    2^(e − b), b = ⌊(53 − ⌈log2 d⌉) / 2⌋ but no more than the 24 bits of a float32. Products are then multiples of the
    product of the two rows' units, at most 2^(2b) times it, and the sum of d of them takes no more than 53 bits.

    Args:
        embeddings: float32 [n, d], finite; in any layout.

    Returns:
        float32 [n, d], row by row in memory; equal rows stay equal.
    """
    embeddings = np.asarray(embeddings, np.float32)
    found = np.empty(embeddings.shape, np.float32)
    num_rows, dim = embeddings.shape
    size = max(1, _VALUES_PER_CHUNK // max(dim, 1))
    for start in range(0, num_rows, size):
        chunk = embeddings[start : start + size].astype(np.float64)
        _, exponent = np.frexp(np.abs(chunk).max(axis=1, initial=0.0, keepdims=True))
        unit = np.ldexp(1.0, exponent - bits(dim))
        np.rint(np.divide(chunk, unit, out=chunk), out=chunk)
        np.multiply(chunk, unit, out=found[start : start + size], casting="same_kind")
    return found


def norms(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n] length of each row."""
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64)))


def bits(dim: int) -> int:
    """b: bits of each value of embeddings of this dimension."""
    return min(_SINGLE, (_MANTISSA - max(dim - 1, 0).bit_length()) // 2)


def scores(queries: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dot products: exact, then rounded to float32 once; all of them are in memory as float64.

    Args:
        queries: float32 [m, d], rounded.
        items: float32 [n, d], rounded.

    Returns:
        float32 [m, n].
    """
    return (queries.astype(np.float64) @ items.T.astype(np.float64)).astype(np.float32)


def scores_of(
    queries: NDArray[np.float32], catalogue: NDArray[np.float32], items: NDArray[np.integer]
) -> NDArray[np.float32]:
    """As `scores`, of a few items for each query.

    Args:
        queries: float32 [m, d], rounded.
        catalogue: float32 [n, d], rounded.
        items: [m, c], items of each query; PAD where there is none.

    Returns:
        float32 [m, c]; −inf where there is no item.
    """
    from bakeoff.evaluation.ranking.kernels import score_candidates  # compiled: loading takes half a second

    found = np.empty(items.shape, np.float32)
    score_candidates(queries, catalogue, items.astype(np.int32), found)
    return found
