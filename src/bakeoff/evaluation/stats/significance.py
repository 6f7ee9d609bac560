"""Model A against model B on the same users: how large the difference is, and if there is evidence of one."""

from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.metrics.arrays import divide
from bakeoff.evaluation.stats.bootstrap import Intervals, intervals, intervals_of_portions
from bakeoff.evaluation.stats.permutation import sign_flip_p, sign_flip_p_of_portions
from bakeoff.evaluation.stats.streaming_bootstrap import Portions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

POWER = 0.8
"""Probability with which the smallest detectable difference would be detected."""


class Verdict(StrEnum):
    """What may be said of A against B."""

    BETTER = "better"
    WORSE = "worse"
    NO_EVIDENCE = "no evidence of a difference"


@dataclass(frozen=True)
class Differences:
    """A minus B over users, one entry per column (a metric, or a metric of one pair of models).

    Attributes:
        num_users: int64 [c], users with a value from both.
        mean: float64 [c], mean difference.
        low: float64 [c], lower end of its bootstrap interval.
        high: float64 [c], upper end.
        p: float64 [c] in (0, 1], sign-flip permutation test, not corrected for the number of columns
            (`holm`).
        effect_size: float64 [c], Cohen's d_z.
        wins: int64 [c], users for whom A is larger.
        ties: int64 [c], users for whom both are equal.
        losses: int64 [c], users for whom A is smaller.
        detectable: float64 [c], smallest difference that this many users would have shown.
    """

    num_users: IntArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    effect_size: FloatArray
    wins: IntArray
    ties: IntArray
    losses: IntArray
    detectable: FloatArray


def compare_paired(
    differences: FloatArray, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> Differences:
    """Everything that is said of paired differences, all columns at once.

    Memory is bounded by the differences and some 10 MB, whatever `resamples` is.

    Args:
        differences: float64 [n_users, c], A minus B on the same user; NaN where either has no value: the user
            is left out of that column.
        rng: source of resamples and signs.
        confidence: level of the interval, in (0, 1).
        resamples: bootstrap resamples and sign patterns.

    Returns:
        Figures of each column. A single user has an interval of length 0 and p = 1; a column without users is
        NaN throughout.
    """
    interval = intervals(differences, rng, confidence, resamples)
    p = sign_flip_p(differences, rng, resamples)
    return _together(interval, p, _moments(differences), _signs(differences), confidence)


def compare_portions(
    portions: Portions, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> Differences:
    """What `compare_paired` says, of users who come in portions: a portion and the sums of resamples are in memory.

    Args:
        portions: finite differences [m, c] of more users than `resamples` has binary digits; read several times.
        rng: source of resamples and signs.
        confidence: level of the interval, in (0, 1).
        resamples: bootstrap resamples and sign patterns.
    """
    interval = intervals_of_portions(portions, rng, confidence, resamples)
    squares, signs = np.zeros(len(interval.mean)), np.zeros((3, len(interval.mean)), np.int64)
    low, high = np.full(len(squares), np.inf), np.full(len(squares), -np.inf)
    for block in portions():
        squares += ((block - interval.mean) ** 2).sum(axis=0)
        signs += _signs(block)
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    variance = np.where(low == high, 0, squares / np.maximum(interval.num_users - 1, 1))
    moments = interval.num_users, interval.mean, np.where(interval.num_users >= 2, np.sqrt(variance), np.nan)
    return _together(interval, sign_flip_p_of_portions(portions, rng, resamples), moments, signs, confidence)


def effect_size(differences: FloatArray) -> FloatArray:
    """Cohen's d_z = mean / sd of the differences (n − 1 in the sd), [c].

    0 where all differences are 0; NaN where it is not defined: fewer than two users, or all differ by the
    same amount.
    """
    return _effect_size(*_moments(differences))


def smallest_detectable(differences: FloatArray, confidence: float = 0.95) -> FloatArray:
    """(z_{1−α/2} + z_{0.8}) · sd / √n, [c]: the true difference that this many users show in 80 % of cases.

    α = 1 − confidence, sd that of the differences (n − 1), n the number of users. NaN for fewer than two
    users.
    """
    return _smallest_detectable(*_moments(differences), confidence)


def verdict(low: float, high: float, p: float, confidence: float = 0.95) -> Verdict:
    """Better or worse only where the interval leaves out 0 *and* p is below α = 1 − confidence.

    Two conditions, because the interval alone is too sure of itself with few users: a single one that A
    serves better has an interval of length 0. NaN is no evidence.

    Args:
        low: lower end of the interval of A − B, for a metric of which more is better.
        high: upper end.
        p: p value, Holm-adjusted where several differences are judged together.
        confidence: level of the interval.
    """
    if p < 1 - confidence:
        if low > 0:
            return Verdict.BETTER
        if high < 0:
            return Verdict.WORSE
    return Verdict.NO_EVIDENCE


def _together(
    interval: Intervals,
    p: FloatArray,
    moments: tuple[IntArray, FloatArray, FloatArray],
    signs: IntArray,
    confidence: float,
) -> Differences:
    wins, ties, losses = signs
    return Differences(
        num_users=interval.num_users,
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        p=p,
        effect_size=_effect_size(*moments),
        wins=wins,
        ties=ties,
        losses=losses,
        detectable=_smallest_detectable(*moments, confidence),
    )


def _signs(differences: FloatArray) -> IntArray:
    """[3, c] users for whom A is larger, for whom both are equal, and for whom A is smaller."""
    return np.stack([(differences > 0).sum(axis=0), (differences == 0).sum(axis=0), (differences < 0).sum(axis=0)])


def _effect_size(num_users: IntArray, mean: FloatArray, sd: FloatArray) -> FloatArray:
    return np.where((num_users >= 2) & (sd == 0) & (mean == 0), 0.0, divide(mean, sd))


def _smallest_detectable(num_users: IntArray, _: FloatArray, sd: FloatArray, confidence: float) -> FloatArray:
    z = NormalDist().inv_cdf((1 + confidence) / 2) + NormalDist().inv_cdf(POWER)
    smallest: FloatArray = z * sd / np.sqrt(np.maximum(num_users, 1))
    return smallest


def _moments(values: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Users, mean and standard deviation (n − 1) of each column; the sd is NaN for fewer than two users."""
    defined = ~np.isnan(values)
    num_users = defined.sum(axis=0)
    mean = np.where(defined, values, 0).sum(axis=0) / np.maximum(num_users, 1)
    squares = np.where(defined, values - mean, 0) ** 2
    variance = squares.sum(axis=0) / np.maximum(num_users - 1, 1)
    # The rounding error of the mean of equal values must not pass for their spread.
    constant = np.where(defined, values, -np.inf).max(axis=0) == np.where(defined, values, np.inf).min(axis=0)
    variance[constant] = 0
    return num_users, mean, np.where(num_users >= 2, np.sqrt(variance), np.nan)
