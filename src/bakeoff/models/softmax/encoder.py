"""The trained softmax DNN as an encoder."""

from typing import Any

from bakeoff.models.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE
from bakeoff.models.softmax.model import SoftmaxDNN
from bakeoff.models.tensorflow import tf


class SoftmaxEncoder(tf.Module):
    """Query tower and precomputed item embeddings: serving never touches item features."""

    def __init__(self, model: SoftmaxDNN, num_items: int) -> None:
        """Share the query tower and make room for the item embeddings of all num_items items."""
        super().__init__(name="softmax")
        self._query_tower = model.query_tower
        shape = (num_items, model.item_tower.dim)
        self.item_embeddings = tf.Variable(tf.zeros(shape), trainable=False, name="item_embeddings")

    def refresh(self, model: SoftmaxDNN) -> None:
        """Follow the item tower after more training. It is not kept: what is an attribute here is exported."""
        self.item_embeddings.assign(model.item_tower(tf.range(self.item_embeddings.shape[0])))

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
