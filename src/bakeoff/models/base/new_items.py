"""Embeddings of items that a model was trained without: by its item tower, or by the items with nearest features."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from bakeoff.core.errors import BakeoffError, shortened
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.models.base import specs
from bakeoff.models.base.list_options import filterable, only
from bakeoff.models.base.storage import read_items, read_known_users, read_stored

NEIGHBOURS = 10
"""Items whose mean a new item gets. This and NUMBER_WEIGHT were chosen in the earlier periods of
benchmarks/new_items.py, where ridge regression from features to embeddings found fewer in the whole catalogue."""

NUMBER_WEIGHT = 0.5
"""Of a standard deviation of a number, compared with a category or tag that is all an item has."""

_BLOCK = 256

FloatArray = NDArray[np.float32]


def embed_new_items(trained: Path, embeddings: FloatArray, table: pd.DataFrame) -> tuple[FloatArray, str]:
    """Embeddings of m items by the features that the model knows, and how they were found, in words.

    Args:
        trained: directory of a model that `write_model` wrote.
        embeddings: float32 [n, d], its item embeddings.
        table: m rows with item_id and all features of items; numbers as such.

    Returns:
        float32 [m, d], and a sentence without its end.

    Raises:
        BakeoffError: there is no such model, it scores items by their events, or knows no features to compare them by;
            or an item has none of these.
    """
    name, stored = read_stored(trained)
    refuse_without_features(name, stored.encoding.item)
    if path := specs.spec(name).embed_items:
        found: FloatArray | None = specs.resolve(path)(stored, stored.encoding.item.encode(table))
        if found is not None:
            return found, "from their features, by the item tower"
    compared = filterable(stored.encoding.item)
    if compared and (alone := table[compared].isna().all(axis=1)).any():
        raise BakeoffError(
            f"Item {shortened(table['item_id'][alone].iloc[0])} has no {' or '.join(compared)}, by which {name} finds "
            "the items that are near: texts and vectors don't say which are."
        )
    items = read_items(trained)
    known = np.flatnonzero(read_known_users(trained).queries.histories.item_counts(len(items)))
    features = positions(stored.encoding.item, pd.concat([items.iloc[known], table], ignore_index=True), name)
    found = mean_of_nearest(features[: len(known)], embeddings[known], features[len(known) :])
    return found, f"from their features, by the {NEIGHBOURS} nearest items"


def refuse_without_features(model: str, encoding: TableEncoding) -> None:
    """Refuse a model that can't embed an item without an event.

    Raises:
        BakeoffError: says why.
    """
    if specs.spec(model).is_baseline:
        able = ", ".join(name for name, spec in specs.specs().items() if not spec.is_baseline)
        raise BakeoffError(
            f"{model} can't take new items: it scores an item by the events on it, and a new item has none. Models "
            f"that can are {able}."
        )
    if not encoding.names:
        raise BakeoffError(
            f"{model} knows no features of items, so nothing says what a new item is like: name some in "
            f"data.item_features of params.yaml, and train {model} again."
        )


def mean_of_nearest(known: csr_array, vectors: FloatArray, new: csr_array, count: int = NEIGHBOURS) -> FloatArray:
    """The mean vector of the nearest known items of each new one, as long as theirs are on average.

    A mean of vectors that differ is shorter than they are, and by dot product the new item would rank behind them all.

    Args:
        known: float [n, F], features of the items; n ≥ 1.
        vectors: float32 [n, d], their embeddings.
        new: float [m, F].
        count: nearest items.

    Returns:
        float32 [m, d]; of equally near items those with the lowest index count.
    """
    lengths, squares = np.linalg.norm(vectors, axis=1), (known * known).sum(axis=1)
    found = np.zeros((new.shape[0], vectors.shape[1]), np.float32)
    for start in range(0, len(found), _BLOCK):
        distances = squares - 2 * (new[start : start + _BLOCK] @ known.T).toarray()
        near = np.argsort(distances, axis=1, kind="stable")[:, :count]
        means = vectors[near].mean(axis=1)
        scale = lengths[near].mean(axis=1) / np.maximum(np.linalg.norm(means, axis=1), 1e-12)
        found[start : start + _BLOCK] = means * scale[:, np.newaxis]
    return found


def positions(encoding: TableEncoding, table: pd.DataFrame, model: str) -> csr_array:
    """Where each item is: its categories and tags, of length 1, and its numbers, float [n, F].

    Texts and vectors play no part.

    Raises:
        BakeoffError: there is nothing but these.
    """
    there = [name for name in filterable(encoding) if name in table and table[name].notna().any()]
    if not there:
        raise BakeoffError(
            f"{model} knows items by texts or vectors alone, which don't say which of them are near, or was stored "
            f"without their features by an older version: add a number, category or tags to data.item_features, and "
            f"train {model} again."
        )
    features = only(encoding, ("dense", "categorical", "tags"), there).encode(table)
    return csr_array(hstack([features.directions, csr_array(NUMBER_WEIGHT * features.dense)], "csr"))
