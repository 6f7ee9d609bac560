"""Uniform negatives: every item is as likely as any other."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.neural.negatives.candidates import Candidates


class UniformSampler:
    """`num_sampled` distinct items, each set of them equally likely: expected count m / n."""

    def __init__(self, num_items: int, num_sampled: int) -> None:
        self._num_items = num_items
        self._num_sampled = min(num_sampled, num_items)
        self.inclusion = np.full(num_items, self._num_sampled / num_items)
        """[n] all m / n."""

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Items drawn without replacement."""
        # Floyd's method where m is small against n: O(m). Without `shuffle=False` it would order them as well.
        ids = rng.choice(self._num_items, self._num_sampled, replace=False, shuffle=False)
        log_count = np.log(self._num_sampled / self._num_items)
        return Candidates(ids.astype(np.int32), np.full(self._num_sampled, log_count, np.float32))
