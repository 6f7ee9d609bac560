"""Embeddings of items that training has not seen, by the stored weights of an item tower; no TensorFlow is needed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.models.base.storage import StoredModel

PREFIX = "item_tower_"
"""Of the names of the stored weights."""


def stored_weights(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Those of a stored model's arrays that `ItemTower.feature_weights` gave; none without a network over features."""
    return {name: arrays[name] for name in sorted(arrays) if name.startswith(PREFIX)}


def embed_items(stored: StoredModel, features: EncodedFeatures) -> NDArray[np.float32] | None:
    """Embeddings of m items by their features: what `ItemTower` gives an item without an event.

    Args:
        stored: the model.
        features: of the m items, as the model encodes them.

    Returns:
        float32 [m, d]; None where the model has no network over them.
    """
    if not (weights := [*stored_weights(stored.arrays).values()]):
        return None
    inputs, *hidden, output = weights
    dense = numbers_of_items(features)
    split = dense.shape[1]
    sums = dense @ inputs[:split] + values_of_items(features) @ inputs[split:]
    activation = sums
    for kernel, bias in zip(hidden[::2], hidden[1::2], strict=True):
        activation = np.maximum(activation @ kernel + bias, 0)
    found = sums + activation @ output
    if stored.settings["normalize"]:
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    return np.asarray(found, np.float32)


def numbers_of_items(features: EncodedFeatures) -> NDArray[np.float32]:
    """Numbers float32 [n, inputs] that each item has: dense features, their squares, then components of vectors."""
    numbers, vectors = np.split(features.dense, [features.dense.shape[1] - features.num_components], axis=1)
    return np.concatenate([numbers, numbers**2, vectors], axis=1, dtype=np.float32)


def values_of_items(features: EncodedFeatures) -> csr_array:
    """Weights float32 [n, inputs] of the values that each item has, column after column."""
    sets = (*features.tag_sets, *features.word_sets)
    shares = [each.multiply(1 / np.maximum(np.diff(each.indptr), 1)[:, np.newaxis]) for each in sets]
    columns = [csr_array((len(features.categorical), 0)), *features.category_sets, *shares]
    return csr_array(hstack(columns, "csr", np.float32))
