"""Exact top k of a matrix product, computed in blocks of scores that stay in the processor's cache.

BLAS computes a block of scores, some queries times some items, and a compiled loop scans it at once for items that may
still belong to the top k of a query. One thread per core takes blocks of queries. Products are float32, and their last
bits depend on the processor: they select a few more than k candidates, which exact scores then order. A query for which
the float32 products may have missed an item is ranked by exact scores alone.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories
from bakeoff.evaluation.ranking import reproducible_scores as exact
from bakeoff.evaluation.ranking.kernels import INDEX_MASK, NOTHING, cut, look_through, may_gain

QUERIES_PER_TILE = 512
ITEMS_PER_TILE = 256
"""512 KiB of float32 scores, which stay in a core's second-level cache. BLAS lays the items out anew for every tile of
queries: with 128 queries its product takes half as long again."""

_ITEMS_PER_EXACT_TILE = 1 << 13
# Of queries that are ranked by exact scores alone: at most 32 MiB of scores as float64.

_SPARE = 8
# Candidates beyond k. So many scores almost never lie within the error of a float32 product of the k-th best, unless
# they are equal.

_ROOM = 3
# Keys kept per slot of a list. Whenever they are full the best third is kept, and its worst is the new bound.

_UNIT = 2.0**-24
# Largest relative error of one rounding to float32.

_SMALLEST = 2.0**-149
# Largest absolute error where a product is too small for a float32's full precision.

_FEWER = 32
# Queries that must be finished before the others are compacted, which costs a copy of them.

Indices = NDArray[np.int64]
Sets = tuple[Indices, Indices]
"""Compressed sparse rows: offsets int64 [m + 1], and places in the catalogue, ascending in each row."""


class TopKBuffer:
    """The best k items of m queries among the tiles of scores seen so far."""

    def __init__(self, k: int, width: int, exclude: Sets, truth: Sets) -> None:
        """Start empty.

        Args:
            k: length of the lists.
            width: largest number of items in a tile.
            exclude: m rows, places that are left out.
            truth: m rows, places that come last among equal scores.
        """
        num_queries = len(exclude[0]) - 1
        self._k = k
        # For each set: which of its places no tile has reached yet, [m, 2], and the places.
        self._sets: list[Any] = [
            part for offsets, places in (exclude, truth) for part in (np.stack([offsets[:-1], offsets[1:]], 1), places)
        ]
        self._hit = np.zeros(width, np.bool_)
        self._keys = np.empty((num_queries, _ROOM * k), np.int64)
        self._filled, self._worst = np.zeros(num_queries, np.int64), np.full(num_queries, NOTHING)

    def add(self, scores: NDArray[np.float32], queries: Indices, start: int, items: Indices) -> None:
        """Scan the next tile.

        Args:
            scores: float32 [b, T], finite; overwritten where excluded.
            queries: int64 [b], the query of each row.
            start: place of the tile's first item.
            items: int64 [w], w ≤ T, index of each item; columns beyond are not scanned.
        """
        found = (self._hit, self._keys, self._filled, self._worst)
        look_through(scores.view(np.int32), start, items, queries, *self._sets, self._k, *found)

    def may_gain(self, queries: Indices, limits: NDArray[np.float32]) -> Indices:
        """Places in `queries` of those whose list is not full, or whose worst item is no better than their limit.

        Args:
            queries: int64 [b], some of the m queries.
            limits: float32 [m], the largest score that a later item may have; not negative.
        """
        return np.asarray(may_gain(queries, limits.view(np.int32), self._worst))

    def best(self) -> Indices:
        """Keys int64 [m, k] in any order, padded with NOTHING; the buffer can't be used afterwards."""
        cut(self._keys, self._filled, self._k)
        return np.ascontiguousarray(self._keys[:, : self._k])


class TopKeys:
    """Finds the best keys of queries over a catalogue; `kernels.look_through` defines a key.

    Items with long embeddings, which have the largest scores more often than others, are scanned first. Later ones are
    then rejected sooner, and a query is finished where the longest remaining embedding is too short for any score that
    its list could still take (Teflioudi et al., "LEMP: Fast retrieval of large entries in a matrix product", SIGMOD
    2015, section 3).
    """

    def __init__(self, catalogue: NDArray[np.float32], pool: ThreadPoolExecutor) -> None:
        """Use the item embeddings float32 [n, d] from `exact.rounded`, and threads while BLAS is limited to one."""
        norms = exact.norms(catalogue)
        self._catalogue, self._longest = catalogue, norms.max(initial=0)
        self._items = np.argsort(-norms, kind="stable")
        self._place = np.empty_like(self._items)
        self._place[self._items] = np.arange(len(catalogue))
        self._longest_of_tile = norms[self._items[::ITEMS_PER_TILE]]
        num_tiles = len(self._longest_of_tile)
        full = np.zeros((num_tiles * ITEMS_PER_TILE, catalogue.shape[1]), np.float32)
        full[: len(catalogue)] = catalogue[self._items]
        # Laid out as BLAS reads it: (tiles, d, T).
        self._tiles = full.reshape(num_tiles, ITEMS_PER_TILE, catalogue.shape[1]).transpose(0, 2, 1).copy()
        self._pool = pool

    def find(
        self, queries: NDArray[np.float32], exclude: Histories, truth: Histories, k: int
    ) -> Callable[[], NDArray[np.int64]]:
        """Start to search, and return a function that waits for the keys.

        Args:
            queries: float32 [m, d], from `exact.rounded`.
            exclude: m rows, items that are left out.
            truth: m rows, items that come last among equal scores.
            k: at most n.

        Returns:
            A function that returns int64 [m, k], descending; NOTHING where fewer than k items are left.
        """
        best = np.empty((len(queries), k), np.int64)
        sets = (self._places(exclude), self._places(truth))

        def fill(start: int) -> None:
            rows = np.arange(start, min(start + QUERIES_PER_TILE, len(queries)))
            found, is_sure = self._best_of_tile(queries[rows], start, sets, k)
            best[rows] = found
            if not is_sure.all():
                unsure = rows[~is_sure]
                best[unsure] = exact_keys(queries[unsure], self._catalogue, exclude.take(unsure), truth.take(unsure), k)

        filled = self._pool.map(fill, range(0, len(queries), QUERIES_PER_TILE))

        def wait() -> NDArray[np.int64]:
            list(filled)  # raises the error of a thread
            return best

        return wait

    def _places(self, sets: Histories) -> Sets:
        """The rows with each item replaced by its place in the order of the scan."""
        in_order = np.sort((sets.rows << 32) | self._place[sets.items])
        return sets.offsets, in_order & 0xFFFFFFFF

    def _best_of_tile(
        self, queries: NDArray[np.float32], first: int, sets: tuple[Sets, Sets], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Keys [len(queries), k] of queries, the first of which is row `first` of the sets; which of them are sure."""
        part = slice(first, first + len(queries) + 1)
        exclude, truth = ((offsets[part], places) for offsets, places in sets)
        lists = TopKBuffer(min(k + _SPARE, len(self._items)), ITEMS_PER_TILE, exclude, truth)
        lengths = exact.norms(queries)
        longer = lengths * (1 + 4 * _UNIT)  # more than rounding takes away
        asked, rows, room = np.arange(len(queries)), queries, np.empty((len(queries), ITEMS_PER_TILE), np.float32)
        for number, tile in enumerate(self._tiles):
            with np.errstate(over="ignore"):  # infinity is a bound too
                # Of the scores of all items from this tile on (Cauchy-Schwarz).
                limits = (longer * self._longest_of_tile[number] + _SMALLEST).astype(np.float32)
            gaining = lists.may_gain(asked, limits)
            if len(gaining) <= len(asked) - _FEWER or not len(gaining):
                asked = asked[gaining]
                rows = queries[asked]
            if not len(asked):
                break
            scores = np.matmul(rows, tile, out=room[: len(rows)])
            start = number * ITEMS_PER_TILE
            lists.add(scores, asked, start, self._items[start : start + ITEMS_PER_TILE])
        return self._in_order(queries, lengths, lists.best(), k)

    def _in_order(
        self, queries: NDArray[np.float32], lengths: NDArray[np.float64], candidates: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The best k candidates by exact scores, and for which queries no other item can belong to them."""
        items, approximate = unpack(candidates)
        scores = exact.scores_of(queries, self._catalogue, items)
        # −0.0 and 0.0 are equal, but their bits are not: adding 0.0 makes both 0.0.
        high = _ordered_bits((scores + np.float32(0)).view(np.int32)).astype(np.int64) << 32
        rescored = np.where(candidates == NOTHING, NOTHING, high | (candidates & 0xFFFFFFFF))
        best = np.sort(rescored, axis=1)[:, ::-1][:, :k]
        error = self._error(queries, lengths)
        # By BLAS, an item that is no candidate is at most as good as the worst of them; −inf: there is no such item.
        missed_at_most = approximate.min(axis=1).astype(np.float64) + error
        is_all = np.isneginf(missed_at_most) | (candidates.shape[1] == len(self._items))
        return best, is_all | (error == 0) | (missed_at_most < unpack(best[:, -1:])[1][:, 0])

    def _error(self, queries: NDArray[np.float32], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """Largest difference between a score by BLAS and the exact one, [m].

        A sum of m products has an error of at most m u / (1 − m u) Σ |q_k v_k|, in whatever order (Higham, "Accuracy
        and stability of numerical algorithms", 2002, eq. 3.5), and Σ |q_k v_k| ≤ |q| |v|. Zeros add nothing, and a
        single product is rounded as the exact one is. One u more is for the rounding of the exact score.
        """
        products = np.count_nonzero(queries, axis=1)
        largest = lengths * self._longest
        error = 1.01 * (products + 1) * _UNIT * largest + products * _SMALLEST
        return np.where(products > 1, error, 0.0)


def exact_keys(
    queries: NDArray[np.float32], catalogue: NDArray[np.float32], exclude: Histories, truth: Histories, k: int
) -> NDArray[np.int64]:
    """What `TopKeys.find` waits for, [m, k], from exact scores of all items; of few queries."""
    sets = [(each.offsets, np.sort((each.rows << 32) | each.items) & 0xFFFFFFFF) for each in (exclude, truth)]
    lists = TopKBuffer(k, min(_ITEMS_PER_EXACT_TILE, len(catalogue)), *sets)
    everyone, items = np.arange(len(queries)), np.arange(len(catalogue))
    for start in range(0, len(catalogue), _ITEMS_PER_EXACT_TILE):
        part = slice(start, start + _ITEMS_PER_EXACT_TILE)
        lists.add(exact.scores(queries, catalogue[part]), everyone, start, items[part])
    return np.sort(lists.best(), axis=1)[:, ::-1]


def unpack(keys: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Items, PAD where there is none, and scores, −inf there, of keys of any shape."""
    nothing = keys == NOTHING
    items = np.where(nothing, PAD, INDEX_MASK - (keys & INDEX_MASK)).astype(np.int32)
    scores = _ordered_bits((keys >> 32).astype(np.int32)).view(np.float32)
    return items, np.where(nothing, np.float32(-np.inf), scores)


def _ordered_bits(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Float32 bits as integers of the same order (negative floats count down); its own inverse."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
