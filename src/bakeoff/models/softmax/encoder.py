"""The trained softmax DNN as an encoder."""

from typing import Any

import numpy as np
import tensorflow as tf

from bakeoff.models.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE
from bakeoff.models.softmax.model import SoftmaxDNN


class SoftmaxEncoder(tf.Module):
    """Query tower and precomputed item embeddings: serving never touches item features."""

    def __init__(self, model: SoftmaxDNN, num_items: int) -> None:
        """Compute the item embeddings of all num_items items."""
        super().__init__(name="softmax")
        self._query_tower = model.query_tower
        self._embed_items = lambda: model.item_tower(np.arange(num_items, dtype=np.int32))
        self.item_embeddings = tf.Variable(self._embed_items(), trainable=False, name="item_embeddings")

    def refresh(self) -> None:
        """Follow the item tower after more training; the query tower is shared with it anyway."""
        self.item_embeddings.assign(self._embed_items())

    @tf.function(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, d]."""
        lengths = tf.reduce_sum(tf.cast(history >= 0, tf.int32), axis=1, keepdims=True)
        items = tf.gather(self.item_embeddings, tf.maximum(history, 0))
        return self._query_tower(items, timestamps, lengths, dense, categorical)[:, 0]

    @tf.function(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Never: features and activity alone make a query."""
        return tf.zeros(tf.shape(history)[:1], tf.bool)
