"""What every sampler returns, and what it can tell of every item."""

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

    @property
    def inclusion(self) -> NDArray[np.float64]:
        """[n] in [0, 1], chance that a step's candidates hold an item of somebody else: its expected count.

        Of every item, drawn or not: mixtures are made of it, and a target can be corrected by it.
        """

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Candidates of a step.

        Args:
            targets: [T], item indices that are targets of the batch, repeats included.
            rng: source of randomness.
        """


def inclusion_of_draws(num_draws: float, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected count of distinct items after draws with replacement: 1 − (1 − p)^m.

    Args:
        num_draws: m > 0.
        probabilities: [n] in [0, 1], chance of each item in one draw.

    Returns:
        [n] in [0, 1], exact to the last digits for the smallest p too.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(num_draws * np.log1p(-probabilities)))


def log_counts(inclusion: NDArray[np.float64]) -> NDArray[np.float32]:
    """Log of expected counts.

    Args:
        inclusion: [n] in [0, 1].

    Returns:
        float32 [n], at most 0; 0 where the chance is 0: nobody else brings such an item, so that it stands among the
        candidates, if at all, as an own item of the one user who is masked from it.
    """
    return np.log(np.where(inclusion > 0, inclusion, 1.0)).astype(np.float32)
