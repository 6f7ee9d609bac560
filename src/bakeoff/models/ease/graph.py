"""EASE as a TensorFlow module, for the export."""

from typing import Any

from bakeoff.models.base.encoder import ArraysEncoder, padded_recency_weights
from bakeoff.models.base.tensorflow import tf


class EASEEncoder(ArraysEncoder):
    """The graph of an `EASERetriever`."""

    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, n]."""
        rows = tf.broadcast_to(tf.range(tf.shape(history)[0])[:, tf.newaxis], tf.shape(history))
        places = tf.stack([rows, tf.maximum(history, 0)], axis=2)  # (B, W, 2)
        nothing = tf.zeros([tf.shape(history)[0], tf.shape(self.item_embeddings)[0]])
        recency = padded_recency_weights(history, self._retriever.recency_scale)
        weights = tf.tensor_scatter_nd_max(nothing, places, recency)
        return tf.where(self.uses_fallback(history)[:, tf.newaxis], self.mean_history, weights)

    def explain(self, history: Any, timestamps: Any, dense: Any, categorical: Any, items: Any) -> Any:
        """The terms of (x B)_j, float32 [m, W]; events of the same item share its term."""
        known = history[0] >= 0
        events = tf.maximum(history[0], 0)
        query = self.embed_queries(history, timestamps, dense, categorical)[0]
        repeats = tf.math.unsorted_segment_sum(tf.cast(known, tf.float32), events, tf.size(query))
        weights = tf.where(known, tf.gather(query / tf.maximum(repeats, 1), events), 0)
        return tf.gather(tf.gather(self.item_embeddings, items), events, axis=1) * weights
