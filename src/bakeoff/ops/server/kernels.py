"""Compiled loops of `PrefilteredSearch`; they release the GIL, so that threads can share the items."""

from typing import Any

import numpy as np
from numba import njit

UNDERFLOW = np.float32(1e-30)
"""Of a sum, at most, of products that are too small for a float32."""

_TWO = np.float32(2)
# An integer would make Numba compute in float64.

_ITEMS_PER_GROUP = 256
# Looked at together: few groups hold an item that may be among the best.

_fast = njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})


@_fast
def bound(codes: Any, scales: Any, errors: Any, queries: Any, lengths: Any, found: Any, start: int, stop: int) -> None:
    """Lower bounds of the items from `start` to `stop`; see `PrefilteredSearch.lower_bounds`."""
    fours = len(queries) // 4 * 4
    _four_queries(codes, scales, errors, queries, lengths, found, start, stop, fours)
    for query in range(fours, len(queries)):
        _one_query(codes, scales, errors, queries[query], lengths[query], found[query], start, stop)


@_fast
def _four_queries(
    codes: Any,
    scales: Any,
    errors: Any,
    queries: Any,
    lengths: Any,
    found: Any,
    start: int,
    stop: int,
    num_queries: int,
) -> None:
    # Two items times four queries: what is loaded once is multiplied several times.
    for item in range(start, stop - 1, 2):
        for query in range(0, num_queries, 4):
            a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            e, f, g, h = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for column in range(codes.shape[1]):
                first, second = np.float32(codes[item, column]), np.float32(codes[item + 1, column])
                a += queries[query, column] * first
                b += queries[query + 1, column] * first
                c += queries[query + 2, column] * first
                d += queries[query + 3, column] * first
                e += queries[query, column] * second
                f += queries[query + 1, column] * second
                g += queries[query + 2, column] * second
                h += queries[query + 3, column] * second
            for place, low, high in ((0, a, e), (1, b, f), (2, c, g), (3, d, h)):
                row = query + place
                found[row, item] = _at_least(low, item, scales, errors, lengths[row])
                found[row, item + 1] = _at_least(high, item + 1, scales, errors, lengths[row])
    for query in range(num_queries):
        last = start + (stop - start) // 2 * 2
        _one_query(codes, scales, errors, queries[query], lengths[query], found[query], last, stop)


@_fast
def _one_query(
    codes: Any, scales: Any, errors: Any, query: Any, length: Any, found: Any, start: int, stop: int
) -> None:
    # Four items at a time, for the same reason.
    for item in range(start, stop - 3, 4):
        a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for column in range(len(query)):
            value = query[column]
            a += value * np.float32(codes[item, column])
            b += value * np.float32(codes[item + 1, column])
            c += value * np.float32(codes[item + 2, column])
            d += value * np.float32(codes[item + 3, column])
        for place, total in ((0, a), (1, b), (2, c), (3, d)):
            found[item + place] = _at_least(total, item + place, scales, errors, length)
    for item in range(start + (stop - start) // 4 * 4, stop):
        total = np.float32(0)
        for column in range(len(query)):
            total += query[column] * np.float32(codes[item, column])
        found[item] = _at_least(total, item, scales, errors, length)


@_fast
def _at_least(total: Any, item: int, scales: Any, errors: Any, length: Any) -> Any:
    return total * scales[item] - (length * errors[item] + UNDERFLOW)


@njit(nogil=True, cache=True)
def may_reach(lower: Any, errors: Any, length: Any, least: Any, found: Any) -> int:
    """Collect the items whose score may be `least` or more, as far as there is room; the number of all of them."""
    count, size = 0, len(lower)
    for start in range(0, size, _ITEMS_PER_GROUP):
        stop, reach = min(start + _ITEMS_PER_GROUP, size), 0
        for item in range(start, stop):  # without a branch, so that it is turned into vector instructions
            reach += _at_most(lower[item], errors[item], length) >= least
        if reach == 0:
            continue
        for item in range(start, stop):
            if _at_most(lower[item], errors[item], length) >= least and lower[item] > -np.inf:
                if count < len(found):
                    found[count] = item
                count += 1
    return count


@njit(nogil=True, cache=True)
def _at_most(lower: Any, error: Any, length: Any) -> Any:
    return lower + _TWO * (length * error + UNDERFLOW)
