"""The best of each row of scores, in NumPy, and the keys that put items in the order of a list."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories
from bakeoff.evaluation.ranking import reproducible_scores as exact

_SCORES_PER_CHUNK = 1 << 19
# 2 MB of float32: a chunk stays in the processor's cache while its top k are selected.

_SCORES_PER_BLOCK = 1 << 26
# 256 MiB of float32: with 10⁶ items a block of 1,024 queries would take 4 GB.

_GROUPS_PER_SLOT = 5
# Groups whose maxima bound the k-th best score. With 5 k of them some 10 % more than k items pass the bound.

_NOT_TRUTH = np.int64(1) << 31
_INDEX_MASK = _NOT_TRUTH - 1
_NOTHING = np.iinfo(np.int64).min


def best_keys(
    queries: NDArray[np.float32], catalogue: NDArray[np.float32], exclude: Histories, truth: Histories, k: int
) -> NDArray[np.int64]:
    """Keys of the k best items of each query that are not excluded, descending.

    Args:
        queries: float32 [m, d], of `exact.rounded`.
        catalogue: float32 [n, d], of the same.
        exclude: m rows, items that are left out.
        truth: m rows, items that come last among equals.
        k: at most n.

    Returns:
        int64 [m, k]; the smallest integer where fewer than k items are left.
    """
    best = np.empty((len(queries), k), np.int64)
    size = max(1, _SCORES_PER_BLOCK // max(len(catalogue), 1))
    for start in range(0, len(queries), size):
        rows = np.arange(start, min(start + size, len(queries)))
        scores = exact.scores(queries[rows], catalogue)
        best[rows] = _best_of_block(scores, exclude.take(rows), truth.take(rows), k)
    return best


def _best_of_block(scores: NDArray[np.float32], exclude: Histories, truth: Histories, k: int) -> NDArray[np.int64]:
    """[num_rows, k] keys of the best columns of each row, descending; sets excluded scores to −inf in place."""
    scores[exclude.rows, exclude.items] = -np.inf
    num_rows, num_columns = scores.shape
    size = max(1, _SCORES_PER_CHUNK // num_columns)
    best = np.empty((num_rows, k), np.int64)
    for start in range(0, num_rows, size):
        chunk = scores[start : start + size]
        rows = np.arange(start, start + len(chunk))
        best[start : start + len(chunk)] = _best_keys(chunk, truth.take(rows), k)
    return best


def _best_keys(scores: NDArray[np.float32], truth: Histories, k: int) -> NDArray[np.int64]:
    """[num_rows, k] keys of the best columns of each row, descending."""
    num_rows, num_columns = scores.shape
    found = np.flatnonzero(scores >= _lower_bound(scores, k)[:, None])
    row, column = np.divmod(found, num_columns)
    hit = np.zeros(scores.shape, np.bool_)
    hit[truth.rows, truth.items] = True
    # Every row has at least k candidates; rows are filled up to the longest one.
    counts = np.bincount(row, minlength=num_rows)
    starts = np.cumsum(counts) - counts
    keys = np.full((num_rows, counts.max()), _NOTHING, np.int64)
    keys[row, np.arange(len(row)) - starts[row]] = pack(scores[row, column], column, hit[row, column])
    keys.partition(keys.shape[1] - k, axis=1)
    return np.sort(keys[:, -k:], axis=1)[:, ::-1]


def _lower_bound(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """[num_rows] a score that at least k columns of the row reach, as close to the k-th best as is cheap.

    The maxima of disjoint groups of columns are scores of different columns, so k of them reach the k-th
    largest.
    """
    num_rows, num_columns = scores.shape
    num_groups = _GROUPS_PER_SLOT * k
    depth = num_columns // num_groups
    if depth < 2:
        return np.full(num_rows, -np.inf, np.float32)
    grouped = scores[:, : depth * num_groups].reshape(num_rows, depth, num_groups)
    maxima = grouped.max(axis=1)
    return np.partition(maxima, num_groups - k, axis=1)[:, num_groups - k]


def pack(scores: NDArray[np.float32], items: NDArray[np.int64], hit: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[m] integers that order as the list does: by score, then not a hit, then the smaller index.

    Bits 63 to 32 hold the score, bit 31 whether the item is no hit, bits 30 to 0 the index, complemented.
    Excluded items (−inf) become the smallest integer.
    """
    keys = _high_bits(scores)
    keys |= np.where(hit, 0, _NOT_TRUTH) | (_INDEX_MASK - items)
    keys[np.isneginf(scores)] = _NOTHING
    return keys


def unpack(keys: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Items, PAD where there is none, and scores, −inf there, of keys."""
    nothing = keys == _NOTHING
    items = np.where(nothing, PAD, _INDEX_MASK - (keys & _INDEX_MASK)).astype(np.int32)
    scores = in_order((keys >> 32).astype(np.int32)).view(np.float32)
    return items, np.where(nothing, np.float32(-np.inf), scores)


def rescored(keys: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The same items' keys with these scores, of the same shape; what is no item stays so."""
    return np.where(keys == _NOTHING, _NOTHING, _high_bits(scores) | (keys & 0xFFFFFFFF))


def _high_bits(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The part of keys that scores decide."""
    # −0.0 and 0.0 are equal, but their bits are not: adding 0.0 makes both 0.0.
    return in_order((scores + np.float32(0)).view(np.int32)).astype(np.int64) << 32


def in_order(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Float32 bits as integers of the same order (negative floats count down); its own inverse."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
