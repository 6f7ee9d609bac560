"""Sums that depend neither on the order of the values nor on the portions in which they come: they are exact."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

_LIMIT = 2.0**900
# Values are added to larger powers of two, which must be finite.


class ExactSum:
    """The exact sum of float64 values that come in portions, and their number."""

    def __init__(self) -> None:
        """Begin without a value."""
        self.count = 0
        self._total = Fraction(0)

    def add(self, values: NDArray[np.float64]) -> None:
        """Add float64 [n].

        Raises:
            ValueError: a value is NaN, or 2^900 or more.
        """
        self._total += sum(map(Fraction, _exact_parts(values)))
        self.count += len(values)

    @property
    def value(self) -> float:
        """The float64 next to the sum: what `math.fsum` gives for all values at once."""
        return float(self._total)

    @property
    def mean(self) -> float:
        """`value` / `count`; NaN without a value."""
        return self.value / self.count if self.count else float("nan")


def _exact_parts(values: NDArray[np.float64]) -> Iterator[float]:
    """Numbers whose sum is that of the n values: Rump, Ogita & Oishi (SIAM J. Sci. Comput. 31(1), 2008), ExtractVector.

    Each is the sum of the values' upper bits, which are so few that no sum of n of them is rounded: multiples of
    σ · 2^−53, of σ / 2^b at most with 2^b > n. What is left of the values, at most σ · 2^−53, is split likewise. Of
    65,536 metrics in [0, 1] there are seldom more than three.
    """
    while (largest := np.abs(values).max(initial=0.0)) != 0:
        if not largest < _LIMIT:
            raise ValueError(f"{largest} can't be summed: leave out what is not defined, and scale what is so large.")
        _, exponent = np.frexp(largest)
        sigma = np.ldexp(1.0, exponent + len(values).bit_length())
        upper = (values + sigma) - sigma
        yield float(upper.sum())
        values = values - upper
