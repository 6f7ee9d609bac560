"""What the metrics share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """[n] numerator / denominator; NaN where the denominator is 0: nothing was there to measure."""
    quotient = np.full(len(denominator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient
