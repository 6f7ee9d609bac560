"""Item features as inputs of a linear layer, in as much memory as there is to say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import offsets_of
from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.pooling import pool

SHRINKAGE = 10
"""A word of n trained items weighs n / (n + SHRINKAGE): what few items teach of it is more about them than about it."""


class ItemInputs:
    """Inputs x_j of each item j: dense features, their squares, then values one by one.

    The squares let a preference for the middle be said (films of one decade). A categorical feature is one-hot; tags
    and words are multi-hot, divided by their number, and the rarer a word, the less it weighs. Dense inputs stand in a
    matrix, the others, nearly all of them 0, row by row.
    """

    def __init__(self, features: EncodedFeatures, is_trained: NDArray[np.bool_]) -> None:
        """Lay out the features of all n items.

        Args:
            features: of all n items.
            is_trained: bool [n], items with an event to learn from.
        """
        rows, inputs, weights, size = _values(features)
        num_trained = np.bincount(inputs[is_trained[rows]], minlength=size)
        self._first_word = size - sum(words.size for words in features.word_sets)
        is_of_word = inputs >= self._first_word
        trust = (num_trained / (num_trained + SHRINKAGE)).astype(np.float32)
        weights[is_of_word] *= trust[inputs[is_of_word]]
        order = np.argsort(rows, kind="stable")
        rows, inputs, weights = rows[order], inputs[order], weights[order]
        lengths = np.bincount(rows, minlength=len(is_trained))
        self._dense = tf.constant(np.concatenate([features.dense, features.dense**2], axis=1, dtype=np.float32))
        self._offsets = tf.constant(offsets_of(lengths))
        self._inputs = tf.constant(inputs)
        self._weights = tf.constant(weights[:, np.newaxis])
        self._num_dense = 2 * features.dense.shape[1]
        self.size = self._num_dense + size
        """Number of inputs."""
        self.is_word = np.arange(self.size) >= self._num_dense + self._first_word
        """bool [size]."""
        self.is_trained = np.concatenate([np.ones(self._num_dense, np.bool_), num_trained > 0])
        """bool [size], whether an item with an event to learn from has the input. Nothing is known of any other."""

    def embed(self, item_ids: Any, input_embeddings: Any, keeps_words: Any | None = None) -> Any:
        """Σ x_j · B, the sum of what an item's inputs say.

        Args:
            item_ids: integers [M].
            input_embeddings: float32 [size, d], B.
            keeps_words: bool [M], whether the words of an item have their say; None: those of all do.

        Returns:
            float32 [M, d].
        """
        ids = tf.cast(item_ids, tf.int64)
        entries = tf.ragged.range(tf.gather(self._offsets, ids), tf.gather(self._offsets, ids + 1))
        inputs, weights = tf.gather(self._inputs, entries.values), tf.gather(self._weights, entries.values)
        if keeps_words is not None:
            is_kept = tf.gather(keeps_words, entries.value_rowids()) | (inputs < self._first_word)
            weights *= tf.cast(is_kept, tf.float32)[:, tf.newaxis]
        embeddings = tf.convert_to_tensor(input_embeddings)
        dense, values = embeddings[: self._num_dense], embeddings[self._num_dense :]
        sums = tf.squeeze(pool(values, entries.row_splits, inputs, weights), axis=1)
        return sums + tf.matmul(tf.gather(self._dense, ids), dense)


def _values(
    features: EncodedFeatures,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], int]:
    """Row, input and weight of each value that a row has, column after column, and the number of inputs."""
    rows, inputs, weights, size = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)], [np.zeros(0, np.float32)], 0
    for column, num_values in enumerate(features.categorical_sizes):
        codes = features.categorical[:, column]
        known = np.flatnonzero(codes)
        rows.append(known)
        inputs.append(codes[known] - 1 + size)
        weights.append(np.ones(len(known), np.float32))
        size += num_values
    for each in (*features.tag_sets, *features.word_sets):
        rows.append(each.rows)
        inputs.append(each.codes + size)
        weights.append((1 / np.diff(each.offsets)[each.rows]).astype(np.float32))
        size += each.size
    return np.concatenate(rows), np.concatenate(inputs, dtype=np.int32), np.concatenate(weights), size
