"""Nearest items of each item in an embedding space."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.evaluation.ranking import TopLists, rank

SIMILARITY_DECIMALS = 6
"""What float32 can tell of a cosine."""


@dataclass(frozen=True)
class _Directions:
    """A catalogue that is asked about itself: a query is a history of one item, and its embedding that item's."""

    item_embeddings: NDArray[np.float32]

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        return self.item_embeddings[queries.histories.items]

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        return np.zeros(len(queries), np.bool_)


def directions(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """[num_items, dim] rows scaled to length 1; rows of zeros, which have no direction, stay as they are.

    Raises:
        BakeoffError: an embedding holds NaN or infinity.
    """
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        raise BakeoffError(
            f"{len(bad)} of {len(embeddings)} item embeddings hold NaN or infinity (the first is that of row "
            f"{bad[0]}): training diverged. Lower the learning rate or raise the regularisation in "
            "params.yaml, and train again."
        )
    # Divided by the largest entry first, so that the squares of very large and very small ones stay within float32.
    scaled = embeddings / _or_one(np.abs(embeddings).max(axis=1, initial=0))[:, None]
    length = np.sqrt(np.einsum("nd,nd->n", scaled, scaled, dtype=np.float64))
    unit: NDArray[np.float32] = (scaled / _or_one(length)[:, None]).astype(np.float32)
    return unit


def nearest(unit: NDArray[np.float32], asked: NDArray[np.int64], count: int, items_per_block: int) -> TopLists:
    """The items with the largest cosine, the item itself and items without a direction left out.

    Equal ones are ordered by index. At most `items_per_block` rows of similarities are in memory at once.

    Args:
        unit: [num_items, dim], from `directions`.
        asked: items whose neighbours are sought, each among all items.
        count: k, neighbours of each item.
        items_per_block: items that are asked about at once.

    Returns:
        Lists of all items, [num_items, k], scores in [−1, 1]; padded where there are fewer other items, and wholly so
        where an item has no direction or was not asked about.
    """
    pointing = np.flatnonzero(unit.any(axis=1))
    asked = asked[unit[asked].any(axis=1)]
    themselves = _one_each(np.searchsorted(pointing, asked))
    found = rank(
        _Directions(unit[pointing]),
        Queries(themselves, np.zeros((len(asked), 0), np.float32), np.zeros((len(asked), 0), np.int32)),
        exclude=themselves,
        truth=themselves.first(0),
        list_length=count,
        users_per_block=items_per_block,
    )
    items = np.full((len(unit), count), PAD, np.int32)
    scores = np.full((len(unit), count), -np.inf, np.float32)
    there = found.items != PAD
    items[asked] = np.where(there, pointing[found.items] if len(pointing) else PAD, PAD)
    scores[asked] = np.where(there, np.clip(found.scores, -1, 1).round(SIMILARITY_DECIMALS), -np.inf)
    return TopLists(items, scores)


def _one_each(items: NDArray[np.int64]) -> Histories:
    """Row i holds the item at place i and nothing else."""
    return Histories(np.arange(len(items) + 1), items.astype(np.int32), np.zeros(len(items), np.int64))


def _or_one(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.where(values > 0, values, 1)
