"""Which of a step's shared candidates each query is trained against: all, hard draws, or the top k."""

from typing import Any, NamedTuple

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.spec import NegativesParams

MASKED = -1e9
"""A logit that no softmax notices; finite, so that a row of nothing else is uniform and not NaN."""


class Selection(NamedTuple):
    """Candidates of each query; no gradient flows through any of it.

    Attributes:
        index: int32 [U, C, K], places in the pool; repeats are possible and count.
        log_expected_count: [U, C, K], what the loss subtracts from the logits of the selected.
        is_own: bool [U, C, K], the user's own items: only where the pool holds nothing else.
    """

    index: Any
    log_expected_count: Any
    is_own: Any


def select(negatives: NegativesParams, logits: Any, log_expected_count: Any, is_own: Any, seed: Any) -> Selection:
    """Narrow the pool that is shared by the batch down to K candidates for each query.

    Args:
        negatives: settings; `selection` is `hard` or `top-k`.
        logits: [U, C, S], of every query and every candidate of the pool.
        log_expected_count: [S], of the pool.
        is_own: bool [U, S], candidates that are the user's own items.
        seed: int [2]; the same seed selects the same candidates, whatever was drawn before.
    """
    if negatives.selection == "top-k":
        index, log_count = _top_k(negatives, logits, log_expected_count, is_own)
    else:
        index, log_count = _hard_draws(negatives, logits, log_expected_count, is_own, seed)
    return Selection(index, tf.stop_gradient(log_count), tf.gather(is_own, index, batch_dims=1))


def selected_logits(queries: Any, embeddings: Any, index: Any) -> Any:
    """Logits of the selected candidates, made anew from their embeddings.

    Taking them out of the pool's logits would give the same values, but its gradient is a matrix [U, C, S] of mostly
    zeros and a product with all of it: the pool can be scored without a gradient instead.

    Args:
        queries: [U, C, d].
        embeddings: [S, d], of the pool.
        index: int32 [U, C, K].

    Returns:
        [U, C, K].
    """
    return tf.einsum("ucd,uckd->uck", queries, tf.gather(embeddings, index))


def open_logits(logits: Any, is_own: Any) -> Any:
    """[U, C, S] without gradient, own items MASKED."""
    return tf.where(is_own[:, tf.newaxis, :], tf.cast(MASKED, logits.dtype), tf.stop_gradient(logits))


def _hard_draws(
    negatives: NegativesParams, logits: Any, log_expected_count: Any, is_own: Any, seed: Any
) -> tuple[Any, Any]:
    r"""K draws with replacement from q_j ∝ exp(s_j / τ) / π_j over the pool, the user's own items left out.

    π_j is the expected count of j in the pool: with it, q follows exp(s_j / τ) over the catalogue, whatever the
    pool is made of. A draw's expected count is K q_j given the pool and K q_j π_j in all, so that

        Σ_k exp(s_k) / (K q_k π_k)

    has the partition function over the catalogue outside the user's own items as its mean: given the pool it is
    Σ_j exp(s_j) / π_j, exactly and without any scatter at τ = 1 (adaptive importance sampling; Bengio & Senécal 2008).
    Repeats are kept, and counted as often as they are drawn. No gradient flows through q.

    A small τ, `hard_temperature`, draws only the hardest; a large one draws from the pool as if it were a uniform one.
    Without `logq_correction` it is hard negative mining: q_j ∝ exp(s_j / τ) over the pool as it is, no logit is
    corrected, and what is learned is not the softmax.

    Returns:
        places in the pool and their log expected counts, [U, C, K].
    """
    num, corrected = negatives.num_selected, negatives.logq_correction
    log_count = log_expected_count if corrected else tf.zeros_like(log_expected_count)
    # Divided first, masked afterwards: a high temperature must not bring the masked back.
    log_weight = open_logits(logits / negatives.hard_temperature - log_count, is_own)
    shape = tf.shape(logits)
    index = tf.random.stateless_categorical(tf.reshape(log_weight, [-1, shape[-1]]), num, seed, dtype=tf.int32)
    index = tf.reshape(index, [shape[0], shape[1], num])
    if not corrected:
        return index, tf.zeros_like(index, logits.dtype)
    log_total = tf.reduce_logsumexp(log_weight, axis=-1, keepdims=True)
    log_draw = tf.gather(log_weight, index, batch_dims=2) - log_total
    return index, tf.math.log(tf.cast(num, logits.dtype)) + log_draw + tf.gather(log_count, index)


def _top_k(negatives: NegativesParams, logits: Any, log_expected_count: Any, is_own: Any) -> tuple[Any, Any]:
    """The K candidates of the pool that a query scores highest, the user's own items left out; all of a smaller pool.

    There is no exact correction: what scores below the K-th is selected with a chance of 0, and no weight on the others
    makes up for an item that never comes. `logq_correction` only undoes the drawing of the pool. The partition function
    still misses its tail: an item there is not pushed down before its score is one of the highest.

    Returns:
        places in the pool and their log expected counts, [U, C, K].
    """
    k = tf.minimum(negatives.num_selected, tf.shape(logits)[-1])
    index = tf.math.top_k(open_logits(logits, is_own), k).indices
    log_count = tf.gather(log_expected_count, index)
    return index, log_count if negatives.logq_correction else tf.zeros_like(log_count)
