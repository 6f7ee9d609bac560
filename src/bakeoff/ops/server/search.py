"""Exact top k among item embeddings by dot product, with items left out, for any number of queries at once."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import offsets_of
from bakeoff.evaluation.ranking.blocked_topk import TopKBuffer
from bakeoff.evaluation.ranking.kernels import INDEX_MASK, NOTHING

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Excluded:
    """Items that each of B queries leaves out, in compressed sparse rows.

    Attributes:
        offsets: int64 [B + 1], as in Histories.
        items: int64, item indices, ascending and without repeats in each row.
    """

    offsets: Ids
    items: Ids

    @classmethod
    def of(cls, rows: Sequence[NDArray[np.integer]]) -> Self:
        """From the items of each query, in any order."""
        lengths = [len(row) for row in rows]
        query = np.repeat(np.arange(len(rows)), lengths)
        together = np.sort((query << 32) | np.concatenate([np.zeros(0, np.int64), *rows]))
        together = together[np.diff(together, prepend=-1) > 0]
        counts = np.bincount(together >> 32, minlength=len(rows))
        return cls(offsets_of(counts), together & 0xFFFFFFFF)

    @property
    def lengths(self) -> Ids:
        """[B] how many."""
        return np.diff(self.offsets)

    def row(self, query: int) -> Ids:
        """Of one query."""
        return self.items[self.offsets[query] : self.offsets[query + 1]]

    def take(self, queries: Sequence[int]) -> Self:
        """Those of some queries."""
        return type(self).of([self.row(query) for query in queries])


@dataclass(frozen=True)
class SearchResult:
    """The best items of one query, best first: item indices int64 [m] and scores float32 [m], m ≤ k."""

    items: Ids
    scores: NDArray[np.float32]


class ItemSearch(Protocol):
    """Finds the best items of queries."""

    @property
    def description(self) -> str:
        """In words, for people."""

    def find(self, queries: NDArray[np.float32], exclude: Excluded, k: int) -> list[SearchResult]:
        """Lists of at most k items each; fewer only where the catalogue has no more that are not excluded.

        Args:
            queries: float32 [B, d].
            exclude: for each query the items that are left out.
            k: at least 1 and at most the size of the catalogue.
        """


class ExactSearch:
    """Brute force: one matrix product, then one pass over its scores by the loop that evaluation ranks with."""

    description = "exact"

    def __init__(self, items: NDArray[np.float32]) -> None:
        """Use these item embeddings [n, d]."""
        # As BLAS reads it: the product then takes half the time.
        self._transposed = np.ascontiguousarray(items.T)
        self._index = np.arange(len(items))
        self._own = threading.local()

    def find(self, queries: NDArray[np.float32], exclude: Excluded, k: int) -> list[SearchResult]:
        """See ItemSearch. Equal scores are ordered by item index."""
        scores = self._scores(len(queries))
        np.matmul(queries, self._transposed, out=scores)
        nobody = (np.zeros(len(queries) + 1, np.int64), np.zeros(0, np.int64))
        lists = TopKBuffer(k, len(self._index), (exclude.offsets, exclude.items), nobody)
        lists.add(scores, np.arange(len(queries)), 0, self._index)
        found = []
        for row, mine in zip(np.sort(lists.best(), axis=1)[:, ::-1], scores, strict=True):
            best = INDEX_MASK - (row[row != NOTHING] & INDEX_MASK)
            found.append(SearchResult(best, mine[best]))
        return found

    @property
    def dim(self) -> int:
        """Of the embeddings."""
        return len(self._transposed)

    def nearest(self, item: int, k: int) -> SearchResult:
        """At most k other items with the largest cosine; none where the item has no direction."""
        vector = self._transposed[:, item]
        lengths = np.sqrt(np.einsum("dn,dn->n", self._transposed, self._transposed))
        if not lengths[item]:
            return SearchResult(np.zeros(0, np.int64), np.zeros(0, np.float32))
        cosines = (vector @ self._transposed) / np.where(lengths > 0, lengths * lengths[item], np.inf)
        cosines[[item]] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: min(k, len(cosines) - 1)]
        best = best[lengths[best] > 0]
        return SearchResult(best, np.clip(cosines[best], -1, 1).astype(np.float32))

    def _scores(self, num_queries: int) -> NDArray[np.float32]:
        """This thread's own array of scores: fresh memory would cost as much as the product."""
        if len(getattr(self._own, "scores", ())) < num_queries:
            self._own.scores = np.empty((num_queries, len(self._index)), np.float32)
        scores: NDArray[np.float32] = self._own.scores
        return scores[:num_queries]
