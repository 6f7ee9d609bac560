"""Hard negatives: drawn for each query, the more often the higher it scores them."""

from dataclasses import dataclass
from typing import Any

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.negatives.selection import Selection, open_logits, selection_of


@dataclass(frozen=True)
class HardSelector:
    r"""K draws with replacement from q_j ∝ exp(s_j / τ) / π_j over the pool, the user's own items left out.

    π_j is the expected count of j in the pool: with it, q stands for exp(s_j / τ) over the catalogue, whatever the
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
