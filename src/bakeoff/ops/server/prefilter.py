"""Exact search that reads embeddings quantised to 8 bits, and few of the embeddings themselves.

A query takes as long as it takes to read the catalogue, and 8 bits are a quarter of a float32. The quantised embeddings
give a lower and an upper bound of each score. Items whose upper bound is too low for the list are passed over, and the
few candidates that are left are scored exactly: the lists are those of brute force.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.processes import num_cores
from bakeoff.evaluation.ranking.reproducible_scores import norms
from bakeoff.ops.server.kernels import bound, may_reach
from bakeoff.ops.server.search import MOST_THREADS, ExactSearch, Excluded, Ids, JoinedSearch, SearchResult

PREFILTERED = 1 << 23
"""Values of all embeddings from which quantised ones pay (docs/serving.md): fewer are quickly read as they are."""

FEW = 8
"""Queries that are computed together, at most: one product of more is faster. One of eight takes about as long, and
keeps all cores busy (docs/serving.md)."""

PARALLEL = 100_000_000
"""Products of a block from which threads pay."""

MOST_CANDIDATES = 0.03
"""Share of the catalogue beyond which all items are scored: to gather vectors takes longer than to multiply them."""

LONGEST = 1e13
"""Largest value of an embedding, and length of a query, for which no product in here exceeds a float32."""

_LARGEST = 127
# Code.

_UNIT = 2.0**-24
# Largest relative error of one rounding to float32.

_VALUES_AT_ONCE = 1 << 17
# Quantised at once: 1 MiB of float64 stays in the processor's cache.


@dataclass(frozen=True)
class Quantised:
    """Embeddings of n items, x̂ = scale × code.

    Attributes:
        codes: int8 [n, d]; the largest value of each row is ±127.
        scales: float32 [n].
        errors: float32 [n], the most by which the scores of item and x̂ differ for a query of length one, as float32
            computes them.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    errors: NDArray[np.float32]

    @classmethod
    def of(cls, items: NDArray[np.float32]) -> "Quantised":
        """Quantise item embeddings [n, d].

        By Cauchy–Schwarz |q·x − q·x̂| ≤ |q| |x − x̂|. Rounding adds less than (d + 8) u |q| |x| to q·x and as much to
        q·x̂, in whatever order products are added up (Higham, "Accuracy and stability of numerical algorithms", 2002,
        eq. 3.5); it is counted twice, which is ample.
        """
        n, d = items.shape
        found = cls(np.empty((n, d), np.int8), np.empty(n, np.float32), np.empty(n, np.float32))
        size = max(1, _VALUES_AT_ONCE // max(d, 1))
        for start in range(0, n, size):
            part, to = items[start : start + size].astype(np.float64), slice(start, start + size)
            largest = np.abs(part).max(axis=1, initial=0)
            found.scales[to] = np.maximum(largest / _LARGEST, np.finfo(np.float32).tiny)
            scale = found.scales[to, np.newaxis].astype(np.float64)
            with np.errstate(invalid="ignore"):  # NaN: see `is_usable`
                found.codes[to] = np.clip(np.rint(part / scale), -_LARGEST, _LARGEST)
            close = found.codes[to] * scale
            length, close_length, apart = (np.linalg.norm(rows, axis=1) for rows in (part, close, part - close))
            rounding = 2 * (d + 8) * _UNIT * (length + close_length)
            # The factor covers the rounding of these lengths, and of that of a query.
            found.errors[to] = 1.0001 * (apart + rounding)
        return found

    @property
    def is_usable(self) -> bool:
        """Whether all values are finite, and small enough for products in float32."""
        return bool((self.scales < LONGEST / _LARGEST).all())


class PrefilteredSearch(ExactSearch):
    """Finds what brute force finds; embeddings take a good quarter more memory.

    Attributes:
        quantised: the items.
    """

    description = "exact, prefiltered by 8-bit embeddings"

    def __init__(self, items: NDArray[np.float32], quantised: Quantised | None = None) -> None:
        """Use these item embeddings [n, d], which are quantised unless that was done before."""
        super().__init__(items)
        self.quantised = quantised or Quantised.of(items)
        self._is_usable = self.quantised.is_usable
        self._threads = min(num_cores(), MOST_THREADS)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="search")

    def joined(self, items: NDArray[np.float32]) -> JoinedSearch:
        """See ExactSearch."""
        return JoinedSearch(self, PrefilteredSearch(items))

    def find(self, queries: NDArray[np.float32], exclude: Excluded, k: int) -> list[SearchResult]:
        """See ExactSearch; by a product of all where there are many queries, NaN or infinity."""
        queries = np.ascontiguousarray(queries, np.float32)
        exact_lengths = norms(queries)
        fits = len(queries) <= FEW and queries.shape[1] == self.dim
        if not (fits and self._is_usable and (exact_lengths < LONGEST).all()):
            return super().find(queries, exclude, k)
        lengths, results = exact_lengths.astype(np.float32), []
        all_lower = self.lower_bounds(queries, lengths)
        all_surest = self._best(all_lower, exclude, k)  # what is left out is −inf in `all_lower` from here on
        rows = zip(queries, all_lower, lengths, all_surest, exclude, strict=True)
        for query, lower, length, surest, left_out in rows:
            # k items have at least this score: an item whose upper bound is lower is not among the best. Where fewer
            # are found, all that are not left out are in the list.
            least = lower[surest].min() if len(surest) == k else np.float32(-np.inf)
            items = self._candidates(lower, length, least, k)
            if items is None:  # this overwrites the first row of `all_lower`, which has been looked at by now
                results += super().find(query[np.newaxis], [left_out], k)
            else:
                results.append(self.find_among(query, items, k))
        return results

    def lower_bounds(self, queries: NDArray[np.float32], lengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the score of each item is at least, however float32 adds it up.

        The upper bound is 2 × (length × error of the item + UNDERFLOW) more.

        Args:
            queries: float32 [B, d].
            lengths: float32 [B], of the queries.

        Returns:
            float32 [B, n], this thread's own until it asks again.
        """
        found, n = self._scores(len(queries)), len(self._index)
        given = (self.quantised.codes, self.quantised.scales, self.quantised.errors, queries, lengths, found)
        if len(queries) * self.quantised.codes.size < PARALLEL or self._threads == 1:
            bound(*given, 0, n)
        else:
            cuts = [n * part // self._threads for part in range(self._threads + 1)]
            list(self._pool.map(lambda start, stop: bound(*given, start, stop), cuts[:-1], cuts[1:]))
        return found

    def _candidates(self, lower: NDArray[np.float32], length: Any, least: Any, k: int) -> Ids | None:
        """Items whose score may be `least` or more for a query of this length; None where they are too many."""
        items = np.empty(int(MOST_CANDIDATES * len(lower)) + k, np.int64)
        count = may_reach(lower, self.quantised.errors, length, least, items)
        return None if count > len(items) else items[:count]
