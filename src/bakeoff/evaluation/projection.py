"""Item embeddings in two dimensions, for people to look at."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

PERPLEXITY = 30
"""Of t-SNE: about how many neighbours of an item are kept near it; fewer where there are few items."""

MAX_ITERATIONS = 500
"""Of t-SNE's gradient descent, 250 of them with exaggerated attraction: beyond, pictures hardly change."""

FEWEST_FOR_TSNE = 10
"""Below, neighbourhoods mean nothing and the first two principal components are shown."""

DECIMALS = 4
"""Of coordinates in [−1, 1]: a fiftieth of a pixel."""


def project(unit: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Coordinates [n, 2] in [−1, 1] in which items that point in similar directions lie close together.

    t-SNE (van der Maaten & Hinton 2008) from the first two principal components, as Kobak & Berens (2019) advise, on
    one core: the same on every run. Few items are laid out by principal components, and such as all point one way lie
    at the origin.

    Args:
        unit: [n, dim], rows of length 1; their squared distance is 2 − 2 cos.
        seed: of what t-SNE draws.
    """
    if not (unit != unit[:1]).any():  # none, one, or all in one place
        return np.zeros((len(unit), 2), np.float32)
    flat = _tsne(unit, seed) if len(unit) >= FEWEST_FOR_TSNE else principal_components(unit)
    flat -= flat.mean(axis=0)
    coordinates = (flat / np.abs(flat).max()).astype(np.float32).round(DECIMALS)
    return np.asarray(coordinates + np.float32(0))  # −0.0 becomes 0.0


def _tsne(unit: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE  # takes two seconds, which a model without a map need not pay

    tsne = TSNE(
        2,
        perplexity=min(PERPLEXITY, (len(unit) - 1) / 3),
        max_iter=MAX_ITERATIONS,
        init="pca",
        random_state=seed,
        n_jobs=1,
    )
    # n_jobs is about the neighbours alone. The threads of the descent wait for each other in a loop (measured on two
    # busy cores: 6 times the CPU time), and only libraries that are loaded already can be held to one.
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
