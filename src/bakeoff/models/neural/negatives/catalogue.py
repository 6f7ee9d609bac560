"""The whole catalogue: the full softmax, a reference where the catalogue is small."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.neural.negatives.candidates import Candidates


class CatalogueSampler:
    """Every item, once: nothing is sampled, so nothing needs correction."""

    def __init__(self, num_items: int) -> None:
        self._all = Candidates(np.arange(num_items, dtype=np.int32), np.zeros(num_items, np.float32))
        self.inclusion = np.ones(num_items)
        """[n] all 1."""

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """All items."""
        return self._all
