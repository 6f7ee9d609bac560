"""Integrated gradients: what each item of a history contributes to a score of the network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bakeoff.models.base.tensorflow import tf

STEPS = 64
"""Steps of the path, each with a gradient in its middle."""

SHORTEST = 1e-7
"""End of the first step. Those after it grow by a constant factor: a query that is normalised turns from its baseline
where what is read is as long as the rest of it, which may be anywhere."""


def integrated_gradients(
    embed: Callable[..., Any], read: Any, query: Sequence[Any], items: Any, max_history: int
) -> Any:
    """Contribution of each event of one query to the scores of some items.

    With e what is read of the history and f_i(e) = V_i · ψ(e) the score of item i, event j contributes

        e_j · ∫₀¹ ∂f_i(α e) / ∂e_j dα,   which adds up to f_i(e) − f_i(0)

    (Sundararajan, Taly & Yan 2017, eq. 1 and proposition 1). Features and activity stay as they are. How much f_i
    changes in a step is known: what the gradients miss of it, the events share in proportion to what the gradients say
    of each, so that the sum is exact. Nothing here depends on how the query tower pools.

    Args:
        embed: (read [B, W, d], *query of B rows) → query embeddings [B, d].
        read: float32 [1, W, d], e.
        query: the arguments of QUERY_SIGNATURE, one row each; the first two have a column for each event.
        items: float32 [m, d], V_i.
        max_history: last events that ψ reads; earlier ones cost nothing.

    Returns:
        float32 [m, W]; 0 where nothing is read.
    """
    ends = np.concatenate([[0], np.geomspace(SHORTEST, 1, STEPS)]).astype(np.float32)  # α
    middles = np.append(ends[1] / 2, np.sqrt(ends[1:-1] * ends[2:]))[:, np.newaxis]
    skipped = tf.maximum(tf.shape(read)[1] - max_history, 0)
    history, timestamps, *features = query
    query = (history[:, skipped:], timestamps[:, skipped:], *features)

    def along(path: Any) -> Any:
        return embed(path, *(tf.repeat(each, tf.shape(path)[0], axis=0) for each in query))

    read = read[:, skipped:]
    reached = along(ends[:, np.newaxis, np.newaxis] * read)  # (STEPS + 1, d)
    path = middles[:, np.newaxis] * read
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(path)
        embedded = along(path)

    def of_item(item: Any) -> Any:
        slopes = tape.gradient(embedded, path, output_gradients=tf.broadcast_to(item, tf.shape(embedded)))
        parts = tf.reduce_sum(slopes * read, axis=-1) * np.diff(ends)[:, np.newaxis]  # (STEPS, W)
        scores = tf.linalg.matvec(reached, item)
        by_step = _completed(parts, scores[1:] - scores[:-1])
        return _completed(tf.reduce_sum(by_step, axis=0), scores[-1] - scores[0])  # of steps without a gradient

    return tf.pad(tf.map_fn(of_item, items), [[0, 0], [skipped, 0]])


def _completed(parts: Any, total: Any) -> Any:
    """Parts [..., W] that add up to a total [...]: what they miss of it is shared in proportion to their sizes."""
    sizes = tf.abs(parts)
    shares = tf.math.divide_no_nan(sizes, tf.reduce_sum(sizes, axis=-1, keepdims=True))
    return parts + (total - tf.reduce_sum(parts, axis=-1))[..., tf.newaxis] * shares
