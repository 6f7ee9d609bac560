"""Top-k lists over the whole catalogue, exact, with ties broken against the model; and re-ranking of such lists."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.core.processes import own_threads
from bakeoff.evaluation.ranking import reproducible_scores as exact
from bakeoff.evaluation.ranking.dedup_items import Reachable
from bakeoff.models.base.retriever import Retriever

_COMPILED_FROM = 1 << 24
# Scores from which on the blocked top k pays: Numba takes half a second and 115 MB to load.

_SCORES_PER_SORT = 1 << 19
# Scores that are sorted at once: 10 MB with their keys.

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

    is_large = len(queries) * len(catalogue) >= _COMPILED_FROM
    for part in (_fill_blocked if is_large else _fill_sorted)(lists, blocks(), catalogue, exclude, truth):
        if on_block is not None:
            on_block(part.stop - part.start)
    return lists


def _fill_sorted(
    lists: TopLists, blocks: _Blocks, catalogue: NDArray[np.float32], exclude: Histories, truth: Histories
) -> Iterator[slice]:
    """Fill the lists of each block by sorting exact scores of all items; yield the block."""
    num_items, width = len(catalogue), min(lists.items.shape[1], len(catalogue))
    size = max(1, _SCORES_PER_SORT // max(num_items, 1))
    for part, embedded in blocks:
        for start in range(part.start, part.stop, size):
            rows = np.arange(start, min(start + size, part.stop))
            scores = exact.scores(embedded[rows - part.start], catalogue) + np.float32(0)  # −0.0 becomes 0.0
            excluded, true = exclude.take(rows), truth.take(rows)
            scores[excluded.rows, excluded.items] = -np.inf
            bits = scores.view(np.int32)
            # A key orders as a list does: by score, then not a hit, then the smaller index.
            keys = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64) << 32
            keys += (1 << 32) - 1 - np.arange(num_items)
            keys[true.rows, true.items] = (keys[true.rows, true.items] >> 32 << 32) + (1 << 31) - 1 - true.items
            best = np.sort(np.partition(keys, num_items - width, axis=1)[:, num_items - width :], axis=1)[:, ::-1]
            items = ((1 << 31) - 1 - (best & ((1 << 31) - 1))).astype(np.int32)
            lists.scores[rows, :width] = found = np.take_along_axis(scores, items, axis=1)
            lists.items[rows, :width] = np.where(np.isneginf(found), PAD, items)
        yield part


def _fill_blocked(
    lists: TopLists, blocks: _Blocks, catalogue: NDArray[np.float32], exclude: Histories, truth: Histories
) -> Iterator[slice]:
    """Fill the lists of each block by the blocked top k, while the next block is embedded; yield the block."""
    from bakeoff.evaluation.ranking.blocked_topk import TopKeys, unpack

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
    items = np.empty_like(candidates.items)
    scores = np.empty_like(candidates.scores)
    for part, block in exact.score_blocks(scorer, queries, users_per_block):
        listed = candidates.items[part]
        of_truth = truth.take(np.arange(part.start, part.stop))
        hit = np.zeros(block.shape, np.bool_)
        hit[of_truth.rows, of_truth.items] = True
        index = listed.astype(np.int64)
        found = np.where(listed == PAD, -np.inf, np.take_along_axis(block, index, axis=1))
        order = np.lexsort((listed, np.take_along_axis(hit, index, axis=1), -found), axis=1)
        items[part] = np.take_along_axis(listed, order, axis=1)
        scores[part] = np.take_along_axis(found, order, axis=1)
    return TopLists(items, scores)


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
