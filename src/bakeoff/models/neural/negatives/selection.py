"""Which of a step's shared candidates each query is trained against: the interface, between logits and loss."""

from typing import Any, NamedTuple, Protocol

from bakeoff.models.base.tensorflow import tf

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


class CandidateSelector(Protocol):
    """Narrows the pool that is shared by the batch down to K candidates per query."""

    def __hash__(self) -> int: ...

    def select(self, logits: Any, log_expected_count: Any, is_own: Any, seed: Any) -> Selection:
        """K candidates for each query.

        Args:
            logits: [U, C, S], of every query and every candidate of the pool.
            log_expected_count: [S], of the pool.
            is_own: bool [U, S], candidates that are the user's own items.
            seed: int [2]; the same seed selects the same candidates, whatever was drawn before.
        """


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


def selection_of(index: Any, log_expected_count: Any, is_own: Any) -> Selection:
    """Of places in the pool and their log expected counts [U, C, K], with the mask [U, S] looked up."""
    own = tf.gather(is_own, index, batch_dims=1)
    return Selection(index, tf.stop_gradient(log_expected_count), own)


def open_logits(logits: Any, is_own: Any) -> Any:
    """[U, C, S] without gradient, own items MASKED."""
    return tf.where(is_own[:, tf.newaxis, :], tf.cast(MASKED, logits.dtype), tf.stop_gradient(logits))
