"""TensorFlow Recommenders used as well as it allows: ids and features in both towers, logQ correction, temperature.

Its retrieval task gives in-batch softmax with `candidate_sampling_probability`, `temperature` and
`remove_accidental_hits` (the same item elsewhere in the batch); metrics during training are left out, since they cost
more than the training.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
from numpy.typing import NDArray

from peers.data import Data
from peers.lists import Scorer


class Tower(tf.keras.Model):
    """Sum of an id embedding and an affine map of the features, under dropout, normalised if asked for."""

    def __init__(self, features: NDArray[np.float32], dim: int, normalised: bool, dropout: float) -> None:
        super().__init__()
        scale = tf.keras.initializers.RandomNormal(stddev=1 / np.sqrt(dim))
        self._ids = tf.keras.layers.Embedding(len(features), dim, embeddings_initializer=scale)
        self._features = tf.constant(features)
        self._map = tf.keras.layers.Dense(dim) if features.shape[1] else None
        self._dropout = tf.keras.layers.Dropout(dropout)
        self._normalised = normalised

    def call(self, ids: Any, training: bool = False) -> Any:
        """Embeddings [B, dim]."""
        embedded = self._ids(ids)
        if self._map is not None:
            embedded += self._map(tf.gather(self._features, ids))
        embedded = self._dropout(embedded, training=training)
        return tf.math.l2_normalize(embedded, axis=1) if self._normalised else embedded


class Retrieval(tfrs.Model):
    """Two towers and a retrieval task with logQ correction."""

    def __init__(self, users: Any, items: Tower, temperature: float) -> None:
        super().__init__()
        self.users, self.items = users, items
        self._task = tfrs.tasks.Retrieval(temperature=temperature, remove_accidental_hits=True)

    def compute_loss(self, features: Mapping[str, Any], training: bool = False) -> Any:
        """Mean loss of a batch of pairs: the task's is a sum, which would tie the learning rate to the batch."""
        loss = self._task(
            self.users(features["user"], training=training),
            self.items(features["item"], training=training),
            candidate_ids=features["item"],
            candidate_sampling_probability=features["probability"],
            compute_metrics=False,
        )
        return loss / tf.cast(tf.shape(features["item"])[0], tf.float32)


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """`dim`, `normalised`, `dropout`, `temperature`, `learning_rate`, `pairs_per_batch`, `features`, `epochs`."""
    tf.keras.utils.set_random_seed(seed)
    about_users = _user_features(data) if setting["features"] else _none(len(data))
    about_items = item_features(data) if setting["features"] else _none(data.num_items)
    form = {name: setting[name] for name in ("dim", "normalised", "dropout")}
    users, items = Tower(about_users, **form), Tower(about_items, **form)
    for _ in fit(users, items, data.users.astype(np.int32), data.items, data, setting):
        yield lambda rows: np.asarray(users(rows.astype(np.int32))) @ np.asarray(items(np.arange(data.num_items))).T


def fit(
    users: Any, items: Tower, read: NDArray[np.int32], had: NDArray[np.int32], data: Data, setting: Mapping[str, Any]
) -> Iterator[None]:
    """Fit both towers, an epoch at each step, on pairs [n] of what the tower of users reads and the item had."""
    model = Retrieval(users, items, setting["temperature"])
    model.compile(optimizer=tf.keras.optimizers.legacy.Adam(setting["learning_rate"]))
    probability = np.bincount(data.items, minlength=data.num_items) / len(data.items)
    columns = {"user": read, "item": had, "probability": probability[had].astype(np.float32)}
    pairs = tf.data.Dataset.from_tensor_slices(columns).shuffle(len(had)).batch(setting["pairs_per_batch"])
    for _ in range(setting["epochs"]):
        model.fit(pairs.prefetch(2), epochs=1, verbose=0)
        yield


def _user_features(data: Data) -> NDArray[np.float32]:
    """Dense features, and a column for each value of each categorical one."""
    codes = [np.eye(column.max(initial=0) + 1, dtype=np.float32)[column] for column in data.user_categorical.T]
    return np.concatenate([data.user_dense, *codes], axis=1)


def item_features(data: Data) -> NDArray[np.float32]:
    """Dense features and tags, [num_items, E + T]."""
    return np.concatenate([data.item_dense, data.item_tags], axis=1)


def _none(size: int) -> NDArray[np.float32]:
    return np.zeros((size, 0), np.float32)
