"""Lists of queries that fill up tile by tile of scores."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.ranking.kernels import NOTHING, cut, look_through, may_gain

Indices = NDArray[np.int64]

_ROOM = 3
# Keys kept per slot of a list. Whenever they are full the best third is kept, and its worst is the new bound.


class Ahead:
    """Of compressed sparse rows of places, those that tiles have not reached yet."""

    def __init__(self, offsets: Indices, places: Indices) -> None:
        """Begin with all.

        Args:
            offsets: int64 [m + 1], as in Histories.
            places: int64, ascending in each row.
        """
        self.between, self.places = np.stack([offsets[:-1], offsets[1:]], axis=1), places


class Filling:
    """The best k of m queries among the items of the tiles so far."""

    def __init__(self, k: int, width: int, exclude: Ahead, truth: Ahead) -> None:
        """Begin with none.

        Args:
            k: length of the lists.
            width: items of a tile, at most.
            exclude: m rows, places that are left out.
            truth: m rows, places that come last among equals.
        """
        num_queries = len(exclude.between)
        self._k, self._exclude, self._truth = k, exclude, truth
        self._hit = np.zeros(width, np.bool_)
        self._keys = np.empty((num_queries, _ROOM * k), np.int64)
        self._filled, self._worst = np.zeros(num_queries, np.int64), np.full(num_queries, NOTHING)

    def add(self, scores: NDArray[np.float32], queries: Indices, start: int, items: Indices) -> None:
        """Look through the next tile.

        Args:
            scores: float32 [b, T], finite; overwritten where excluded.
            queries: int64 [b], whose they are.
            start: place of the tile's first item.
            items: int64 [w], w ≤ T, which items they are; columns beyond are not looked at.
        """
        sets: Any = (self._exclude.between, self._exclude.places, self._truth.between, self._truth.places)
        found = (self._hit, self._keys, self._filled, self._worst)
        look_through(scores.view(np.int32), start, items, queries, *sets, self._k, *found)

    def may_gain(self, queries: Indices, limits: NDArray[np.float32]) -> Indices:
        """Places in `queries` of those whose list is not full, or whose worst is no better than their limit.

        Args:
            queries: int64 [b], of the m.
            limits: float32 [m], the largest score that an item to come may have; not negative.
        """
        found: Indices = may_gain(queries, limits.view(np.int32), self._worst)
        return found

    def best(self) -> Indices:
        """Keys [m, k] in any order, filled up with the smallest integer; the end of this object's use."""
        cut(self._keys, self._filled, self._k)
        return np.ascontiguousarray(self._keys[:, : self._k])
