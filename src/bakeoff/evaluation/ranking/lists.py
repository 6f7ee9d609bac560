"""Top-k lists over the whole catalogue, exact, with ties broken against the model; and re-ranking of such lists."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.core.processes import own_threads
from bakeoff.evaluation.metrics.formulas import relevance
from bakeoff.evaluation.ranking import reproducible_scores as exact
from bakeoff.evaluation.ranking.dedup_items import Reachable
from bakeoff.models.base.retriever import Retriever

_Blocks = Iterable[tuple[slice, NDArray[np.float32]]]
"""Consecutive blocks of queries, each with its embeddings [m, d]."""


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

    def first(self, count: int) -> "TopLists":
        """At most the first `count` items of each list."""
        return TopLists(self.items[:, :count], self.scores[:, :count])


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
    nothing by giving everything the same score. The order is total and the scores are exact (see
    `reproducible_scores`), hence the lists depend neither on `users_per_block` nor on the processor.

    Args:
        retriever: embeds the queries and holds the item embeddings; score = dot product.
        queries: n queries.
        exclude: n rows, items that are left out of each list.
        truth: n rows, items that count as hits. They decide about ties and nothing else.
        list_length: k, at least 1.
        users_per_block: queries that are embedded at once.
        on_block: called after each block with the number of its queries.

    Returns:
        Lists of n users, [n, k].

    Raises:
        BakeoffError: embeddings of items and queries don't fit each other, or scores can't be compared: NaN,
            infinite, or so large that products overflow.
    """
    item_embeddings = retriever.item_embeddings
    catalogue = exact.rounded(_checked(item_embeddings, "item", len(item_embeddings)))
    longest = exact.norms(catalogue).max(initial=0)
    shape = (len(queries), list_length)
    lists = TopLists(np.full(shape, PAD, np.int32), np.full(shape, -np.inf, np.float32))

    def blocks() -> Iterator[tuple[slice, NDArray[np.float32]]]:
        for part, block in queries.blocks(max(1, users_per_block)):
            embedded = exact.rounded(_checked(retriever.embed_queries(block), "query", len(block)))
            _check_product(embedded, catalogue, exact.norms(embedded).max(initial=0) * longest)
            yield part, embedded

    for part in _fill(lists, blocks(), catalogue, exclude, truth):
        if on_block is not None:
            on_block(part.stop - part.start)
    return lists


def _fill(
    lists: TopLists, blocks: _Blocks, catalogue: NDArray[np.float32], exclude: Histories, truth: Histories
) -> Iterator[slice]:
    """Fill the lists of each block while the next block is embedded; yield the block."""
    from bakeoff.evaluation.ranking.blocked_topk import TopKeys, unpack  # compiled: loading takes half a second

    width = min(lists.items.shape[1], len(catalogue))
    reachable = Reachable.of(catalogue, exclude, truth, width)

    def finish(part: slice, keys: Callable[[], NDArray[np.int64]]) -> slice:
        places, lists.scores[part, :width] = unpack(keys())
        lists.items[part, :width] = reachable.items_at(places)
        return part

    with own_threads(ThreadpoolController()) as pool:
        top_keys = TopKeys(reachable.rows(catalogue), pool)
        pending = None
        for part, embedded in blocks:
            rows = np.arange(part.start, part.stop)
            excluded, true = reachable.within(exclude.take(rows)), reachable.within(truth.take(rows))
            keys = top_keys.find(embedded, excluded, true, width)
            if pending is not None:
                yield finish(*pending)
            pending = (part, keys)
        if pending is not None:
            yield finish(*pending)


def rerank(
    scorer: Retriever, queries: Queries, candidates: TopLists, truth: Histories, users_per_block: int
) -> TopLists:
    """Order candidates that another model retrieved by the scores of this one.

    Equal scores are ordered as by `rank`: items of the truth last, then by index.

    Args:
        scorer: the model, whose embeddings are finite.
        queries: n queries.
        candidates: lists of n users, [n, c].
        truth: n rows, items that count as hits.
        users_per_block: users scored at once.

    Returns:
        Lists of n users, [n, c], padded at the end.
    """
    catalogue = exact.rounded(scorer.item_embeddings)
    scores = np.empty_like(candidates.scores)
    for part, block in queries.blocks(max(1, users_per_block)):
        scores[part] = exact.scores_of(exact.rounded(scorer.embed_queries(block)), catalogue, candidates.items[part])
    order = np.lexsort((candidates.items, relevance(candidates, truth), -scores), axis=1)
    return TopLists(*(np.take_along_axis(values, order, axis=1) for values in (candidates.items, scores)))


def _checked(values: NDArray[np.float32], what: str, num_rows: int) -> NDArray[np.float32]:
    """[num_rows, dim] as contiguous float32; an error that says why where they can't be used."""
    embeddings = np.ascontiguousarray(values, np.float32)
    if embeddings.ndim != 2 or len(embeddings) != num_rows:
        raise BakeoffError(
            f"The model gave {what} embeddings of shape {list(embeddings.shape)} where [{num_rows}, dim] was "
            "expected: it does not fit this split. Train it again."
        )
    refuse_infinite(embeddings, what)
    return embeddings


def refuse_infinite(embeddings: NDArray[np.float32], what: str) -> None:
    """Check that all embeddings [n, dim] are finite.

    Args:
        embeddings: of any number of rows.
        what: the kind of embedding, for the message.

    Raises:
        BakeoffError: says how many rows hold NaN or infinity, and what to do about it.
    """
    bad = ~np.isfinite(embeddings).all(axis=1)
    if bad.any():
        raise BakeoffError(
            f"{bad.sum()} of {len(embeddings)} {what} embeddings hold NaN or infinity (the first is that of row "
            f"{bad.argmax()}): training diverged. Lower the learning rate or raise the regularisation in "
            "params.yaml, and train again."
        )


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
