"""The retrieval tutorial of TensorFlow Recommenders ("Recommending movies: retrieval"), unchanged.

A tower of user ids, a tower of item ids, 32 dimensions, in-batch softmax without correction, Adagrad at 0.1, batches of
8,192, 3 epochs, FactorizedTopK metrics all the while. Only the data differs: it is that of the split.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from peers.data import Data
from peers.lists import Scorer

DIM = 32


class MovielensModel(tfrs.Model):
    """Two towers and a retrieval task."""

    def __init__(self, user_model: Any, movie_model: Any, task: Any) -> None:
        super().__init__()
        self.movie_model, self.user_model, self.task = movie_model, user_model, task

    def compute_loss(self, features: Mapping[str, Any], training: bool = False) -> Any:
        """Loss of a batch of pairs."""
        return self.task(self.user_model(features["user_id"]), self.movie_model(features["movie_title"]))


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """Nothing is set: this is the tutorial."""
    tf.keras.utils.set_random_seed(seed)
    users, items = _ids(data.users), _ids(data.items)
    user_ids, titles = _ids(np.arange(len(data))), _ids(np.arange(data.num_items))
    movies = tf.data.Dataset.from_tensor_slices(titles)
    user_model, movie_model = _tower(np.unique(users)), _tower(titles)
    metrics = tfrs.metrics.FactorizedTopK(candidates=movies.batch(128).map(movie_model))
    model = MovielensModel(user_model, movie_model, tfrs.tasks.Retrieval(metrics=metrics))
    model.compile(optimizer=tf.keras.optimizers.Adagrad(learning_rate=0.1))
    ratings = tf.data.Dataset.from_tensor_slices({"user_id": users, "movie_title": items})
    shuffled = ratings.shuffle(100_000, seed=seed, reshuffle_each_iteration=False)
    model.fit(shuffled.shuffle(100_000).batch(8192).cache(), epochs=3, verbose=0)
    candidates = np.asarray(movie_model(titles))
    yield lambda rows: np.asarray(user_model(user_ids[rows])) @ candidates.T


def _tower(vocabulary: Any) -> Any:
    lookup = tf.keras.layers.StringLookup(vocabulary=vocabulary, mask_token=None)
    return tf.keras.Sequential([lookup, tf.keras.layers.Embedding(len(vocabulary) + 1, DIM)])


def _ids(indices: Any) -> Any:
    return np.asarray(indices).astype(str)
