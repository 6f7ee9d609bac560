"""The formulas of `list_options` in TensorFlow, for exported models."""

from typing import Any

from bakeoff.models.base.list_options import BEST, CANDIDATES_PER_PLACE
from bakeoff.models.base.tensorflow import tf


def without(scores: Any, index: Any) -> Any:
    """Scores float32 [B, n] with −∞ at these rows and columns, int64 [m, 2]."""
    return tf.tensor_scatter_nd_update(scores, index, tf.fill(tf.shape(index)[:1], -float("inf")))


def choose(value: Any, vectors: Any, k: Any, diversity: Any) -> tuple[Any, Any]:
    """The best items, or diverse ones among the best.

    Args:
        value: float32 [B, n], by which items are ranked; −∞: not this one.
        vectors: [n, d], by which items are compared; any type that can be cast.
        k: length of the lists, at most n.
        diversity: λ in [0, 1].

    Returns:
        items int32 [B, k], and bool [B, k], where there is one.
    """
    most = tf.where(diversity > 0, tf.minimum(CANDIDATES_PER_PLACE * k, tf.shape(value)[1]), k)
    best, items = tf.math.top_k(value, k=most)
    places = tf.cond(
        diversity > 0,
        lambda: diverse(best, tf.cast(tf.gather(vectors, items), tf.float32), k, diversity),
        lambda: tf.tile(tf.range(k)[tf.newaxis], [tf.shape(best)[0], 1]),
    )
    # A diverse list takes candidates that there are first, so that as many of its places are filled.
    return tf.gather(items, places, batch_dims=1), tf.math.is_finite(best[:, :k])


def debiased(scores: Any, popularity: Any, debias: Any) -> Any:
    """See `list_options.debiased`."""
    best, _ = tf.math.top_k(scores, k=tf.minimum(BEST, tf.shape(scores)[1]), sorted=False)
    return scores - debias * tf.math.reduce_std(best, axis=1, keepdims=True) * popularity


def diverse(scores: Any, vectors: Any, k: Any, diversity: Any) -> Any:
    """See `list_options.diverse`; for B queries at once.

    Args:
        scores: float32 [B, m], descending; −∞ where there is no candidate.
        vectors: float32 [B, m, d].
        k: length of the lists, at most m.
        diversity: float32, in [0, 1].

    Returns:
        int32 [B, k], places of candidates; without meaning where there are fewer than k.
    """
    there = tf.math.is_finite(scores)
    least = tf.reduce_min(tf.where(there, scores, scores[:, :1]), axis=1, keepdims=True)
    relevance = tf.where(there, tf.math.divide_no_nan(scores - least, scores[:, :1] - least), 0.0)
    unit = tf.math.l2_normalize(vectors, axis=2)

    def pick(rank: Any, chosen: Any, nearest: Any, left: Any) -> tuple[Any, ...]:
        value = tf.where(rank == 0, relevance, (1 - diversity) * relevance - diversity * nearest)
        best = tf.argmax(tf.where(left, value, -float("inf")), axis=1, output_type=tf.int32)
        similarity = tf.linalg.matvec(unit, tf.gather(unit, best, batch_dims=1))
        left &= tf.range(tf.shape(scores)[1]) != best[:, tf.newaxis]
        return rank + 1, chosen.write(rank, best), tf.maximum(nearest, similarity), left

    chosen = tf.TensorArray(tf.int32, size=k, element_shape=[None])
    start = tf.constant(0), chosen, tf.fill(tf.shape(scores), -1.0), there
    _, chosen, _, _ = tf.while_loop(lambda rank, *_: rank < k, pick, start)
    return tf.transpose(chosen.stack())
