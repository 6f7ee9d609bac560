"""Paired permutation test by sign flips, and the correction for several of them."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.threads import own_threads
from bakeoff.evaluation.stats.bootstrap import groups_by_users
from bakeoff.evaluation.stats.resampling import USERS_PER_BLOCK, chunks, in_chunks
from bakeoff.evaluation.stats.streaming_bootstrap import Portions, in_blocks

FloatArray = NDArray[np.float64]

_ROUNDING = 1e-12
# Sums of the same numbers in another order differ by about this share of Σ|d|: they must count as equal.


def sign_flip_p(differences: FloatArray, rng: np.random.Generator, resamples: int = 10_000) -> FloatArray:
    """Two-sided p value of each column: how often random signs make the mean as far from 0 as it is.

    If two models are alike, each user's difference could as well have the other sign (Fisher 1935). Where n
    users have at most `resamples` sign patterns all of them are tried and p is exact; else p = (1 + extreme)
    / (1 + resamples) over random patterns, which never claims 0 (Phipson & Smyth 2010).

    Args:
        differences: float64 [n_users, c], model A minus model B on the same user; NaN: the user is left out.
        rng: source of the signs.
        resamples: number of sign patterns.

    Returns:
        float64 [c] in (0, 1]. 1 where all differences are 0 and for a single user; NaN without users.
    """
    p = np.full(differences.shape[1], np.nan)
    for users, group in groups_by_users(differences):
        complete = differences[np.ix_(users, group)]
        num_patterns = 2 ** len(complete) if len(complete) < 63 else np.inf
        if num_patterns <= resamples:
            observed, absolute = complete.sum(axis=0), np.abs(complete).sum(axis=0)
            p[group] = _extreme(observed, absolute, _all_patterns(len(complete)) @ complete) / num_patterns
        else:
            p[group] = (1 + _extreme_at_random(complete, rng, resamples)) / (1 + resamples)
    return p


def sign_flip_p_of_portions(portions: Portions, rng: np.random.Generator, resamples: int = 10_000) -> FloatArray:
    """The p values of `sign_flip_p`, of users who come in portions; a portion and the sums are in memory.

    Args:
        portions: finite differences of more users than `resamples` has binary digits, read once.
        rng: source of the signs.
        resamples: number of sign patterns.
    """
    parts = [(own, np.zeros((count, 1))) for own, count in chunks(rng, resamples, USERS_PER_BLOCK)]
    observed = absolute = np.zeros(1)
    with own_threads(ThreadpoolController()) as pool:
        for block in in_blocks(portions(), USERS_PER_BLOCK):
            added = pool.map(lambda part, block=block: part[1] + _kept(part[0], len(part[1]), block), parts)
            parts = [(own, sums) for (own, _), sums in zip(parts, added, strict=True)]
            observed, absolute = observed + block.sum(axis=0), absolute + np.abs(block).sum(axis=0)
    counts = [_extreme(observed, absolute, sums) for _, sums in parts]
    p: FloatArray = (1 + np.sum(counts, axis=0)) / (1 + resamples)
    return p


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


def _extreme_at_random(differences: FloatArray, rng: np.random.Generator, resamples: int) -> NDArray[np.int64]:
    observed, absolute = differences.sum(axis=0), np.abs(differences).sum(axis=0)

    def in_chunk(own: np.random.Generator, count: int) -> NDArray[np.int64]:
        sums = np.zeros((count, differences.shape[1]))
        for start in range(0, len(differences), USERS_PER_BLOCK):
            sums += _kept(own, count, differences[start : start + USERS_PER_BLOCK])
        return _extreme(observed, absolute, sums)

    counts = in_chunks(rng, resamples, len(differences), in_chunk)
    extreme: NDArray[np.int64] = np.sum(list(counts), axis=0)
    return extreme


def _kept(rng: np.random.Generator, count: int, block: FloatArray) -> FloatArray:
    """[count, c] sum of the differences [m, c] that each of so many random patterns leaves as they are."""
    bits = np.unpackbits(np.frombuffer(rng.bytes((count * len(block) + 7) // 8), np.uint8))
    kept: FloatArray = bits[: count * len(block)].reshape(count, -1).astype(np.float64) @ block
    return kept


def _extreme(observed: FloatArray, absolute: FloatArray, positive: FloatArray) -> NDArray[np.int64]:
    """[c] how many patterns have a sum at least as far from 0 as the observed.

    Args:
        observed: float64 [c], sum of the differences.
        absolute: float64 [c], sum of their absolute values.
        positive: float64 [patterns, c], sum of the differences that a pattern leaves as they are; it flips the others.
    """
    sums = 2 * positive - observed
    slack = _ROUNDING * absolute
    counts: NDArray[np.int64] = (np.abs(sums) >= np.abs(observed) - slack).sum(axis=0)
    return counts


def _all_patterns(num_users: int) -> FloatArray:
    """[2^num_users, num_users] every pattern of zeros (flipped) and ones once."""
    numbers = np.arange(2**num_users)[:, None]
    return (numbers >> np.arange(num_users) & 1).astype(np.float64)
