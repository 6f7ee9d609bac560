"""Top k of a matrix product whose scores never leave the cache: for catalogues where memory would be the limit.

A tile of scores, some queries times some items, is made by BLAS and looked through at once by a compiled loop, which
keeps what may still belong to the best k of each query. The queries are dealt to as many threads as there are cores.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.kernels import NOTHING, cut, look_through
from bakeoff.preparation.histories import Histories

QUERIES_PER_TILE = 512
ITEMS_PER_TILE = 256
"""512 KiB of float32 scores, which stay in a core's second-level cache. BLAS lays the items out anew for every tile of
queries: with 128 of them its product takes half as long again."""

ROWS_OFF_THE_EDGE = 64
"""Queries come in multiples of this; see ranking._TILE."""

_ROOM = 3
# Keys kept per slot of a list. Whenever they are full the best third is kept, and its worst is the new bound.


class TopKeys:
    """Best keys of queries over a catalogue; see ranking._pack for what a key is.

    Items with long embeddings, which have the largest scores more often than others, are looked at first: what comes
    after is then dismissed sooner.
    """

    def __init__(self, catalogue: NDArray[np.float32], pool: ThreadPoolExecutor) -> None:
        """Use these item embeddings, float32 [n, d], and threads; BLAS is held to one meanwhile."""
        self._items = np.argsort(-np.einsum("nd,nd->n", catalogue, catalogue), kind="stable")
        self._place = np.empty_like(self._items)
        self._place[self._items] = np.arange(len(catalogue))
        num_tiles = -(-len(catalogue) // ITEMS_PER_TILE)
        full = _with_zeros(catalogue[self._items], num_tiles * ITEMS_PER_TILE)
        # Laid out as BLAS reads it: (tiles, d, T).
        self._tiles = full.reshape(num_tiles, ITEMS_PER_TILE, -1).transpose(0, 2, 1).copy()
        self._pool = pool
        self._own = threading.local()

    def find(
        self, queries: NDArray[np.float32], exclude: Histories, truth: Histories, k: int
    ) -> Callable[[], NDArray[np.int64]]:
        """Begin to find the keys of the k best items of each query that are not excluded, descending.

        Args:
            queries: float32 [m, d].
            exclude: m rows, items that are left out.
            truth: m rows, items that come last among equals.
            k: at most n.

        Returns:
            what waits for them: int64 [m, k]; the smallest integer where fewer than k items are left.
        """
        best = np.empty((len(queries), k), np.int64)
        sets = (*self._places(exclude), *self._places(truth))

        def fill(start: int) -> None:
            rows = slice(start, start + QUERIES_PER_TILE)
            best[rows] = self._best_of_tile(queries[rows], start, sets, k)

        filled = self._pool.map(fill, range(0, len(queries), QUERIES_PER_TILE))

        def wait() -> NDArray[np.int64]:
            for _ in filled:  # an error in one is raised here
                pass
            return best

        return wait

    def _places(self, sets: Histories) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Offsets, and where the items of each row stand in the order in which they are looked at, ascending."""
        in_order = np.sort((sets.rows << 32) | self._place[sets.items])
        return sets.offsets, in_order & 0xFFFFFFFF

    def _best_of_tile(
        self, queries: NDArray[np.float32], first: int, sets: tuple[NDArray[np.int64], ...], k: int
    ) -> NDArray[np.int64]:
        """Keys [len(queries), k] of the queries that start at row `first` of the sets."""
        full = _with_zeros(queries, -(-len(queries) // ROWS_OFF_THE_EDGE) * ROWS_OFF_THE_EDGE)
        scores, hit = self._workspace()
        scores = scores[: len(full)]
        keys = np.empty((len(queries), _ROOM * k), np.int64)
        filled, worst = np.zeros(len(queries), np.int64), np.full(len(queries), NOTHING)
        for number, tile in enumerate(self._tiles):
            np.matmul(full, tile, out=scores)
            start = number * ITEMS_PER_TILE
            items = self._items[start : start + ITEMS_PER_TILE]
            look_through(scores.view(np.int32), start, items, first, *sets, k, hit, keys, filled, worst)
        cut(keys, filled, k)
        return np.sort(keys[:, :k], axis=1)[:, ::-1]

    def _workspace(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """This thread's own scores and flags."""
        if not hasattr(self._own, "arrays"):
            scores = np.empty((QUERIES_PER_TILE, ITEMS_PER_TILE), np.float32)
            self._own.arrays = (scores, np.zeros(ITEMS_PER_TILE, np.bool_))
        arrays: tuple[NDArray[np.float32], NDArray[np.bool_]] = self._own.arrays
        return arrays


def _with_zeros(rows: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The rows, then rows of zeros up to this size."""
    if len(rows) == size:
        return rows
    return np.concatenate([rows, np.zeros((size - len(rows), rows.shape[1]), np.float32)])
