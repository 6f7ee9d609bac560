"""Compiled loops of ranking and resampling.

All release the GIL, so that threads can share queries and resamples. They are compiled once, then loaded from
__pycache__.
"""

from typing import Any

import numpy as np
from numba import njit

_compiled = njit(nogil=True, cache=True)

_ITEMS_PER_GROUP = 64
# Scores per group, whose largest is compared first: few groups hold one that may enter a list.

NOTHING = np.iinfo(np.int64).min
"""The key of no item."""

_NOT_TRUTH = 1 << 31
INDEX_MASK = _NOT_TRUTH - 1

_SIGN, _MAGNITUDE, _NEGATIVE_ZERO = np.int32(31), np.int32(0x7FFFFFFF), np.int32(-(1 << 31))
_EXCLUDED = np.float32(-np.inf).view(np.int32)
_LOWEST = np.int32((_EXCLUDED ^ _MAGNITUDE) + 1)
# The order of the lowest finite score: an excluded one does not reach it.


@_compiled
def look_through(
    scores: Any,
    start: int,
    items: Any,
    queries: Any,
    exclude_ahead: Any,
    exclude_places: Any,
    truth_ahead: Any,
    truth_places: Any,
    k: int,
    hit: Any,
    keys: Any,
    filled: Any,
    worst: Any,
) -> None:
    """Add to the keys of each query the items that may be among its best k.

    A key is an integer that orders as a list does: by score, then not a hit, then the smaller index. Bits 63 to 32 hold
    the score, bit 31 whether the item is no hit, bits 30 to 0 the index, complemented. NOTHING is the key of no item.

    Args:
        scores: int32 [b, T], bits of the finite scores of a tile; overwritten where excluded.
        start: place of the tile's first item; tiles come in the order of their items.
        items: int64 [w], w ≤ T, index of each item; columns beyond are not scanned.
        queries: int64 [b], the query of each row of scores, an index into the arrays below.
        exclude_ahead: int64 [queries, 2], range of exclude_places that belong to the query and that no tile has
            reached; moved past this tile where the tile matters.
        exclude_places: int64, places that are left out, ascending for each query.
        truth_ahead: int64 [queries, 2], as above.
        truth_places: int64, places that come last among equals, ascending for each query.
        k: length of the lists.
        hit: bool [T], all False, before and after.
        keys: int64 [queries, room], what was found so far.
        filled: int64 [queries], how many.
        worst: int64 [queries], a key that k others reach, or the smallest integer.
    """
    room, width = keys.shape[1], len(items)
    passing = np.empty(_ITEMS_PER_GROUP, np.int64)
    for place in range(len(queries)):
        row, query = scores[place, :width], queries[place]
        beaten = worst[query]
        bound = _bound(beaten)
        if _largest(row) < bound:
            continue
        mine, count = keys[query], filled[query]
        _exclude(row, start, exclude_ahead, query, exclude_places)
        true = _mark(hit[:width], start, truth_ahead, query, truth_places)
        for group in range(0, width, _ITEMS_PER_GROUP):
            stop = min(group + _ITEMS_PER_GROUP, width)
            if _largest(row[group:stop]) < bound:
                continue
            for index in range(_find(row, group, stop, bound, passing)):
                column = passing[index]
                key = _key(row[column], items[column], hit[column])
                if key > beaten:
                    if count == room:
                        beaten = _keep_best(mine, count, k)
                        bound, count = _bound(beaten), k
                    mine[count] = key
                    count += 1
        for event in range(true, truth_ahead[query, 0]):
            hit[truth_places[event] - start] = False
        filled[query], worst[query] = count, beaten


@_compiled
def _find(row: Any, start: int, stop: int, bound: Any, columns: Any) -> Any:
    """Collect the columns that reach the bound and return their number, without a branch, which would mispredict."""
    count = 0
    for column in range(start, stop):
        columns[count] = column
        count += _in_order(row[column]) >= bound
    return count


@_compiled
def _exclude(row: Any, start: int, ahead: Any, query: int, places: Any) -> None:
    """Overwrite the scores of places that a query excludes, from `start` on, and move `ahead` past them."""
    # By index here and below: a slice of an array costs as much as the loop.
    event, stop = ahead[query, 0], start + len(row)
    while event < ahead[query, 1] and places[event] < stop:
        if places[event] >= start:
            row[places[event] - start] = _EXCLUDED
        event += 1
    ahead[query, 0] = event


@_compiled
def _mark(hit: Any, start: int, ahead: Any, query: int, places: Any) -> Any:
    """Mark a query's places from `start` on, move `ahead` past them, and return the first of them."""
    event, stop = ahead[query, 0], start + len(hit)
    while event < ahead[query, 1] and places[event] < start:
        event += 1
    first = event
    while event < ahead[query, 1] and places[event] < stop:
        hit[places[event] - start] = True
        event += 1
    ahead[query, 0] = event
    return first


@_compiled
def may_gain(queries: Any, limits: Any, worst: Any) -> Any:
    """Find the queries for which a later item may still be among the best k.

    Args:
        queries: int64 [b], indices into the arrays below.
        limits: int32 [queries], bits of the largest scores, not negative, that later items may have.
        worst: int64 [queries], as for look_through.

    Returns:
        int64, places in `queries`. A score that only equals the worst one may gain: ties have an order too.
    """
    found = np.empty(len(queries), np.int64)
    count = 0
    for place in range(len(queries)):
        found[count] = place
        count += limits[queries[place]] >= np.int32(worst[queries[place]] >> 32)
    return found[:count]


@_compiled
def cut(keys: Any, filled: Any, k: int) -> None:
    """Move the best k keys of each query to the front, in any order, and pad with NOTHING."""
    for query in range(len(keys)):
        if filled[query] > k:
            _keep_best(keys[query], filled[query], k)
        for place in range(filled[query], k):
            keys[query, place] = NOTHING


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def score_candidates(queries: Any, catalogue: Any, items: Any, found: Any) -> None:
    """Score a few items for each query exactly, whatever the order of addition: see `reproducible_scores`.

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
    """Bits of a float32 as an integer of the same order; its own inverse."""
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
    """The key of an item: see `look_through`."""
    order = np.int64(0) if bits == _NEGATIVE_ZERO else np.int64(_in_order(bits))
    return (order << 32) | (np.int64(0) if is_hit else np.int64(_NOT_TRUTH)) | (np.int64(INDEX_MASK) - item)


@_compiled
def _bound(key: Any) -> Any:
    """The smallest integer that a score may have, in order, whose key is not smaller."""
    order = max(np.int32(key >> 32), _LOWEST)
    return np.int32(-1) if order == 0 else order  # −1 is that of −0.0, whose key is that of 0.0


@_compiled
def _keep_best(keys: Any, count: int, k: int) -> Any:
    """Move the k largest of the first `count` keys to the front, in any order, and return the smallest of them."""
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
    """Count how often each user of a block is drawn.

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
