"""Query embeddings of known users, computed before the export."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Queries
from bakeoff.models.base.tensorflow import tf

LARGEST = 1 << 24
"""Precomputed users at most: a query gives its row as a feature, and float32 holds the integers up to here."""


class PrecomputedUsers(tf.Module):
    """An encoder that looks up the stored embedding of a known user by the row that is the query's only feature."""

    def __init__(self, query_embeddings: NDArray[np.float32], item_embeddings: NDArray[np.float32]) -> None:
        """Hold embeddings of users [n, d], n ≤ LARGEST, and of items [num_items, d]."""
        super().__init__(name="stored")
        self._vectors = tf.Variable(query_embeddings, trainable=False, name="query_embeddings")
        self.item_embeddings = tf.Variable(item_embeddings, trainable=False, name="item_embeddings")

    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Float32 [B, d] of the rows in `dense`, [B, 1]; nothing else is read."""
        # A sum, since SavedModels are traced for raw features too, and these queries have none.
        return tf.gather(self._vectors, tf.cast(tf.reduce_sum(dense, axis=1), tf.int32))

    def uses_fallback(self, history: Any) -> Any:
        """Unknown, so False, bool [B]: stored embeddings include those of the model's fallback."""
        return tf.zeros(tf.shape(history)[:1], tf.bool)


def rows_as_features(queries: Queries) -> Queries:
    """The same histories, with each query's row in place of its features."""
    rows = np.arange(len(queries), dtype=np.float32)[:, np.newaxis]
    return Queries(queries.histories, rows, np.zeros((len(queries), 0), np.int32))
