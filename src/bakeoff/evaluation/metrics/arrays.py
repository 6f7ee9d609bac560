"""What the metrics share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """[n] numerator / denominator; NaN where the denominator is 0: nothing was there to measure."""
    quotient = np.full(len(denominator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different values [m], ascending.

    NumPy's `unique` looks each integer up in a hash table: of 300,000 pairs of user and item, which lie in order but
    for a few, it takes twenty times as long.
    """
    ordered = np.sort(values, kind="stable")
    is_first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return ordered[is_first]
