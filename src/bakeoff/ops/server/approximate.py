"""Approximate search by faiss for large catalogues: few of the groups that items fall into are looked through.

The index is an inverted file over inner products (Jégou, Douze & Schmid 2011; Douze et al. 2024, "The Faiss library"):
k-means puts the items into lists, and a query scores those of the nearest lists exactly. How many lists are looked
through is not guessed: it is doubled until the recall beside brute force, measured on real queries, is high enough.
"""

from dataclasses import dataclass
from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from bakeoff.ops.server.search import ExactSearch, Excluded, Ids, SearchResult

MOST_PROBED = 0.25
"""Share of the lists beyond which brute force is no slower."""

RECALL = 0.95
"""Share of the true best items that must be found."""

RECALL_AT = 50
"""Length of the lists on which it is measured."""

LONGEST_OVERFETCH = 2048
"""Excluded items beyond which a query is answered by brute force: it would have to find as many more."""

_POINTS_PER_LIST = 64
"""Items per list that k-means learns from."""


@dataclass(frozen=True)
class MeasuredRecall:
    """What approximate search reached at load.

    Attributes:
        recall: mean share of the true best items that were found, in [0, 1].
        queries: on how many it was measured.
        probes: lists that are looked through.
        lists: that there are.
    """

    recall: float
    queries: int
    probes: int
    lists: int


class ApproximateSearch:
    """Finds most of the best items; never an excluded one, and as many as were asked for."""

    def __init__(self, exact: ExactSearch, items: NDArray[np.float32], seed: int = 0) -> None:
        """Index item embeddings [n, d].

        Args:
            exact: for queries that exclude much, and where too little was found.
            items: the same item embeddings.
            seed: of k-means.
        """
        self._exact, self._num_items = exact, len(items)
        lists = max(1, round(2 * len(items) ** 0.5))
        index = faiss.index_factory(items.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        self._index = cast("Any", index)  # typed as any index, without what an inverted file has
        faiss.omp_set_num_threads(1)  # as BLAS: the other cores belong to other replicas
        self._index.cp.seed, self._index.cp.max_points_per_centroid = seed, _POINTS_PER_LIST
        self._index.cp.min_points_per_centroid = 1  # faiss would warn of fewer than 39, on small catalogues
        self._index.train(items)
        self._index.add(items)
        self.measured = MeasuredRecall(0.0, 0, 1, lists)

    @property
    def description(self) -> str:
        """What it is and reaches."""
        found = self.measured
        return (
            f"approximate: recall {found.recall:.3f} of the best {RECALL_AT} beside brute force on {found.queries} "
            f"queries, {found.probes} of {found.lists} lists looked through"
        )

    def tune(self, queries: NDArray[np.float32], exclude: Excluded, target: float = RECALL) -> MeasuredRecall:
        """Look through as few lists as reach the recall on these queries, [m, d], with what they exclude; m ≥ 1."""
        k = min(RECALL_AT, self._num_items)
        truth = [found.items for found in self._exact.find(queries, exclude, k)]
        probes, lists = 1, self.measured.lists
        while True:
            self._index.nprobe = probes
            found = self.find(queries, exclude, k)
            shares = [np.isin(true, mine.items).mean() for true, mine in zip(truth, found, strict=True) if len(true)]
            recall = float(np.mean(shares)) if shares else 1.0
            self.measured = MeasuredRecall(recall, len(queries), probes, lists)
            if recall >= target or probes == lists:
                return self.measured
            probes = min(2 * probes, lists)

    def find(self, queries: NDArray[np.float32], exclude: Excluded, k: int) -> list[SearchResult]:
        """See ItemSearch."""
        faiss.omp_set_num_threads(1)  # it counts for the calling thread alone
        found: dict[int, SearchResult] = {}
        few = np.flatnonzero(exclude.lengths <= LONGEST_OVERFETCH)
        if len(few):
            # As many more as may be excluded: what is left is then as long as was asked for.
            wanted = min(k + int(exclude.lengths[few].max()), self._num_items)
            scores, items = self._index.search(np.ascontiguousarray(queries[few]), wanted)
            for row, mine, best in zip(few.tolist(), items, scores, strict=True):
                out = exclude.row(row)
                kept = (mine >= 0) & ~_within(mine, out)
                if np.count_nonzero(kept) >= min(k, self._num_items - len(out)):
                    found[row] = SearchResult(mine[kept][:k], best[kept][:k])
        rest = [row for row in range(len(queries)) if row not in found]
        if rest:
            by_force = self._exact.find(np.ascontiguousarray(queries[rest]), exclude.take(rest), k)
            found.update(zip(rest, by_force, strict=True))
        return [found[row] for row in range(len(queries))]


def _within(items: Ids, ascending: Ids) -> NDArray[np.bool_]:
    """Which of the items are in a set."""
    if len(ascending) == 0:
        return np.zeros(len(items), np.bool_)
    places = np.searchsorted(ascending, items).clip(max=len(ascending) - 1)
    return np.asarray(ascending[places] == items)
