"""TensorFlow Recommenders with a query tower that reads histories, as in its tutorial on sequential retrieval.

Gated recurrent units over the last items of a history give the query, an id embedding and the features the item; the
retrieval task, with in-batch softmax and logQ correction, is that of `tfrs_tuned`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from peers.data import Data
from peers.lists import Scorer
from peers.tfrs_tuned import Tower, fit, item_features

USERS_PER_BLOCK = 1024


class HistoryTower(tf.keras.Model):
    """Items, oldest first → embeddings → GRU, under dropout, normalised if asked for."""

    def __init__(self, num_items: int, dim: int, normalised: bool, dropout: float) -> None:
        super().__init__()
        scale = tf.keras.initializers.RandomNormal(stddev=1 / np.sqrt(dim))
        self._items = tf.keras.layers.Embedding(num_items + 1, dim, embeddings_initializer=scale)
        self._gru = tf.keras.layers.GRU(dim)
        self._dropout = tf.keras.layers.Dropout(dropout)
        self._num_items, self._normalised = num_items, normalised

    def call(self, histories: Any, training: bool = False) -> Any:
        """Embeddings [B, dim] of histories int32 [B, L], filled up on the left with num_items."""
        embedded = self._dropout(self._items(histories), training=training)
        state = self._gru(embedded, mask=histories != self._num_items)
        return tf.math.l2_normalize(state, axis=1) if self._normalised else state


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """`length` of a history, and what `tfrs_tuned` takes, but `features`, which are always read."""
    tf.keras.utils.set_random_seed(seed)
    form = {name: setting[name] for name in ("dim", "normalised", "dropout")}
    users, items = HistoryTower(data.num_items, **form), Tower(item_features(data), **form)
    places = np.setdiff1d(np.arange(len(data.items)), data.offsets[:-1])  # before a user's first event is nothing
    before = histories_before(data, places, data.users[places], setting["length"])

    def scores(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        read = histories_before(data, data.offsets[rows + 1], rows, setting["length"])
        blocks = [np.asarray(users(read[at : at + USERS_PER_BLOCK])) for at in range(0, len(rows), USERS_PER_BLOCK)]
        return np.asarray(np.concatenate(blocks) @ np.asarray(items(np.arange(data.num_items))).T)

    for _ in fit(users, items, before, data.items[places], data, setting):
        yield scores


def histories_before(data: Data, places: NDArray[np.int64], users: NDArray[np.int64], length: int) -> NDArray[np.int32]:
    """The last `length` items of these users before these places, [n, length], filled up on the left with num_items."""
    index = places[:, np.newaxis] + np.arange(-length, 0)
    is_there = index >= data.offsets[users][:, np.newaxis]
    return np.where(is_there, data.items[np.maximum(index, 0)], data.num_items).astype(np.int32)
