"""Item embeddings: a vector per id, plus what the item's features say."""

from typing import Any

import numpy as np

from bakeoff.models.tensorflow import tf
from bakeoff.preparation.features import EncodedFeatures


class ItemTower(tf.keras.layers.Layer):
    """Maps item indices to unit-length item embeddings: normalise(E_j + features_j · B)."""

    def __init__(self, num_items: int, dim: int, features: EncodedFeatures | None) -> None:
        """Take the catalogue.

        Args:
            num_items: n.
            dim: d.
            features: features of all n items; None: embeddings by id alone.
        """
        super().__init__(name="item_tower")
        self._num_items = num_items
        self.dim = dim
        self._inputs = None if features is None else tf.constant(feature_matrix(features))

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        deviation = self.dim**-0.5
        self.id_embeddings = self.add_weight(
            name="id_embeddings",
            shape=(self._num_items, self.dim),
            initializer=tf.keras.initializers.RandomNormal(stddev=deviation),
        )
        if self._inputs is not None:
            # A third of the id's scale: features tilt an embedding, they do not drown it.
            self.feature_embeddings = self.add_weight(
                name="feature_embeddings",
                shape=(self._inputs.shape[1], self.dim),
                initializer=tf.keras.initializers.RandomNormal(stddev=deviation / 3),
            )
        super().build(input_shape)

    def call(self, item_ids: Any) -> Any:
        """Item embeddings float32 [..., d] of item indices int32 [...]."""
        embeddings = tf.gather(self.id_embeddings, item_ids)
        if self._inputs is not None:
            embeddings += tf.matmul(tf.gather(self._inputs, item_ids), self.feature_embeddings)
        return tf.math.l2_normalize(embeddings, axis=-1)


def feature_matrix(features: EncodedFeatures) -> np.ndarray:
    """Features as one matrix that a linear layer can read.

    Dense ones stand with their square, so that a preference for the middle (films of one decade) can be said;
    categorical ones as one-hot, tags as multi-hot divided by their number.

    Returns:
        float32 [n, number of inputs].
    """
    one_hot = [
        np.eye(size + 1, dtype=np.float32)[features.categorical[:, column], 1:]
        for column, size in enumerate(features.categorical_sizes)
    ]
    tags = [tag / np.maximum(tag.sum(1, keepdims=True), 1) for tag in features.tags]
    return np.concatenate([features.dense, features.dense**2, *one_hot, *tags], axis=1).astype(np.float32)
