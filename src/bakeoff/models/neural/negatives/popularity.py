"""Popularity negatives: an item is drawn in proportion to a power of its train frequency."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.neural.negatives.candidates import Candidates, inclusion_of_draws, log_counts


class PopularitySampler:
    """`num_sampled` draws with replacement from p_j ∝ φ(j)^β, repeats dropped: expected count 1 − (1 − p_j)^m.

    β = 0.75 is the choice of Mikolov et al. (2013), section 2.2; an item without a train event is never drawn.
    """

    def __init__(self, frequencies: NDArray[np.integer], num_sampled: int, exponent: float) -> None:
        weights = np.where(frequencies > 0, frequencies.astype(np.float64) ** exponent, 0.0)
        self._cumulative = np.cumsum(weights / weights.sum())
        self._num_sampled = num_sampled
        self.inclusion = inclusion_of_draws(num_sampled, weights / weights.sum())
        """[n] 0 where an item has no train event."""
        self._log_counts = log_counts(self.inclusion)

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Distinct items among the draws."""
        # Inverse transform: O(m log n) where rng.choice would pay O(n) for every step.
        draws = np.searchsorted(self._cumulative, rng.random(self._num_sampled) * self._cumulative[-1], "right")
        ids = np.unique(draws)
        return Candidates(ids.astype(np.int32), self._log_counts[ids])
