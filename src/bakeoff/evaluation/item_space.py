"""The embedding space of items: nearest neighbours, and a map in two dimensions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.evaluation.ranking import TopLists, rank
from bakeoff.evaluation.ranking.lists import refuse_infinite
from bakeoff.models.base.retriever import ArraysRetriever

SIMILARITY_DECIMALS = 6
"""Decimals of a cosine that float32 can tell."""

PERPLEXITY = 30
"""Of t-SNE: about how many neighbours of an item are kept near it; fewer where there are few items."""

MAX_ITERATIONS = 500
"""Of t-SNE's gradient descent, 250 of them with exaggerated attraction: further steps hardly change the picture."""

FEWEST_FOR_TSNE = 10
"""Below, neighbourhoods mean nothing and the first two principal components are shown."""

DECIMALS = 4
"""Of coordinates in [−1, 1]: a fiftieth of a pixel."""


@dataclass(frozen=True)
class _Directions(ArraysRetriever):
    """A catalogue that is queried with its own items: a history of one item has that item's embedding."""

    item_embeddings: NDArray[np.float32]

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        return self.item_embeddings[queries.histories.items]


def directions(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """[num_items, dim] rows scaled to length 1; rows of zeros, which have no direction, stay as they are.

    Raises:
        BakeoffError: an embedding holds NaN or infinity.
    """
    refuse_infinite(embeddings, "item")
    # Divided by the largest entry first, so that the squares of very large and very small ones stay within float32.
    scaled = embeddings / _or_one(np.abs(embeddings).max(axis=1, initial=0))[:, None]
    length = np.sqrt(np.einsum("nd,nd->n", scaled, scaled, dtype=np.float64))
    return np.asarray(scaled / _or_one(length)[:, None], np.float32)


def nearest(unit: NDArray[np.float32], asked: NDArray[np.int64], count: int, items_per_block: int) -> TopLists:
    """The items with the largest cosine, without the item itself and items without a direction.

    Equal cosines are ordered by index. At most `items_per_block` items are ranked for at once, which bounds memory.

    Args:
        unit: [num_items, dim], from `directions`.
        asked: items whose neighbours are wanted, each among all items.
        count: k, neighbours of each item.
        items_per_block: items ranked for at once.

    Returns:
        Lists of all items, [num_items, k], scores in [−1, 1]; padded where there are fewer other items, and empty
        where an item has no direction or was not asked about.
    """
    pointing = np.flatnonzero(unit.any(axis=1))
    asked = asked[unit[asked].any(axis=1)]
    one_each = np.arange(len(asked) + 1)
    themselves = Histories(one_each, asked.astype(np.int32), np.zeros(len(asked), np.int64))
    queries = Queries(themselves, np.zeros((len(asked), 0), np.float32), np.zeros((len(asked), 0), np.int32))
    found = rank(_Directions(unit), queries, themselves, themselves.first(0), count, items_per_block, pointing)
    items = np.full((len(unit), count), PAD, np.int32)
    scores = np.full((len(unit), count), -np.inf, np.float32)
    items[asked] = found.items
    cosines = np.clip(found.scores, -1, 1).round(SIMILARITY_DECIMALS)
    scores[asked] = np.where(found.items != PAD, cosines, -np.inf)
    return TopLists(items, scores)


def project(unit: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Coordinates [n, 2] in [−1, 1] in which items that point in similar directions lie close together.

    t-SNE (van der Maaten & Hinton 2008) from the first two principal components, as Kobak & Berens (2019) advise, on
    one core: the same on every run. Few items are laid out by principal components; items that all point one way lie
    at the origin.

    Args:
        unit: [n, dim], rows of length 1; their squared distance is 2 − 2 cos.
        seed: of t-SNE's random draws.
    """
    if not (unit != unit[:1]).any():  # none, one, or all in one place
        return np.zeros((len(unit), 2), np.float32)
    flat = _tsne(unit, seed) if len(unit) >= FEWEST_FOR_TSNE else principal_components(unit)
    flat -= flat.mean(axis=0)
    coordinates = (flat / np.abs(flat).max()).astype(np.float32).round(DECIMALS)
    return np.asarray(coordinates + np.float32(0))  # −0.0 becomes 0.0


def _tsne(unit: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE  # takes two seconds, which a model without a map need not pay

    perplexity = min(PERPLEXITY, (len(unit) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, max_iter=MAX_ITERATIONS, init="pca", random_state=seed, n_jobs=1)
    # n_jobs is about the neighbours alone. The threads of the descent wait for each other in a loop (measured on two
    # busy cores: 6 times the CPU time), and only libraries that are loaded already can be limited to one.
    with ThreadpoolController().limit(limits=1):
        return np.asarray(tsne.fit_transform(unit), np.float64)


def principal_components(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """Coordinates [n, 2] of rows [n, d] along their first two principal components, centred.

    The sign of a component is that with which its largest entry is positive; a component that doesn't exist is 0.
    """
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    flat = np.zeros((len(embeddings), 2))
    width = min(2, len(values))
    flat[:, :width] = left[:, :width] * values[:width]
    largest = np.take_along_axis(flat, np.abs(flat).argmax(axis=0)[None, :], axis=0)
    return np.where(largest < 0, -flat, flat)


def _or_one(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.where(values > 0, values, 1)
