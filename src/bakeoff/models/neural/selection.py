"""Which of a step's shared candidates each query is trained against: all, hard draws, or the top k."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

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


@dataclass(frozen=True)
class HardSelector:
    r"""K draws with replacement from q_j ∝ exp(s_j / τ) / π_j over the pool, the user's own items left out.

    π_j is the expected count of j in the pool: with it, q follows exp(s_j / τ) over the catalogue, whatever the
    pool is made of. A draw's expected count is K q_j given the pool and K q_j π_j in all, so that

        Σ_k exp(s_k) / (K q_k π_k)

    has the partition function over the catalogue outside the user's own items as its mean: given the pool it is
    Σ_j exp(s_j) / π_j, exactly and without any scatter at τ = 1 (adaptive importance sampling; Bengio & Senécal 2008).
    Repeats are kept, and counted as often as they are drawn. No gradient flows through q.

    Attributes:
        num_selected: K ≥ 1.
        temperature: τ > 0; small: only the hardest; large: draws from the pool as if it were a uniform one.
        corrected: without it, hard negative mining: q_j ∝ exp(s_j / τ) over the pool as it is, no logit is corrected,
            and what is learned is not the softmax.
    """

    num_selected: int
    temperature: float = 1.0
    corrected: bool = True

    def select(self, logits: Any, log_expected_count: Any, is_own: Any, seed: Any) -> Selection:
        """See `CandidateSelector`."""
        log_count = log_expected_count if self.corrected else tf.zeros_like(log_expected_count)
        # Divided first, masked afterwards: a high temperature must not bring the masked back.
        log_weight = open_logits(logits / self.temperature - log_count, is_own)
        shape = tf.shape(logits)
        index = tf.random.stateless_categorical(
            tf.reshape(log_weight, [-1, shape[-1]]), self.num_selected, seed, dtype=tf.int32
        )
        index = tf.reshape(index, [shape[0], shape[1], self.num_selected])
        if not self.corrected:
            return selection_of(index, tf.zeros_like(index, logits.dtype), is_own)
        log_total = tf.reduce_logsumexp(log_weight, axis=-1, keepdims=True)
        log_draw = tf.gather(log_weight, index, batch_dims=2) - log_total
        log_selected = tf.math.log(tf.cast(self.num_selected, logits.dtype)) + log_draw + tf.gather(log_count, index)
        return selection_of(index, log_selected, is_own)


@dataclass(frozen=True)
class TopKSelector:
    """The K candidates of the pool that a query scores highest, the user's own items left out.

    There is no exact correction: what scores below the K-th is selected with a chance of 0, and no weight on the others
    makes up for an item that never comes. `corrected` only undoes the drawing of the pool, which leaves a partition
    function that misses its tail; nothing ever pushes down what lies in it until it has risen to the top.

    Attributes:
        num_selected: K ≥ 1; the whole pool where it is smaller.
        corrected: whether the pool's own expected counts are kept.
    """

    num_selected: int
    corrected: bool = True

    def select(self, logits: Any, log_expected_count: Any, is_own: Any, seed: Any) -> Selection:
        """See `CandidateSelector`; nothing is drawn, so the seed is not used."""
        k = tf.minimum(self.num_selected, tf.shape(logits)[-1])
        index = tf.math.top_k(open_logits(logits, is_own), k).indices
        log_count = tf.gather(log_expected_count, index)
        return selection_of(index, log_count if self.corrected else tf.zeros_like(log_count), is_own)


def make_selector(negatives: NegativesParams) -> CandidateSelector | None:
    """The selector that the settings name; none where each query is trained against the whole pool."""
    match negatives.selection:
        case "none":
            return None
        case "hard":
            return HardSelector(negatives.num_selected, negatives.hard_temperature, negatives.logq_correction)
        case "top-k":
            return TopKSelector(negatives.num_selected, negatives.logq_correction)
