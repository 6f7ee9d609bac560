"""Mixed negatives: the union of what several samplers draw."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.neural.negatives.candidates import Candidates, NegativeSampler, log_counts


class MixedSampler:
    """The union of the candidates of independent parts: expected count 1 − Π_s (1 − π_sj), π_sj that of part s.

    A part that can never draw an item (π = 0) leaves it to the others, and one that always does (the whole catalogue)
    makes the count 1; no probability is floored. What the user's own targets bring is masked by the loss, therefore
    the in-batch part counts with what *other* users bring.

    Mixed in-batch and uniform negatives: Yang et al. (2020), "Mixed negative sampling for learning two-tower neural
    networks in recommendations", who correct by the in-batch chances alone.
    """

    def __init__(self, parts: Sequence[NegativeSampler]) -> None:
        """Put the parts together.

        Args:
            parts: at least one, all over the same n items.
        """
        self._parts = tuple(parts)
        with np.errstate(divide="ignore"):
            log_missed = sum(np.log1p(-part.inclusion) for part in self._parts)
        self.inclusion = np.asarray(-np.expm1(log_missed))
        """[n] at least that of every part."""
        self._log_counts = log_counts(self.inclusion)

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Distinct items of all parts."""
        ids = np.unique(np.concatenate([part.draw(targets, rng).ids for part in self._parts]))
        return Candidates(ids, self._log_counts[ids])
