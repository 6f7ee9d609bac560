"""Top-k mining: each query's highest scored candidates, for comparison."""

from dataclasses import dataclass
from typing import Any

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.negatives.selection import Selection, open_logits, selection_of


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
