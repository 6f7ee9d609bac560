"""Compiled loops of ranking and resampling. All release the GIL: threads may share queries and resamples.

Compiled once, then loaded from __pycache__.
"""

from typing import Any

import numpy as np
from numba import njit

_compiled = njit(nogil=True, cache=True)

_ITEMS_PER_GROUP = 64
# Scores of which the largest is compared first: few groups hold one that may enter a list.

NOTHING = np.iinfo(np.int64).min
"""The key of no item."""

_NOT_TRUTH = 1 << 31
_INDEX_MASK = _NOT_TRUTH - 1

_SIGN, _MAGNITUDE, _NEGATIVE_ZERO = np.int32(31), np.int32(0x7FFFFFFF), np.int32(-(1 << 31))
_EXCLUDED = np.float32(-np.inf).view(np.int32)
_LOWEST = np.int32((_EXCLUDED ^ _MAGNITUDE) + 1)
# The order of the lowest finite score: an excluded one does not reach it.


@_compiled
def look_through(
    scores: Any,
    start: int,
    items: Any,
    first: int,
    exclude_offsets: Any,
    exclude_places: Any,
    truth_offsets: Any,
    truth_places: Any,
    k: int,
    hit: Any,
    keys: Any,
    filled: Any,
    worst: Any,
) -> None:
    """Add to the keys of each query what may be among its best k.

    Args:
        scores: int32 [b, T], bits of the finite scores of a tile; overwritten where excluded.
        start: place of the tile's first item.
        items: int64 [w], w ≤ T, which items they are; columns beyond are not looked at.
        first: row of the first query in the sets.
        exclude_offsets: int64, of compressed sparse rows, as in Histories.
        exclude_places: int64, places that are left out, ascending in each row.
        truth_offsets: int64, as above.
        truth_places: int64, places that come last among equals, ascending in each row.
        k: length of the lists.
        hit: bool [T], all False, before and after.
        keys: int64 [queries, room], what was found so far.
        filled: int64 [queries], how many.
        worst: int64 [queries], a key that k others beat, or the smallest integer.
    """
    room, width = keys.shape[1], len(items)
    for query in range(len(keys)):
        row, mine, count, beaten = scores[query], keys[query], filled[query], worst[query]
        bound = _bound(beaten)
        excluded = exclude_places[exclude_offsets[first + query] : exclude_offsets[first + query + 1]]
        for event in range(_first_at(excluded, start), _first_at(excluded, start + width)):
            row[excluded[event] - start] = _EXCLUDED
        true = truth_places[truth_offsets[first + query] : truth_offsets[first + query + 1]]
        true = true[_first_at(true, start) : _first_at(true, start + width)]
        _mark(hit, true, start, True)
        for group in range(0, width, _ITEMS_PER_GROUP):
            stop = min(group + _ITEMS_PER_GROUP, width)
            if _largest(row[group:stop]) < bound:
                continue
            for column in range(group, stop):
                if _in_order(row[column]) >= bound:
                    key = _key(row[column], items[column], hit[column])
                    if key > beaten:
                        if count == room:
                            beaten = _keep_best(mine, count, k)
                            bound, count = _bound(beaten), k
                        mine[count] = key
                        count += 1
        _mark(hit, true, start, False)
        filled[query], worst[query] = count, beaten


@_compiled
def _mark(hit: Any, places: Any, start: int, value: bool) -> None:
    for place in places:
        hit[place - start] = value


@_compiled
def _first_at(places: Any, start: int) -> int:
    """Index of the first of ascending places that is at `start` or beyond."""
    low, high = 0, len(places)
    while low < high:
        middle = (low + high) >> 1
        if places[middle] < start:
            low = middle + 1
        else:
            high = middle
    return low


@_compiled
def cut(keys: Any, filled: Any, k: int) -> None:
    """Bring the best k keys of each query to the front, in any order; fill up with the smallest integer."""
    for query in range(len(keys)):
        if filled[query] > k:
            _keep_best(keys[query], filled[query], k)
        for place in range(filled[query], k):
            keys[query, place] = NOTHING


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def score_candidates(queries: Any, catalogue: Any, items: Any, found: Any) -> None:
    """Exact scores of a few items for each query, in whatever order the compiler adds up: see exact.

    Args:
        queries: float32 [m, d].
        catalogue: float32 [n, d].
        items: int32 [m, c]; negative where there is none.
        found: float32 [m, c], overwritten; −inf where there is no item.
    """
    for query in range(len(items)):
        asked = queries[query]
        for place in range(items.shape[1]):
            if items[query, place] < 0:
                found[query, place] = -np.inf
                continue
            embedding = catalogue[items[query, place]]
            total = 0.0
            for column in range(len(asked)):
                total += np.float64(asked[column]) * np.float64(embedding[column])
            found[query, place] = np.float32(total)


@_compiled
def _in_order(bits: Any) -> Any:
    """Bits of a float32 as an integer of the same order; its own inverse. See selection.in_order."""
    return np.int32(bits ^ ((bits >> _SIGN) & _MAGNITUDE))


@_compiled
def _largest(row: Any) -> Any:
    # Of integers, since a maximum of floats is not turned into vector instructions, and by index for the same reason.
    largest = _in_order(row[0])
    for column in range(len(row)):
        largest = max(largest, _in_order(row[column]))
    return largest


@_compiled
def _key(bits: Any, item: Any, is_hit: Any) -> Any:
    """As selection.pack."""
    order = np.int64(0) if bits == _NEGATIVE_ZERO else np.int64(_in_order(bits))
    return (order << 32) | (np.int64(0) if is_hit else np.int64(_NOT_TRUTH)) | (np.int64(_INDEX_MASK) - item)


@_compiled
def _bound(key: Any) -> Any:
    """The smallest integer that a score may have, in order, whose key is not smaller."""
    order = max(np.int32(key >> 32), _LOWEST)
    return np.int32(-1) if order == 0 else order  # −1 is that of −0.0, whose key is that of 0.0


@_compiled
def _keep_best(keys: Any, count: int, k: int) -> Any:
    """Bring the k largest of the first `count` keys to the front, in any order; the smallest of them."""
    low, high, last = 0, count - 1, k - 1
    while low < high:  # quickselect, descending; keys differ, but for the smallest integer
        middle = (low + high) >> 1
        pivot = _median(keys[low], keys[middle], keys[high])
        if pivot == keys[low]:
            keys[low] = keys[high]
        elif pivot == keys[middle]:
            keys[middle] = keys[high]
        keys[high] = pivot
        larger = low
        for place in range(low, high):  # without a branch on what is compared, which would be mispredicted
            key = keys[place]
            keys[place] = keys[larger]
            keys[larger] = key
            larger += key > pivot
        keys[high] = keys[larger]
        keys[larger] = pivot
        if last == larger:
            break
        if last < larger:
            high = larger - 1
        else:
            low = larger + 1
    return keys[last]


@_compiled
def _median(a: Any, b: Any, c: Any) -> Any:
    return max(min(a, b), min(max(a, b), c))


@_compiled
def count_draws(words: Any, draws: Any, counts: Any) -> None:
    """How often each user of a block is drawn.

    Args:
        words: uint16 [resamples, at least max(draws)], random bits.
        draws: int64 [resamples], users that are drawn.
        counts: float32 [resamples, block], overwritten; the size of the block is a power of two, at most 2¹⁶.
    """
    mask = np.uint16(counts.shape[1] - 1)
    for resample in range(len(counts)):
        row, bits = counts[resample], words[resample]
        row[:] = 0
        for draw in range(draws[resample]):
            row[bits[draw] & mask] += np.float32(1)
