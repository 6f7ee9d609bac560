"""The trained softmax DNN as an encoder."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE
from bakeoff.models.base.tensorflow import graph, tf
from bakeoff.models.neural.activity import activity_of_padded
from bakeoff.models.neural.model import SoftmaxDNN
from bakeoff.models.neural.params import SoftmaxParams


class SoftmaxEncoder(tf.Module):
    """Query tower and precomputed item embeddings: serving never touches item features."""

    def __init__(self, model: SoftmaxDNN, num_items: int, params: SoftmaxParams) -> None:
        """Share the query tower and make room for the embeddings of all num_items items."""
        super().__init__(name="softmax")
        self._query_tower = model.query_tower
        self._max_history = params.max_history
        zeros = tf.zeros((num_items, params.dim))
        self.item_embeddings = tf.Variable(zeros, trainable=False, name="item_embeddings")
        # What is ranked is smoothed, what is read of a history is not.
        self._read_embeddings = (
            tf.Variable(zeros, trainable=False, name="read_embeddings") if params.smoothing else self.item_embeddings
        )

    def refresh(self, item_embeddings: NDArray[np.float32]) -> None:
        """Follow the item tower after more training. It is not kept: what is an attribute here is exported."""
        self._read_embeddings.assign(item_embeddings)

    def rank_by(self, item_embeddings: NDArray[np.float32]) -> None:
        """Rank by other embeddings than those that are read."""
        self.item_embeddings.assign(item_embeddings)

    @graph(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, d]."""
        lengths = tf.reduce_sum(tf.cast(history >= 0, tf.int32), axis=1)
        items = tf.gather(self._read_embeddings, tf.maximum(history, 0))
        activity = activity_of_padded(timestamps, lengths, self._max_history)
        pooled = self._query_tower.pooling.of_padded(items, lengths)
        return self._query_tower(pooled, activity, dense, categorical)

    @graph(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Never: features and activity alone make a query."""
        return tf.zeros(tf.shape(history)[:1], tf.bool)
