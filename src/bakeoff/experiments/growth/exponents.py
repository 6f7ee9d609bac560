"""Exponents of growth: cost ∝ size^b, fitted to a few sizes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

FEWEST_SIZES = 3
"""A line through two points fits whatever they are: its slope would have no interval."""


@dataclass(frozen=True)
class Exponent:
    """b of cost ∝ size^b, and an interval for it."""

    exponent: float
    low: float
    high: float


def fit_exponent(sizes: ArrayLike, costs: ArrayLike, confidence: float = 0.95) -> Exponent | None:
    """Slope of log cost on log size by least squares, with Student's t interval of n − 2 degrees of freedom.

    Args:
        sizes: [n], > 0.
        costs: [n], > 0, such as seconds or bytes.
        confidence: level of the interval, in (0, 1).

    Returns:
        The exponent; None with fewer than three different sizes, or where a size or a cost is not positive.
    """
    x, y = np.asarray(sizes, np.float64), np.asarray(costs, np.float64)
    if len(np.unique(x)) < FEWEST_SIZES or not (x > 0).all() or not (y > 0).all():
        return None
    x, y = np.log(x), np.log(y)
    x, y = x - x.mean(), y - y.mean()
    spread = x @ x
    slope = float(x @ y / spread)
    degrees = len(x) - 2
    error = np.sqrt(((y - slope * x) ** 2).sum() / degrees / spread)
    half = float(stdtrit(degrees, (1 + confidence) / 2) * error)
    return Exponent(slope, slope - half, slope + half)
