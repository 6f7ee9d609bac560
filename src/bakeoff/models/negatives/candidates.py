"""What every sampler returns."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidates:
    """Negatives of one step, shared by every query of the batch.

    Attributes:
        ids: int32 [S], distinct item indices.
        log_expected_count: float32 [S], log of how often each of them is expected among the candidates of a
            step, at most 0 as ids are distinct. A logit minus this value is corrected (logQ correction).
    """

    ids: NDArray[np.int32]
    log_expected_count: NDArray[np.float32]


class NegativeSampler(Protocol):
    """Draws the negatives of one step."""

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Candidates of a step.

        Args:
            targets: [T], item indices that are targets of the batch, repeats included.
            rng: source of randomness.
        """


def log_inclusion(num_draws: float, probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
    """Log expected count of distinct items after draws with replacement: log(1 − (1 − p)^m).

    Args:
        num_draws: m > 0.
        probabilities: [n] in [0, 1], chance of each item in one draw.

    Returns:
        float32 [n], −inf where the probability is 0.
    """
    with np.errstate(divide="ignore"):
        return np.log(-np.expm1(num_draws * np.log1p(-probabilities))).astype(np.float32)
