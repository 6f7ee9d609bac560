"""Top-k lists over the whole catalogue: exact, with ties broken against the model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.cores import own_threads
from bakeoff.errors import BakeoffError
from bakeoff.models.retriever import Retriever
from bakeoff.preparation.histories import PAD, Histories, Queries

_TILE = 64
# BLAS adds up the products of a matrix's ragged edge in another order, so that equal items get unequal scores
# and a score depends on the size of its block. Zeros up to a multiple of 64 keep every real row and column
# off the edge.

_SCORES_PER_CHUNK = 1 << 19
# 2 MB of float32: a chunk stays in the processor's cache while its top k are selected.

_SCORES_PER_BLOCK = 1 << 26
# 256 MiB of float32: with 10⁶ items a block of 1,024 queries would take 4 GB.

_WORTH_COMPILED = 1 << 27
# Scores from which on loading the compiled selection, half a second, pays: the one in NumPy then takes that long.

_GROUPS_PER_SLOT = 5
# Groups whose maxima bound the k-th best score. With 5 k of them some 10 % more than k items pass the bound.

_NOT_TRUTH = np.int64(1) << 31
_INDEX_MASK = _NOT_TRUTH - 1
_NOTHING = np.iinfo(np.int64).min

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
    nothing by giving everything the same score. The order is total, hence the lists do not depend on
    `users_per_block`.

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
    catalogue = _embeddings(item_embeddings, "item", len(item_embeddings))
    longest = _largest_norm(catalogue)
    num_items = len(catalogue)
    items = np.full((len(queries), list_length), PAD, np.int32)
    scores = np.full((len(queries), list_length), -np.inf, np.float32)
    width = min(list_length, num_items)

    def finish(part: slice, keys: Callable[[], NDArray[np.int64]]) -> None:
        items[part, :width], scores[part, :width] = _unpack(keys())
        if on_block is not None:
            on_block(part.stop - part.start)

    with _selection(catalogue, len(queries)) as best_keys:
        begun = None
        for part, block in queries.blocks(max(1, users_per_block)):
            embedded = _embeddings(retriever.embed_queries(block), "query", len(block))
            _check_product(embedded, catalogue, _largest_norm(embedded) * longest)
            rows = np.arange(part.start, part.stop)
            keys = best_keys(embedded, exclude.take(rows), truth.take(rows), width)
            if begun is not None:  # while a block is ranked the next one is embedded
                finish(*begun)
            begun = (part, keys)
        if begun is not None:
            finish(*begun)
    return TopLists(items, scores)


@contextmanager
def _selection(catalogue: NDArray[np.float32], num_queries: int) -> Iterator[BestKeys]:
    """The way to the best keys that suits so many scores; both give the same."""
    if num_queries * len(catalogue) < _WORTH_COMPILED:
        yield partial(_plain_best_keys, _fill_tile(catalogue), len(catalogue))
        return
    from bakeoff.evaluation.tiles import TopKeys

    with own_threads(ThreadpoolController()) as pool:
        yield TopKeys(catalogue, pool).find


def _plain_best_keys(
    tiles: NDArray[np.float32],
    num_items: int,
    embedded: NDArray[np.float32],
    exclude: Histories,
    truth: Histories,
    k: int,
) -> Callable[[], NDArray[np.int64]]:
    """[num_queries, k] keys of the best items of each query, descending, by NumPy."""
    best = np.empty((len(embedded), k), np.int64)
    size = max(1, _SCORES_PER_BLOCK // max(num_items, 1))
    for start in range(0, len(embedded), size):
        block = embedded[start : start + size]
        rows = np.arange(start, start + len(block))
        products = (_fill_tile(block) @ tiles.T)[: len(block)]
        products[:, num_items:] = -np.inf
        best[rows] = _select(products, exclude.take(rows), truth.take(rows), k)
    return lambda: best


def _select(scores: NDArray[np.float32], exclude: Histories, truth: Histories, k: int) -> NDArray[np.int64]:
    """[num_rows, k] keys of the best columns of each row, descending; sets excluded scores to −inf in place."""
    scores[exclude.rows, exclude.items] = -np.inf
    num_rows, num_columns = scores.shape
    size = max(1, _SCORES_PER_CHUNK // num_columns)
    best = np.empty((num_rows, k), np.int64)
    for start in range(0, num_rows, size):
        chunk = scores[start : start + size]
        rows = np.arange(start, start + len(chunk))
        best[start : start + len(chunk)] = _best_keys(chunk, truth.take(rows), k)
    return best


def _best_keys(scores: NDArray[np.float32], truth: Histories, k: int) -> NDArray[np.int64]:
    """[num_rows, k] keys of the best columns of each row, descending."""
    num_rows, num_columns = scores.shape
    found = np.flatnonzero(scores >= _lower_bound(scores, k)[:, None])
    row, column = np.divmod(found, num_columns)
    hit = np.zeros(scores.shape, np.bool_)
    hit[truth.rows, truth.items] = True
    # Every row has at least k candidates; rows are filled up to the longest one.
    counts = np.bincount(row, minlength=num_rows)
    starts = np.cumsum(counts) - counts
    keys = np.full((num_rows, counts.max()), _NOTHING, np.int64)
    keys[row, np.arange(len(row)) - starts[row]] = _pack(scores[row, column], column, hit[row, column])
    keys.partition(keys.shape[1] - k, axis=1)
    return np.sort(keys[:, -k:], axis=1)[:, ::-1]


def _lower_bound(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """[num_rows] a score that at least k columns of the row reach, as close to the k-th best as is cheap.

    The maxima of disjoint groups of columns are scores of different columns, so k of them reach the k-th
    largest.
    """
    num_rows, num_columns = scores.shape
    num_groups = _GROUPS_PER_SLOT * k
    depth = num_columns // num_groups
    if depth < 2:
        return np.full(num_rows, -np.inf, np.float32)
    grouped = scores[:, : depth * num_groups].reshape(num_rows, depth, num_groups)
    maxima = grouped.max(axis=1)
    return np.partition(maxima, num_groups - k, axis=1)[:, num_groups - k]


def _pack(scores: NDArray[np.float32], items: NDArray[np.int64], hit: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[m] integers that order as the list does: by score, then not a hit, then the smaller index.

    Bits 63 to 32 hold the score, bit 31 whether the item is no hit, bits 30 to 0 the index, complemented.
    Excluded items (−inf) become the smallest integer.
    """
    # −0.0 and 0.0 are equal, but their bits are not: adding 0.0 makes both 0.0.
    keys = _order_preserving((scores + np.float32(0)).view(np.int32)).astype(np.int64) << 32
    keys |= np.where(hit, 0, _NOT_TRUTH) | (_INDEX_MASK - items)
    keys[np.isneginf(scores)] = _NOTHING
    return keys


def _unpack(keys: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    nothing = keys == _NOTHING
    items = np.where(nothing, PAD, _INDEX_MASK - (keys & _INDEX_MASK)).astype(np.int32)
    scores = _order_preserving((keys >> 32).astype(np.int32)).view(np.float32)
    return items, np.where(nothing, np.float32(-np.inf), scores)


def _order_preserving(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Float32 bits as integers of the same order (negative floats count down); its own inverse."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


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


def _largest_norm(embeddings: NDArray[np.float32]) -> float:
    squares = np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64)
    return float(np.sqrt(squares.max(initial=0)))


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


def _fill_tile(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows, then rows of zeros up to a multiple of the tile."""
    missing = -len(embeddings) % _TILE
    return np.concatenate([embeddings, np.zeros((missing, embeddings.shape[1]), np.float32)])
