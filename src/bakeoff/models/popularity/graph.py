"""Popularity as a TensorFlow module, for the export."""

from typing import Any

from bakeoff.models.base.encoder import ArraysEncoder
from bakeoff.models.base.tensorflow import tf


class PopularityEncoder(ArraysEncoder):
    """The graph of a `PopularityRetriever`."""

    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Ones, float32 [B, 1]."""
        return tf.ones([tf.shape(history)[0], 1])

    def explain(self, history: Any, timestamps: Any, dense: Any, categorical: Any, items: Any) -> Any:
        """Nothing of any event, float32 [m, W]."""
        return tf.zeros([tf.size(items), tf.shape(history)[1]])

    def uses_fallback(self, history: Any) -> Any:
        """Never, bool [B]."""
        return tf.zeros(tf.shape(history)[:1], tf.bool)
