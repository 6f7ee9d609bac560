"""Top k of a matrix product whose scores never leave the cache: for catalogues where memory would be the limit.

A tile of scores, some queries times some items, is made by BLAS and looked through at once by a compiled loop, which
keeps what may still belong to the best k of each query. The queries are dealt to as many threads as there are cores.
The products are those of BLAS in float32, whose last bits depend on the processor: they choose candidates, a few more
than k, and exact scores put those in order. Where BLAS may have missed an item the query is told by exact scores alone.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.evaluation.ranking import reproducible_scores as exact
from bakeoff.evaluation.ranking.kernels import score_candidates
from bakeoff.evaluation.ranking.selection import best_keys, rescored, unpack
from bakeoff.evaluation.ranking.topk_buffers import Ahead, Filling

QUERIES_PER_TILE = 512
ITEMS_PER_TILE = 256
"""512 KiB of float32 scores, which stay in a core's second-level cache. BLAS lays the items out anew for every tile of
queries: with 128 of them its product takes half as long again."""

_SPARE = 8
# Candidates beyond k. As good as never do so many scores lie within the error of a float32 product of the k-th best,
# unless they are equal.

_UNIT = 2.0**-24
# Largest relative error of one rounding to float32.

_SMALLEST = 2.0**-149
# Largest absolute error where a product is too small for a float32's full precision.

_FEWER = 32
# Queries that must have all they can get before the others are moved together, which costs a copy of them.


Places = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Offsets of rows, and places, ascending in each row."""


class TopKeys:
    """Best keys of queries over a catalogue; see selection.pack for what a key is.

    Items with long embeddings, which have the largest scores more often than others, are looked at first: what comes
    after is then dismissed sooner, and where the longest embedding that is left is too short for any score that a
    query's list could still take, the query has its list (Teflioudi et al., "LEMP: Fast retrieval of large entries in
    a matrix product", SIGMOD 2015, section 3).
    """

    def __init__(self, catalogue: NDArray[np.float32], pool: ThreadPoolExecutor) -> None:
        """Use these item embeddings, float32 [n, d] of `exact.rounded`, and threads; BLAS is held to one meanwhile."""
        norms = exact.norms(catalogue)
        self._catalogue, self._longest = catalogue, norms.max(initial=0)
        self._items = np.argsort(-norms, kind="stable")
        self._place = np.empty_like(self._items)
        self._place[self._items] = np.arange(len(catalogue))
        num_tiles = -(-len(catalogue) // ITEMS_PER_TILE)
        self._longest_of_tile = norms[self._items[::ITEMS_PER_TILE]]
        full = _with_zeros(catalogue[self._items], num_tiles * ITEMS_PER_TILE)
        # Laid out as BLAS reads it: (tiles, d, T).
        self._tiles = full.reshape(num_tiles, ITEMS_PER_TILE, -1).transpose(0, 2, 1).copy()
        self._pool = pool
        self._own = threading.local()

    def find(
        self, queries: NDArray[np.float32], exclude: Histories, truth: Histories, k: int
    ) -> Callable[[], NDArray[np.int64]]:
        """Begin to find what `selection.best_keys` of the catalogue does, and return what waits for it."""
        best = np.empty((len(queries), k), np.int64)
        sets = (self._places(exclude), self._places(truth))

        def fill(start: int) -> None:
            rows = np.arange(start, min(start + QUERIES_PER_TILE, len(queries)))
            found, is_sure = self._best_of_tile(queries[rows], start, sets, k)
            best[rows] = found
            if not is_sure.all():
                unsure = rows[~is_sure]
                best[unsure] = best_keys(queries[unsure], self._catalogue, exclude.take(unsure), truth.take(unsure), k)

        filled = self._pool.map(fill, range(0, len(queries), QUERIES_PER_TILE))

        def wait() -> NDArray[np.int64]:
            for _ in filled:  # an error in one is raised here
                pass
            return best

        return wait

    def _places(self, sets: Histories) -> Places:
        """Offsets, and where the items of each row stand in the order in which they are looked at, ascending."""
        in_order = np.sort((sets.rows << 32) | self._place[sets.items])
        return sets.offsets, in_order & 0xFFFFFFFF

    def _best_of_tile(
        self, queries: NDArray[np.float32], first: int, sets: tuple[Places, Places], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Keys [len(queries), k] of queries, the first of which is row `first` of the sets; which of them are sure."""
        part = slice(first, first + len(queries) + 1)
        exclude, truth = (Ahead(offsets[part], places) for offsets, places in sets)
        lists = Filling(min(k + _SPARE, len(self._items)), ITEMS_PER_TILE, exclude, truth)
        lengths = exact.norms(queries)
        limits = self._limits(lengths)
        asked, rows, room = np.arange(len(queries)), queries, self._workspace()
        for number, tile in enumerate(self._tiles):
            gaining = lists.may_gain(asked, limits(number))
            if len(gaining) <= len(asked) - _FEWER or not len(gaining):
                asked = asked[gaining]
                rows = queries[asked]
            if not len(asked):
                break
            scores = np.matmul(rows, tile, out=room[: len(rows)])
            start = number * ITEMS_PER_TILE
            lists.add(scores, asked, start, self._items[start : start + ITEMS_PER_TILE])
        return self._in_order(queries, lengths, lists.best(), k)

    def _limits(self, lengths: NDArray[np.float64]) -> Callable[[int], NDArray[np.float32]]:
        """By Cauchy-Schwarz: the largest scores [m] of items from a tile on, or a little more, of queries so long."""
        longer = lengths * (1 + 4 * _UNIT)  # than rounding takes away

        def limits(number: int) -> NDArray[np.float32]:
            with np.errstate(over="ignore"):  # infinity is a limit too
                largest: NDArray[np.float32] = (longer * self._longest_of_tile[number] + _SMALLEST).astype(np.float32)
            return largest

        return limits

    def _in_order(
        self, queries: NDArray[np.float32], lengths: NDArray[np.float64], candidates: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The best k candidates by exact scores, and for which queries no other item can belong to them."""
        items, approximate = unpack(candidates)
        scores = np.empty(items.shape, np.float32)
        score_candidates(queries, self._catalogue, items, scores)
        best = np.sort(rescored(candidates, scores), axis=1)[:, ::-1][:, :k]
        error = self._error(queries, lengths)
        # By BLAS, an item that is no candidate is at most as good as the worst of them; −inf: there is no such item.
        missed_at_most = approximate.min(axis=1).astype(np.float64) + error
        is_all = np.isneginf(missed_at_most) | (candidates.shape[1] == len(self._items))
        return best, is_all | (error == 0) | (missed_at_most < unpack(best[:, -1:])[1][:, 0])

    def _error(self, queries: NDArray[np.float32], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """By how much a score by BLAS may differ from the exact one, at most, [m].

        A sum of m products has an error of at most m u / (1 − m u) Σ |q_k v_k|, in whatever order (Higham, "Accuracy
        and stability of numerical algorithms", 2002, eq. 3.5), and Σ |q_k v_k| ≤ |q| |v|. Zeros add nothing, and a
        single product is rounded as the exact one is. One u more is for the rounding of the exact score.
        """
        products = np.count_nonzero(queries, axis=1)
        largest = lengths * self._longest
        error = 1.01 * (products + 1) * _UNIT * largest + products * _SMALLEST
        return np.where(products > 1, error, 0.0)

    def _workspace(self) -> NDArray[np.float32]:
        """This thread's own scores."""
        if not hasattr(self._own, "scores"):
            self._own.scores = np.empty((QUERIES_PER_TILE, ITEMS_PER_TILE), np.float32)
        scores: NDArray[np.float32] = self._own.scores
        return scores


def _with_zeros(rows: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The rows, then rows of zeros up to this size."""
    if len(rows) == size:
        return rows
    return np.concatenate([rows, np.zeros((size - len(rows), rows.shape[1]), np.float32)])
