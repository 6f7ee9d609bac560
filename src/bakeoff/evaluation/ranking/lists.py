"""Top-k lists over the whole catalogue, exact, with ties broken against the model; and re-ranking of such lists."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import PAD, Histories, Queries, offsets_of
from bakeoff.core.processes import own_threads
from bakeoff.evaluation.metrics.formulas import relevance
from bakeoff.evaluation.ranking import reproducible_scores as exact
from bakeoff.models.base.retriever import Retriever

Items = NDArray[np.int64]
"""Indices of items, in any order."""


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

    def first(self, count: int) -> Self:
        """At most the first `count` items of each list."""
        return type(self)(self.items[:, :count], self.scores[:, :count])


def rank(
    retriever: Retriever,
    queries: Queries,
    exclude: Histories,
    truth: Histories,
    list_length: int,
    users_per_block: int,
    among: Items | None = None,
) -> TopLists:
    """Rank the whole catalogue, or some of its items, for every query and keep the best items.

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
        among: [m], the items that lists may hold; None: all.

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

    from bakeoff.evaluation.ranking.blocked_topk import TopKeys, unpack  # compiled: loading takes half a second

    reachable = Reachable.of(catalogue, exclude, truth, list_length, among)
    width = min(list_length, len(reachable.items))

    def finish(part: slice, keys: Callable[[], NDArray[np.int64]]) -> None:
        places, lists.scores[part, :width] = unpack(keys())
        lists.items[part, :width] = np.where(places == PAD, PAD, reachable.items[places])

    with own_threads() as pool:
        top_keys, pending = TopKeys(reachable.rows(catalogue), pool), None
        for part, block in queries.blocks(max(1, users_per_block)):  # embedded while the one before is searched for
            embedded = exact.rounded(_checked(retriever.embed_queries(block), "query", len(block)))
            _check_product(embedded, catalogue, exact.norms(embedded).max(initial=0) * longest)
            rows = np.arange(part.start, part.stop)
            excluded, true = reachable.within(exclude.take(rows)), reachable.within(truth.take(rows))
            keys = top_keys.find(embedded, excluded, true, width)
            if pending is not None:
                finish(*pending)
            pending = (part, keys)
        if pending is not None:
            finish(*pending)
    return lists


def reorder(
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
    return TopLists(np.take_along_axis(candidates.items, order, axis=1), np.take_along_axis(scores, order, axis=1))


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


@dataclass(frozen=True)
class Reachable:
    """The m of n items of a catalogue that lists can hold, in the order of the catalogue.

    Of items with equal embeddings only the first ones can be listed. A catalogue has many where a model cannot tell
    them apart: all items without interactions have the zeros of matrix factorisation, or one embedding per combination
    of features. Each would be scored, and since float32 products can't decide which of them comes first, every list
    that ends among them would need exact scores of the whole catalogue.

    Attributes:
        items: int64 [m], their indices, ascending.
        place: int32 [n], place of each item of the catalogue among them; PAD where it is not one of them.
    """

    items: NDArray[np.int64]
    place: NDArray[np.int32]

    @classmethod
    def of(
        cls, catalogue: NDArray[np.float32], exclude: Histories, truth: Histories, k: int, among: Items | None
    ) -> Self:
        """The items that lists of k can hold.

        Of items that all score the same a list holds those of smallest index, after leaving out the excluded ones and
        putting those of the truth last. So k of them are enough, and one more for each that may be excluded or true.

        Args:
            catalogue: float32 [n, d], row by row in memory.
            exclude: rows of items that are left out, one row for each list.
            truth: rows of items that come last among equals.
            k: length of the lists.
            among: the only items that lists may hold; None: all.
        """
        is_reachable = np.ones(len(catalogue), np.bool_)
        if among is not None:
            is_reachable = np.isin(np.arange(len(catalogue)), among)
        shared = _shared(catalogue)
        shared = shared[is_reachable[shared]]
        if len(shared):
            num_before, has_equal = np.zeros(len(catalogue), np.int64), np.zeros(len(catalogue), np.bool_)
            num_before[shared], has_equal[shared] = _equals(catalogue[shared])
            passed_over = sum(_most(sets, has_equal) for sets in (exclude, truth))
            is_reachable &= num_before < k + passed_over
        place = np.where(is_reachable, np.cumsum(is_reachable) - 1, PAD).astype(np.int32)
        return cls(np.flatnonzero(is_reachable), place)

    def rows(self, catalogue: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows [m, d] of the embeddings of all items; not copied where all items are reachable."""
        return catalogue if len(self.items) == len(catalogue) else catalogue[self.items]

    def within(self, sets: Histories) -> Histories:
        """The same rows without items that are not reachable, by place."""
        if len(self.items) == len(self.place):
            return sets
        return sets.renumbered(self.place)


def _shared(catalogue: NDArray[np.float32]) -> NDArray[np.int64]:
    """Items that share their first two values with another item, ascending: a superset of those with an equal.

    Comparing whole embeddings would take a hundredth of the time of a ranking.
    """
    first = np.ascontiguousarray(catalogue[:, :2])
    bits = first.view(np.uint64 if first.shape[1] == 2 else np.uint32)[:, 0]
    in_order = np.sort(bits)
    return np.flatnonzero(np.isin(bits, in_order[1:][in_order[1:] == in_order[:-1]]))


def _equals(catalogue: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """[n] number of items of smaller index with the same embedding, bit by bit; [n] whether another item has it."""
    rows = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(catalogue.shape[1] * catalogue.itemsize), len(catalogue), [None, pa.py_buffer(catalogue)]
    )
    group = rows.dictionary_encode().indices.to_numpy()
    sizes = np.bincount(group)
    order = np.argsort(group, kind="stable")
    num_before = np.empty(len(group), np.int64)
    num_before[order] = np.arange(len(group)) - np.repeat(offsets_of(sizes)[:-1], sizes)
    return num_before, sizes[group] > 1


def _most(sets: Histories, counted: NDArray[np.bool_]) -> int:
    """The largest number of counted items in a row."""
    return max(int(np.bincount(b.rows[counted[b.items]], minlength=1).max(initial=0)) for _, b in sets.blocks())
