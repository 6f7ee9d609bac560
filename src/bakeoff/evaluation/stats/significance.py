"""Tests over users: paired permutation test, Holm's correction, and what may be said of model A against model B."""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.metrics.formulas import FloatArray, IntArray, divide
from bakeoff.evaluation.stats import intervals as resampling
from bakeoff.evaluation.stats.intervals import USERS_PER_BLOCK, Blocks, Intervals, Values, intervals, regrouped

POWER = 0.8
"""Probability with which the smallest detectable difference would be detected."""

_ROUNDING = 1e-12
# Sums of the same numbers in another order differ by about this share of Σ|d|: they must count as equal.


class Verdict(StrEnum):
    """What may be said of A against B."""

    BETTER = "better"
    WORSE = "worse"
    NO_EVIDENCE = "no evidence of a difference"


@dataclass(frozen=True)
class Differences(Intervals):
    """A minus B over users, one entry per column (a metric, or a metric of one pair of models).

    Attributes:
        num_users: int64 [c], users with a value from both.
        mean: float64 [c], mean difference.
        low: float64 [c], lower end of its bootstrap interval.
        high: float64 [c], upper end.
        p: float64 [c] in (0, 1], sign-flip permutation test, not corrected for the number of columns
            (`holm`).
        effect_size: float64 [c], Cohen's d_z = mean / sd (n − 1 in the sd). 0 where all differences are 0; NaN where it
            is not defined: fewer than two users, or all differ by the same amount.
        wins: int64 [c], users for whom A is larger.
        ties: int64 [c], users for whom both are equal.
        losses: int64 [c], users for whom A is smaller.
        detectable: float64 [c], (z_{1−α/2} + z_{0.8}) · sd / √n: the true difference that this many users show in 80 %
            of cases, α = 1 − confidence. NaN for fewer than two users.
    """

    p: FloatArray
    effect_size: FloatArray
    wins: IntArray
    ties: IntArray
    losses: IntArray
    detectable: FloatArray


def compare_paired(
    differences: Values, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 10_000
) -> Differences:
    """Intervals, tests and effect sizes of paired differences, all columns at once.

    Args:
        differences: A minus B on the same user; NaN where either has no value: the user is left out of that column.
            Blocks are read several times.
        rng: source of resamples and signs.
        confidence: level of the interval, in (0, 1).
        resamples: bootstrap resamples and sign patterns.

    Returns:
        Figures of each column. A single user has an interval of length 0 and p = 1; a column without users is
        NaN throughout.
    """
    interval = intervals(differences, rng, confidence, resamples)
    p = sign_flip_p(differences, rng, resamples)
    sd, (wins, ties, losses) = _spread(differences, interval.num_users, interval.mean)
    effect_size = np.where((sd == 0) & (interval.mean == 0), 0.0, divide(interval.mean, sd))
    z = NormalDist().inv_cdf((1 + confidence) / 2) + NormalDist().inv_cdf(POWER)
    detectable = z * sd / np.sqrt(np.maximum(interval.num_users, 1))
    return Differences(
        **vars(interval), p=p, effect_size=effect_size, wins=wins, ties=ties, losses=losses, detectable=detectable
    )


def sign_flip_p(differences: Values, rng: np.random.Generator, resamples: int = 10_000) -> FloatArray:
    """Two-sided p value of each column: how often random signs make the mean as far from 0 as it is.

    If two models are alike, each user's difference could as well have the other sign (Fisher 1935). Where n
    users have at most `resamples` sign patterns all of them are tried and p is exact; else p = (1 + extreme)
    / (1 + resamples) over random patterns, which never claims 0 (Phipson & Smyth 2010).

    Args:
        differences: model A minus model B on the same user; NaN: the user is left out. Blocks are read twice.
        rng: source of the signs.
        resamples: number of sign patterns.

    Returns:
        float64 [c] in (0, 1]. 1 where all differences are 0 and for a single user; NaN without users.
    """
    [p] = resampling.figures_of_columns(differences, lambda blocks: _p(blocks, rng, resamples)[np.newaxis], [np.nan])
    return np.asarray(p)


def holm(p: FloatArray) -> FloatArray:
    """Adjusted p values of a family of tests (Holm 1979): reject where they are below α, family-wise.

    p_(i) becomes max_{j≤i} min(1, (m − j + 1) p_(j)), p ascending.

    Args:
        p: float64 [m], p values in [0, 1]; NaN is no test: it stays NaN and does not count in m.

    Returns:
        float64 [m], in the order of `p`, none smaller than it.
    """
    order = np.argsort(p, kind="stable")  # NaN sorts last
    order = order[: int((~np.isnan(p)).sum())]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


def verdict(low: float, high: float, p: float, confidence: float = 0.95) -> Verdict:
    """Better or worse only where the interval leaves out 0 *and* p is below α = 1 − confidence.

    Two conditions, because the interval alone is too narrow with few users: a single one that A serves better has an
    interval of length 0. NaN is no evidence.

    Args:
        low: lower end of the interval of A − B, for a metric where higher is better.
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


def _p(blocks: Blocks, rng: np.random.Generator, resamples: int) -> FloatArray:
    """[c] p values of columns that all users have."""
    num_users, observed, absolute = 0, np.zeros(1), np.zeros(1)
    for block in regrouped(blocks(), USERS_PER_BLOCK):
        num_users += len(block)
        observed, absolute = observed + block.sum(axis=0), absolute + np.abs(block).sum(axis=0)
    num_patterns = 2**num_users if num_users < 63 else np.inf
    if num_patterns <= resamples:
        differences = np.concatenate(list(blocks()))
        # Every pattern of zeros (flipped) and ones once.
        patterns = (np.arange(2**num_users)[:, None] >> np.arange(num_users) & 1).astype(np.float64)
        return _extreme(observed, absolute, patterns @ differences) / num_patterns
    drawn = resampling.chunks(rng, resamples, min(num_users, USERS_PER_BLOCK))
    parts = [(own, np.zeros((count, len(observed)))) for own, count in drawn]
    with resampling.thread_map(num_users * resamples) as each:
        for block in regrouped(blocks(), USERS_PER_BLOCK):
            each(partial(_add_kept, block), parts)
    counts = [_extreme(observed, absolute, sums) for _, sums in parts]
    return np.asarray((1 + np.sum(counts, axis=0)) / (1 + resamples))


def _add_kept(block: FloatArray, part: tuple[np.random.Generator, FloatArray]) -> None:
    """Add to each of the part's sums [count, c] the differences [m, c] whose sign a random pattern keeps."""
    rng, sums = part
    size = len(sums) * len(block)
    bits = np.unpackbits(np.frombuffer(rng.bytes((size + 7) // 8), np.uint8))
    sums += bits[:size].reshape(len(sums), -1).astype(np.float64) @ block


def _extreme(observed: FloatArray, absolute: FloatArray, positive: FloatArray) -> NDArray[np.int64]:
    """[c] number of patterns whose sum is at least as far from 0 as the observed one.

    Args:
        observed: float64 [c], sum of the differences.
        absolute: float64 [c], sum of their absolute values.
        positive: float64 [patterns, c], sum of the differences whose sign a pattern keeps; it flips the others.
    """
    sums = 2 * positive - observed
    slack = _ROUNDING * absolute
    return np.asarray((np.abs(sums) >= np.abs(observed) - slack).sum(axis=0))


def _spread(values: Values, num_users: IntArray, mean: FloatArray) -> tuple[FloatArray, IntArray]:
    """Standard deviation [c] (n − 1; NaN for fewer than two users), and numbers [3, c] of positive, 0 and negative."""
    squares, signs = np.zeros(len(mean)), np.zeros((3, len(mean)), np.int64)
    low, high = np.full(len(mean), np.inf), np.full(len(mean), -np.inf)
    for block in values() if callable(values) else [values]:
        squares += np.nansum((block - mean) ** 2, axis=0)
        signs += np.stack([(block > 0).sum(axis=0), (block == 0).sum(axis=0), (block < 0).sum(axis=0)])
        low = np.fmin(low, np.fmin.reduce(block, axis=0, initial=np.inf))
        high = np.fmax(high, np.fmax.reduce(block, axis=0, initial=-np.inf))
    # The rounding error of the mean of equal values must not count as their spread.
    variance = np.where(low == high, 0, squares / np.maximum(num_users - 1, 1))
    return np.where(num_users >= 2, np.sqrt(variance), np.nan), signs
