"""Figures that were measured again and again, such as seconds: intervals of a median, a percentile, a ratio of two."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

MEDIAN_TO_MEAN = np.sqrt(np.pi / 2)
"""Standard error of a median divided by that of a mean, for normal values."""


@dataclass(frozen=True)
class Repeated:
    """A figure with the ends of its interval; NaN where there is none."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


def percentile(values: Sequence[float], share: float, confidence: float = 0.95) -> Repeated:
    """Percentile of repeated measurements, with the interval between two of them (order statistics).

    The number of values below the true percentile is binomial, whatever their distribution (David & Nagaraja 2003,
    section 7.1).

    Args:
        values: at least one.
        share: of the percentile, in (0, 1).
        confidence: level of the interval, in (0, 1).

    Returns:
        The percentile; without an end of its interval that would lie beyond all values.
    """
    from scipy.stats import quantile_test  # loading it takes a second, which most stages need not spend

    ends = quantile_test(values, p=share).confidence_interval(confidence)
    return Repeated(float(np.quantile(values, share)), float(ends.low), float(ends.high))


def middle(values: Sequence[float], confidence: float = 0.95) -> Repeated:
    """Median of few repeated measurements > 0, with Student's t interval of their logarithms.

    Args:
        values: at least one; with a single one there is no interval.
        confidence: level of the interval, in (0, 1).
    """
    logs = np.log(np.asarray(values, np.float64))
    value = float(np.median(values))
    if len(logs) < 2:
        return Repeated(value)
    half = half_width(logs, confidence) * MEDIAN_TO_MEAN
    return Repeated(value, float(value * np.exp(-half)), float(value * np.exp(half)))


def total(steps: Sequence[float], whole: float, confidence: float = 0.95) -> Repeated:
    """What the whole took, > 0, with the interval that follows from how its steps differ among each other.

    Args:
        steps: what each took; with fewer than two there is no interval.
        whole: what they and everything else took together, not less than the steps.
        confidence: level of the interval, in (0, 1).
    """
    if len(steps) < 2:
        return Repeated(whole)
    # On logarithms, since no time is below 0.
    half = len(steps) * half_width(np.asarray(steps, np.float64), confidence) / whole
    return Repeated(whole, float(whole * np.exp(-half)), float(whole * np.exp(half)))


def minus(first: Repeated, second: Repeated) -> Repeated:
    """First − second with its interval, from those of both: MOVER (Zou & Donner 2008, eq. 4)."""
    value = first.value - second.value
    low = value - np.hypot(first.value - first.low, second.high - second.value)
    high = value + np.hypot(first.high - first.value, second.value - second.low)
    return Repeated(value, float(low), float(high))


def ratio(first: Repeated, second: Repeated) -> Repeated:
    """First / second with its interval, from those of both: the difference of their logarithms.

    Without an interval where one of them has none; NaN where one is not known.
    """
    if not (first.value > 0 and second.value > 0):
        return Repeated(float("nan"))
    logs = (Repeated(*map(float, np.log([each.value, each.low, each.high]))) for each in (first, second))
    found = minus(*logs)
    return Repeated(*map(float, np.exp([found.value, found.low, found.high])))


def interval_json(name: str, found: Repeated) -> dict[str, float]:
    """The figure under its name, and the ends of its interval that are known as `<name>_low` and `<name>_high`."""
    ends = {f"{name}_low": found.low, f"{name}_high": found.high}
    return {name: found.value} | {key: end for key, end in ends.items() if not np.isnan(end)}


def half_width(values: NDArray[np.float64], confidence: float) -> float:
    """Half the width of Student's t interval of the mean."""
    spread = values.std(ddof=1) / np.sqrt(len(values))
    return float(stdtrit(len(values) - 1, (1 + confidence) / 2) * spread)
