"""Popularity as an encoder: the reference that every contender must beat, of all time or of a recent window."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.models.base.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE
from bakeoff.models.base.tensorflow import graph, tf

_SECONDS_PER_DAY = 86_400


class PopularityEncoder(tf.Module):
    """One dimension: item embedding φ(j), the number of events of the item; query embedding 1."""

    def __init__(self, frequencies: NDArray[np.number]) -> None:
        """Take φ ≥ 0, [num_items]."""
        super().__init__(name="popularity")
        self.item_embeddings = tf.Variable(
            frequencies[:, np.newaxis].astype(np.float32), trainable=False, name="item_embeddings"
        )

    @graph(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Ones, float32 [B, 1]."""
        return tf.ones([tf.shape(history)[0], 1])

    @graph(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Never: everyone gets the same list."""
        return tf.zeros(tf.shape(history)[:1], tf.bool)


def in_window(timestamps: NDArray[np.int64], window_days: float, newest: np.integer | None = None) -> NDArray[np.bool_]:
    """[nnz] which events lie less than `window_days` before the newest of all; of these, if None.

    Where no event has a time all are 0, and all lie in the window.
    """
    if len(timestamps) == 0:
        return np.zeros(0, np.bool_)
    newest = timestamps.max() if newest is None else newest
    # Subtracting timestamps, not days, keeps whole seconds exact.
    return np.asarray(newest - timestamps < window_days * _SECONDS_PER_DAY)


def recent_frequencies(histories: Histories, num_items: int, window_days: float) -> NDArray[np.float64]:
    """φ [num_items]: events within the window; items with as many are ordered by their events of all time.

    The second count is scaled below 1, so it decides only where the first does not: a narrow window leaves most of
    the catalogue without an event, and lists must not end in the order of item indices.

    Args:
        histories: known events, all 0 timestamps where they have no time.
        num_items: size of the catalogue.
        window_days: length of the window, > 0, counted back from the newest event of anyone.
    """
    newest = histories.timestamps.max() if len(histories.timestamps) else None
    recent, ever = np.zeros(num_items, np.int64), histories.item_counts(num_items)
    for _, block in histories.blocks():
        is_recent = in_window(block.timestamps, window_days, newest)
        recent += np.bincount(block.items[is_recent], minlength=num_items)
    return np.asarray(recent + ever / (ever.max(initial=0) + 1))
