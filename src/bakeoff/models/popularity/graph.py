"""Popularity as a TensorFlow module, for the export."""

from typing import Any

from bakeoff.models.base.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE
from bakeoff.models.base.tensorflow import graph, tf
from bakeoff.models.popularity.popularity import PopularityRetriever


class PopularityEncoder(tf.Module):
    """The graph of a `PopularityRetriever`."""

    def __init__(self, retriever: PopularityRetriever) -> None:
        """Hold its item embeddings."""
        super().__init__(name="popularity")
        self.item_embeddings = tf.Variable(retriever.item_embeddings, trainable=False, name="item_embeddings")

    @graph(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Ones, float32 [B, 1]."""
        return tf.ones([tf.shape(history)[0], 1])

    @graph(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Never, bool [B]."""
        return tf.zeros(tf.shape(history)[:1], tf.bool)
