"""EASE as a TensorFlow module, for the export."""

from typing import Any

from bakeoff.models.base.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE, padded_recency_weights
from bakeoff.models.base.tensorflow import graph, tf
from bakeoff.models.ease.ease import EASERetriever


class EASEEncoder(tf.Module):
    """The graph of an `EASERetriever`."""

    def __init__(self, retriever: EASERetriever) -> None:
        """Hold its arrays."""
        super().__init__(name="ease")
        self.item_embeddings = tf.Variable(retriever.item_embeddings, trainable=False, name="item_embeddings")
        self._mean_history = tf.Variable(retriever.mean_history, trainable=False, name="mean_history")
        self.recency_scale = retriever.recency_scale

    @graph(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, n]."""
        rows = tf.broadcast_to(tf.range(tf.shape(history)[0])[:, tf.newaxis], tf.shape(history))
        places = tf.stack([rows, tf.maximum(history, 0)], axis=2)  # (B, W, 2)
        nothing = tf.zeros([tf.shape(history)[0], tf.shape(self.item_embeddings)[0]])
        weights = tf.tensor_scatter_nd_max(nothing, places, padded_recency_weights(history, self.recency_scale))
        return tf.where(self.uses_fallback(history)[:, tf.newaxis], self._mean_history, weights)

    @graph(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Where the history is empty, bool [B]."""
        return tf.reduce_all(history < 0, axis=1)
