"""Exact top k among item embeddings by dot product, with items left out, for any number of queries at once."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import offsets_of
from bakeoff.evaluation.ranking.blocked_topk import TopKBuffer
from bakeoff.evaluation.ranking.kernels import INDEX_MASK, NOTHING, score_candidates
from bakeoff.models.base.list_options import debiased

MOST_THREADS = 4
"""Of one block of queries, which takes a few milliseconds: what more of them bring was not measured."""

Ids = NDArray[np.int64]
Items = NDArray[np.integer]
"""Item indices."""
Excluded = Sequence[Items]
"""Item indices that each of B queries leaves out, in any order, repeats allowed."""


@dataclass(frozen=True)
class SearchResult:
    """The best items of one query, best first: item indices int64 [m] and scores float32 [m], m ≤ k."""

    items: Ids
    scores: NDArray[np.float32]


class ExactSearch:
    """Brute force: one matrix product, then one pass over its scores by the loop that evaluation ranks with.

    Attributes:
        dim: of the embeddings.
        description: how it searches, for people.
        recall: share of the true best items that are found, where it was measured; None: all are.
    """

    description = "exact"
    recall: float | None = None

    def __init__(self, items: NDArray[np.float32]) -> None:
        """Use these item embeddings [n, d]."""
        # As BLAS reads it: the product then takes half the time.
        self._transposed = np.ascontiguousarray(items.T)
        self._index = np.arange(len(items))
        self._own = threading.local()
        self.dim = items.shape[1]

    def joined(self, items: NDArray[np.float32]) -> "JoinedSearch":
        """With further items [m, d], m ≥ 1, behind the n; they are scored as these are."""
        return JoinedSearch(self, ExactSearch(items))

    def __len__(self) -> int:
        """The number of items."""
        return len(self._index)

    def find(self, queries: NDArray[np.float32], exclude: Excluded, k: int) -> list[SearchResult]:
        """Lists of at most k items each; fewer only where the catalogue has no more that are not excluded.

        Args:
            queries: float32 [B, d].
            exclude: for each query the items that are left out.
            k: at least 1 and at most the size of the catalogue.

        Returns:
            B lists; equal scores are ordered by item index.
        """
        scores = self.products(queries, self._scores(len(queries)))
        best = self._best(scores, exclude, k)
        return [SearchResult(items, mine[items]) for items, mine in zip(best, scores, strict=True)]

    def find_among(self, query: NDArray[np.float32], items: Ids, k: int) -> SearchResult:
        """The best k of some items, which ascend, for one query [d], by exact scores; the others are not scored."""
        scores = np.empty((1, len(items)), np.float32)
        score_candidates(query[np.newaxis], self.vectors(items), np.arange(len(items))[np.newaxis], scores)
        best = np.argsort(-scores[0], kind="stable")[:k]
        return SearchResult(items[best], scores[0, best])

    def find_debiased(
        self,
        queries: NDArray[np.float32],
        exclude: Iterable[Items],
        k: int,
        popularity: NDArray[np.float32],
        debias: Sequence[float],
    ) -> list[tuple[SearchResult, NDArray[np.float32]]]:
        """The best items by `list_options.debiased`, with their scores, and the debiased ones, which descend.

        Args:
            queries: float32 [B, d].
            exclude: for each query the items that are left out; asked for one after the other.
            k: length of the lists, as for `find`.
            popularity: float32 [n].
            debias: β of each query.
        """
        scores, found = self.products(queries, self._scores(len(queries))), []
        for row, (left_out, beta) in enumerate(zip(exclude, debias, strict=True)):
            mine = scores[row : row + 1]
            value = debiased(mine, popularity, beta)
            [items] = self._best(value, [left_out], k)
            found.append((SearchResult(items, mine[0, items]), value[0, items]))
        return found

    def products(self, queries: NDArray[np.float32], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of all items for queries [B, d], written into `out` [B, n]."""
        np.matmul(queries, self._transposed, out=out)
        return out

    def vectors(self, items: Ids) -> NDArray[np.float32]:
        """Embeddings of m items, [m, d]."""
        return np.ascontiguousarray(self._transposed[:, items].T)

    def cosines(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosine of each item's embedding with a vector [d], [n]; NaN where one of the two has no direction."""
        lengths = np.sqrt(np.einsum("dn,dn->n", self._transposed, self._transposed)) * np.linalg.norm(vector)
        found = np.full(len(self), np.nan, np.float32)
        np.divide(vector @ self._transposed, lengths, out=found, where=lengths > 0)
        return found

    def _best(self, scores: NDArray[np.float32], exclude: Excluded, k: int) -> list[Ids]:
        """The best items of each row of scores [B, n], which are overwritten where excluded."""
        nothing = (np.zeros(len(scores) + 1, np.int64), np.zeros(0, np.int64))
        lists = TopKBuffer(k, len(self._index), _rows(exclude), nothing)
        lists.add(scores, np.arange(len(scores)), 0, self._index)
        best = np.sort(lists.best(), axis=1)[:, ::-1]
        return [INDEX_MASK - (row[row != NOTHING] & INDEX_MASK) for row in best]

    def nearest(self, item: int, k: int) -> SearchResult:
        """At most k other items with the largest cosine; none where the item has no direction."""
        cosines = self.cosines(self.vectors(np.array([item]))[0])
        others = np.flatnonzero(~np.isnan(cosines) & (self._index != item))
        best = others[np.argsort(-cosines[others], kind="stable")[:k]]
        return SearchResult(best, np.clip(cosines[best], -1, 1).astype(np.float32))

    def _scores(self, num_queries: int) -> NDArray[np.float32]:
        """This thread's own array of scores: fresh memory would cost as much as the product."""
        if len(getattr(self._own, "scores", ())) < num_queries:
            self._own.scores = np.empty((num_queries, len(self._index)), np.float32)
        scores: NDArray[np.float32] = self._own.scores
        return scores[:num_queries]


class JoinedSearch(ExactSearch):
    """Items that were added, behind those of another search, which are neither copied nor indexed again.

    It describes itself as the other one does, and that one's recall stays what was measured.
    """

    def __init__(self, first: ExactSearch, added: ExactSearch) -> None:
        """Find the n items of a search, and behind them those of another."""
        self._first, self._added = first, added
        self._size = len(first)
        self._index = np.arange(self._size + len(added))
        self._own = threading.local()
        self.dim, self.description, self.recall = first.dim, first.description, first.recall

    def find(self, queries: NDArray[np.float32], exclude: Excluded, k: int) -> list[SearchResult]:
        """See ExactSearch; the n items are searched as the first search does."""
        of_first = [items[items < self._size] for items in exclude]
        of_added = [items[items >= self._size] - self._size for items in exclude]
        first = self._first.find(queries, of_first, min(k, self._size))
        added = self._added.find(queries, of_added, min(k, len(self._added)))
        return [self._best_of(*both, k) for both in zip(first, added, strict=True)]

    def _best_of(self, first: SearchResult, added: SearchResult, k: int) -> SearchResult:
        items = np.concatenate([first.items, added.items + self._size])
        scores = np.concatenate([first.scores, added.scores])
        best = np.argsort(-scores, kind="stable")[:k]
        return SearchResult(items[best], scores[best])

    def products(self, queries: NDArray[np.float32], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """See ExactSearch."""
        self._first.products(queries, out[:, : self._size])
        self._added.products(queries, out[:, self._size :])
        return out

    def vectors(self, items: Ids) -> NDArray[np.float32]:
        """See ExactSearch."""
        found, is_added = np.empty((len(items), self.dim), np.float32), items >= self._size
        found[~is_added] = self._first.vectors(items[~is_added])
        found[is_added] = self._added.vectors(items[is_added] - self._size)
        return found

    def cosines(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """See ExactSearch."""
        return np.concatenate([self._first.cosines(vector), self._added.cosines(vector)])


def _rows(exclude: Excluded) -> tuple[Ids, Ids]:
    """The items in compressed sparse rows: offsets [B + 1], and items that ascend without repeats in each row."""
    query = np.repeat(np.arange(len(exclude)), [len(row) for row in exclude])
    keys = np.sort((query << 32) | np.concatenate([np.zeros(0, np.int64), *exclude]))
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return offsets_of(np.bincount(keys >> 32, minlength=len(exclude))), keys & 0xFFFFFFFF
