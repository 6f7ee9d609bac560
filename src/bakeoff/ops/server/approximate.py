"""Approximate search by faiss for large catalogues: few of the groups that items fall into are scanned.

The index is an inverted file over inner products (Jégou, Douze & Schmid 2011; Douze et al. 2024, "The Faiss library"):
k-means puts the items into lists, and a query scores those of the nearest lists exactly. The number of lists to scan
is not guessed: it is doubled until the recall compared with brute force, measured on real queries, is high enough.
"""

from typing import Any, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from bakeoff.ops.server.prefilter import PrefilteredSearch, Quantised
from bakeoff.ops.server.search import Excluded, SearchResult

MOST_PROBED = 0.25
"""Share of the lists beyond which exact search is no slower: it reads a quarter of the bytes of all embeddings."""

RECALL = 0.95
"""Share of the true best items that must be found."""

RECALL_AT = 50
"""Length of the lists on which it is measured."""

LONGEST_OVERFETCH = 2048
"""Excluded items beyond which a query is answered by brute force: it would have to find as many more."""

_POINTS_PER_LIST = 64
"""Items per list that k-means learns from."""


class ApproximateSearch(PrefilteredSearch):
    """Finds most of the best items; never an excluded one, and always lists of the requested length.

    Attributes:
        inverted: the index of faiss, an inverted file.
        lists: number of its lists.
        probes: number of lists that are scanned.
        recall: mean share of the true best items that were found, in [0, 1].
    """

    def __init__(self, items: NDArray[np.float32], quantised: Quantised | None = None, seed: int = 0) -> None:
        """Index item embeddings [n, d], which are quantised unless that was done before; `seed` is that of k-means."""
        super().__init__(items, quantised)
        self.lists = max(1, round(2 * len(items) ** 0.5))
        self.probes, self.recall = 1, 0.0
        index = faiss.index_factory(items.shape[1], f"IVF{self.lists},Flat", faiss.METRIC_INNER_PRODUCT)
        self.inverted = cast("Any", index)  # typed as any index, without what an inverted file has
        faiss.omp_set_num_threads(1)  # the other cores belong to other replicas
        self.inverted.cp.seed, self.inverted.cp.max_points_per_centroid = seed, _POINTS_PER_LIST
        self.inverted.cp.min_points_per_centroid = 1  # faiss would warn of fewer than 39, on small catalogues
        self.inverted.train(items)
        self.inverted.add(items)

    def tune(self, queries: NDArray[np.float32], exclude: Excluded) -> None:
        """Scan as few lists as reach `RECALL` on these queries, [m, d], with what they exclude; m ≥ 1."""
        k = min(RECALL_AT, len(self._index))
        truth = [found.items for found in super().find(queries, exclude, k)]
        self.probes = 1
        while True:
            self.inverted.nprobe = self.probes
            found = self.find(queries, exclude, k)
            shares = [np.isin(true, mine.items).mean() for true, mine in zip(truth, found, strict=True) if len(true)]
            self.recall = float(np.mean(shares)) if shares else 1.0
            if self.recall >= RECALL or self.probes == self.lists:
                break
            self.probes = min(2 * self.probes, self.lists)
        self.description = (
            f"approximate: recall {self.recall:.3f} of the best {RECALL_AT} compared with brute force on "
            f"{len(queries)} queries, {self.probes} of {self.lists} lists scanned"
        )

    def find(self, queries: NDArray[np.float32], exclude: Excluded, k: int) -> list[SearchResult]:
        """See ExactSearch; by brute force for queries that exclude much, and where too little was found."""
        faiss.omp_set_num_threads(1)  # it counts for the calling thread alone
        found: dict[int, SearchResult] = {}
        few = [row for row, items in enumerate(exclude) if len(items) <= LONGEST_OVERFETCH]
        if few:
            # As many more as may be excluded: enough are then left.
            wanted = min(k + max(len(exclude[row]) for row in few), len(self._index))
            scores, items = self.inverted.search(np.ascontiguousarray(queries[few]), wanted)
            for row, mine, best in zip(few, items, scores, strict=True):
                out = np.unique(exclude[row])
                # `out` ascends, so that this takes a tenth of the time of np.isin; -2 is no item.
                kept = (mine >= 0) & (np.append(out, -2)[np.searchsorted(out, mine)] != mine)
                if np.count_nonzero(kept) >= min(k, len(self._index) - len(out)):
                    found[row] = SearchResult(mine[kept][:k], best[kept][:k])
        rest = [row for row in range(len(queries)) if row not in found]
        if rest:
            by_force = super().find(np.ascontiguousarray(queries[rest]), [exclude[row] for row in rest], k)
            found.update(zip(rest, by_force, strict=True))
        return [found[row] for row in range(len(queries))]
