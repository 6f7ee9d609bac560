"""Popularity as an encoder: the reference that every contender must beat."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE
from bakeoff.models.tensorflow import tf


class PopularityEncoder(tf.Module):
    """One dimension: item embedding φ(j), the number of events of the item; query embedding 1."""

    def __init__(self, frequencies: NDArray[np.integer]) -> None:
        """Take φ, [num_items]."""
        super().__init__(name="popularity")
        self.item_embeddings = tf.Variable(
            frequencies[:, np.newaxis].astype(np.float32), trainable=False, name="item_embeddings"
        )

    @tf.function(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Ones, float32 [B, 1]."""
        return tf.ones([tf.shape(history)[0], 1])

    @tf.function(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Never: everyone gets the same list."""
        return tf.zeros(tf.shape(history)[:1], tf.bool)
