"""Top-k lists over the whole catalogue: exact, with ties broken against the model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.core.threads import own_threads
from bakeoff.evaluation.ranking import reproducible_scores as exact
from bakeoff.evaluation.ranking.dedup_items import Reachable
from bakeoff.evaluation.ranking.selection import best_keys, unpack
from bakeoff.models.base.retriever import Retriever

_WORTH_COMPILED = 1 << 27
# Scores from which on loading the compiled selection, half a second, pays: the one in NumPy then takes that long.

BestKeys = Callable[[NDArray[np.float32], Histories, Histories, int], Callable[[], NDArray[np.int64]]]
"""Given embeddings [m, d] of m queries, what is left out and what counts as hit: waits for their k best keys [m, k]."""


@dataclass(frozen=True)
class TopLists:
    """The best items of n queries, best first.

    Attributes:
        items: int32 [n, k], item indices; PAD (−1) where a user has fewer than k items left to recommend.
        scores: float32 [n, k], their scores; −inf where padded.
    """

    items: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.items)


def rank(
    retriever: Retriever,
    queries: Queries,
    exclude: Histories,
    truth: Histories,
    list_length: int,
    users_per_block: int,
    on_block: Callable[[int], None] | None = None,
) -> TopLists:
    """Rank the whole catalogue for every query and keep the best items.

    Equal scores are ordered pessimistically: items of the truth last, then by item index. So a model gains
    nothing by giving everything the same score. The order is total and the scores are exact (see `exact`), hence the
    lists depend neither on `users_per_block` nor on the processor.

    Args:
        retriever: embeds the queries and holds the item embeddings; score = dot product.
        queries: n queries.
        exclude: n rows, items that are left out of each list.
        truth: n rows, items that count as hits. They decide about ties and nothing else.
        list_length: k, at least 1.
        users_per_block: queries that are embedded at once. Of their scores at most 256 MiB are held at a time.
        on_block: called after each block with the number of its queries.

    Returns:
        Lists of n users, [n, k].

    Raises:
        BakeoffError: embeddings of items and queries don't fit each other, or scores can't be compared: NaN,
            infinite, or so large that products overflow.
    """
    item_embeddings = retriever.item_embeddings
    catalogue = exact.rounded(_embeddings(item_embeddings, "item", len(item_embeddings)))
    longest = exact.norms(catalogue).max(initial=0)
    width = min(list_length, len(catalogue))
    is_large = len(queries) * len(catalogue) >= _WORTH_COMPILED
    reachable = Reachable.of(catalogue, exclude, truth, width) if is_large else Reachable.all(len(catalogue))
    catalogue = reachable.rows(catalogue)
    items = np.full((len(queries), list_length), PAD, np.int32)
    scores = np.full((len(queries), list_length), -np.inf, np.float32)

    def finish(part: slice, keys: Callable[[], NDArray[np.int64]]) -> None:
        places, scores[part, :width] = unpack(keys())
        items[part, :width] = reachable.items_at(places)
        if on_block is not None:
            on_block(part.stop - part.start)

    with _selection(catalogue, is_large) as find:
        begun = None
        for part, block in queries.blocks(max(1, users_per_block)):
            embedded = exact.rounded(_embeddings(retriever.embed_queries(block), "query", len(block)))
            _check_product(embedded, catalogue, exact.norms(embedded).max(initial=0) * longest)
            rows = np.arange(part.start, part.stop)
            excluded, true = reachable.within(exclude.take(rows)), reachable.within(truth.take(rows))
            keys = find(embedded, excluded, true, width)
            if begun is not None:  # while a block is ranked the next one is embedded
                finish(*begun)
            begun = (part, keys)
        if begun is not None:
            finish(*begun)
    return TopLists(items, scores)


@contextmanager
def _selection(catalogue: NDArray[np.float32], is_large: bool) -> Iterator[BestKeys]:
    """The way to the best keys that suits so many scores; both give the same."""
    if not is_large:

        def find(
            queries: NDArray[np.float32], exclude: Histories, truth: Histories, k: int
        ) -> Callable[[], NDArray[np.int64]]:
            return partial(best_keys, queries, catalogue, exclude, truth, k)

        yield find
        return
    from bakeoff.evaluation.ranking.blocked_topk import TopKeys

    with own_threads(ThreadpoolController()) as pool:
        yield TopKeys(catalogue, pool).find


def _embeddings(values: NDArray[np.float32], what: str, num_rows: int) -> NDArray[np.float32]:
    """[num_rows, dim] as contiguous float32, checked."""
    embeddings = np.ascontiguousarray(values, np.float32)
    if embeddings.ndim != 2 or len(embeddings) != num_rows:
        raise BakeoffError(
            f"The model gave {what} embeddings of shape {list(embeddings.shape)} where [{num_rows}, dim] was "
            "expected: it does not fit this split. Train it again."
        )
    bad = ~np.isfinite(embeddings).all(axis=1)
    if bad.any():
        raise BakeoffError(
            f"{bad.sum()} of {num_rows} {what} embeddings hold NaN or infinity (the first is that of row "
            f"{bad.argmax()}): training diverged. Lower the learning rate or raise the regularisation in "
            "params.yaml, and train again."
        )
    return embeddings


def _check_product(queries: NDArray[np.float32], catalogue: NDArray[np.float32], largest_score: float) -> None:
    if queries.shape[1] != catalogue.shape[1]:
        raise BakeoffError(
            f"Query embeddings have {queries.shape[1]} dimensions and item embeddings {catalogue.shape[1]}: "
            "the exported model is of two runs. Train it again."
        )
    # By Cauchy-Schwarz no partial sum of a dot product exceeds this.
    if largest_score >= float(np.finfo(np.float32).max):
        raise BakeoffError(
            f"Scores may reach {largest_score:.1e}, more than float32 holds: training diverged. Lower the "
            "learning rate or raise the regularisation in params.yaml, and train again."
        )
