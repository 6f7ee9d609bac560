"""Log-uniform negatives: Zipf's law over the rank of an item's train frequency."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.neural.negatives.candidates import Candidates, inclusion_of_draws, log_counts


class LogUniformSampler:
    """`num_sampled` draws with replacement, repeats dropped: expected count 1 − (1 − p_j)^m.

    The item of rank r (0 has most train events, ties in index order) is drawn with p = log((r + 2)/(r + 1))/log(n + 1),
    as by `tf.random.log_uniform_candidate_sampler`; that one takes the item's index for its rank, which is right
    only where the vocabulary is sorted by frequency. Items without a train event are drawn too, as the rarest.
    """

    def __init__(self, frequencies: NDArray[np.integer], num_sampled: int) -> None:
        num_items = len(frequencies)
        ranks = np.arange(num_items)
        self._item_of_rank = np.argsort(-frequencies.astype(np.int64), kind="stable").astype(np.int32)
        self._num_sampled = num_sampled
        probabilities = np.empty(num_items)
        probabilities[self._item_of_rank] = np.log1p(1 / (ranks + 1)) / np.log(num_items + 1)
        # The sum telescopes to 1; a last digit above it would be the log of a negative number.
        self.inclusion = inclusion_of_draws(num_sampled, np.minimum(probabilities, 1.0))
        """[n] above 0 for every item."""
        self._log_counts = log_counts(self.inclusion)

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Distinct items among the draws."""
        num_items = len(self._item_of_rank)
        # Inverse transform in closed form: the chance of a rank below r is log(r + 1)/log(n + 1).
        ranks = np.exp(rng.random(self._num_sampled) * np.log(num_items + 1)).astype(np.int64) - 1
        ids = np.unique(self._item_of_rank[np.minimum(ranks, num_items - 1)])
        return Candidates(ids, self._log_counts[ids])
