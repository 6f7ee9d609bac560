"""The TensorFlow side of a retriever: the interface of what is exported, and a retriever over it in NumPy."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Queries
from bakeoff.models.base.retriever import TrainedRetriever
from bakeoff.models.base.tensorflow import tf

QUERY_SIGNATURE = (
    tf.TensorSpec([None, None], tf.int32, name="history"),
    tf.TensorSpec([None, None], tf.int64, name="timestamps"),
    tf.TensorSpec([None, None], tf.float32, name="dense"),
    tf.TensorSpec([None, None], tf.int32, name="categorical"),
)
"""A block of B queries: item indices [B, W] oldest first, PAD-padded; UTC seconds [B, W]; user features as encoded.

Where the history is padded, timestamps are 0, or the time at which the query is asked.
"""

HISTORY_SIGNATURE = QUERY_SIGNATURE[:1]

EXPLAIN_SIGNATURE = (*QUERY_SIGNATURE, tf.TensorSpec([None], tf.int32, name="items"))
"""One query as in QUERY_SIGNATURE, and the items [m] whose scores are explained."""

QUERIES_PER_BLOCK = 128
"""Queries that are embedded at once, unless they have long histories."""

PADDED_EVENTS_PER_BLOCK = 1 << 18
"""Width times queries of the padded histories that are embedded at once, unless a single query has more: 67 MB of
embeddings of 64 dimensions. It is reached by 128 histories of 2,048 events."""


class Encoder(Protocol):
    """A model in TensorFlow, as training leaves it and as a SavedModel gives it back.

    An encoder may also have `explain(history, timestamps, dense, categorical, items)`, with arguments as in
    EXPLAIN_SIGNATURE: the contribution of each event of the history to the score of each item, float [m, W], 0 where
    padded. What is missing to a score is what the spec calls `remainder`. One that has the attribute `reads_time` reads
    when a query is asked.
    """

    item_embeddings: Any
    """float32 [num_items, dim]"""

    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, dim]; arguments as in QUERY_SIGNATURE."""

    def uses_fallback(self, history: Any) -> Any:
        """Bool [B], where the model has no answer of its own."""


def padded_recency_weights(history: Any, scale: float | None) -> Any:
    """`recency_weights` of a block of padded histories, in the graph; 0 where padded.

    Args:
        history: int32 [B, W], oldest first, PAD-padded.
        scale: τ > 0; None: all weigh the same.

    Returns:
        float32 [B, W].
    """
    known = tf.cast(history >= 0, tf.float32)
    if scale is None:
        return known
    lag = tf.reduce_sum(known, axis=1, keepdims=True) - 1 - tf.range(tf.cast(tf.shape(history)[1], tf.float32))
    return known * tf.exp(-tf.maximum(lag, 0) / scale)


class ArraysEncoder(tf.Module):
    """Base of the encoders of retrievers that are plain arrays; a subclass says how queries are embedded.

    The export traces their methods.
    """

    def __init__(self, retriever: TrainedRetriever) -> None:
        """Hold the retriever's arrays as variables of the same names, and itself for what else a subclass reads."""
        super().__init__()
        self._retriever: Any = retriever
        for name, values in retriever.arrays().items():
            setattr(self, name, tf.Variable(values, trainable=False, name=name))

    def uses_fallback(self, history: Any) -> Any:
        """Where the history is empty, bool [B]."""
        return tf.reduce_all(history < 0, axis=1)


class EncoderRetriever:
    """A retriever over an encoder; the same code runs a model in memory and an exported one."""

    def __init__(self, encoder: Encoder) -> None:
        """Wrap an encoder; memory does not grow with the number of queries."""
        self.encoder = encoder

    @property
    def item_embeddings(self) -> NDArray[np.float32]:
        """[num_items, dim]."""
        return np.asarray(self.encoder.item_embeddings, np.float32)

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[len(queries), dim]."""
        embeddings = np.zeros((len(queries), int(self.encoder.item_embeddings.shape[1])), np.float32)
        for rows, inputs in self._blocks(queries):
            embeddings[rows] = self.encoder.embed_queries(*inputs)
        return embeddings

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """[len(queries)]."""
        fallback = np.zeros(len(queries), np.bool_)
        for rows, (history, *_) in self._blocks(queries):
            fallback[rows] = self.encoder.uses_fallback(history)
        return fallback

    @property
    def reads_time(self) -> bool:
        """Whether lists depend on when they are asked for."""
        return hasattr(self.encoder, "reads_time")

    @property
    def explains(self) -> bool:
        """Whether the encoder can say how much each event of a history contributes to a score."""
        return hasattr(self.encoder, "explain")

    def contributions(self, query: Queries, items: NDArray[np.integer]) -> NDArray[np.float64]:
        """What each event of a history contributes to the scores of some items; only where `explains`.

        Args:
            query: one.
            items: [m], item indices.

        Returns:
            float64 [m, events], in the unit of the scores.
        """
        [(_, inputs)] = self._blocks(query)
        encoder: Any = self.encoder  # the protocol leaves `explain` out, since not every encoder has it
        found = np.asarray(encoder.explain(*inputs, np.asarray(items, np.int32)), np.float64)
        return found[:, : len(query.histories.items)]

    def _blocks(self, queries: Queries) -> Iterator[tuple[NDArray[np.int64], tuple[NDArray[Any], ...]]]:
        """Rows and inputs (QUERY_SIGNATURE) of blocks of queries of similar length, so that little is padding.

        A block is smaller where histories are long: all of its rows are as wide as the longest.
        """
        if not self.reads_time:
            queries = replace(queries, times=None)
        lengths = queries.histories.lengths
        order, start = np.argsort(lengths, kind="stable"), 0
        while start < len(order):
            rows = order[start : start + QUERIES_PER_BLOCK]
            padded = lengths[rows] * np.arange(1, len(rows) + 1)  # events of a block that ends there, at its longest
            rows = rows[: max(1, np.count_nonzero(padded <= PADDED_EVENTS_PER_BLOCK))]
            start += len(rows)
            block = queries if len(queries) == 1 else queries.take(rows)  # most requests of a server: nothing to copy
            yield rows, (*block.padded(), block.dense, block.categorical)
