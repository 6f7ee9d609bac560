"""A win rate with an interval that holds at every look, and counterfactual values of lists that were sampled."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TIGHTEST_AT = 200
"""Decided lists at which the sequential interval is tightest, for its level. It holds at any number."""


def win_rate_interval(wins: FloatArray, decided: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Ends of the interval of the win rate after n decided lists, which holds for all n at once.

    Whenever somebody looks and stops, it covers the mean, over the decided lists so far, of the probability that the
    challenger wins given all that came before, with at least this confidence. The probability may differ from list to
    list and depend on what came before; nothing else is assumed. Howard, Ramdas, McAuliffe & Sekhon, Time-uniform,
    nonparametric, nonasymptotic confidence sequences (Annals of Statistics, 2021): the two-sided normal mixture,
    √((v + ρ) log((v + ρ) / (α² ρ))), with the variance process v = n / 4 of outcomes in [0, 1].

    Args:
        wins: [...], lists that the challenger won.
        decided: [...], n, lists that either won.
        confidence: 1 − α.
    """
    wins, decided = np.asarray(wins, np.float64), np.asarray(decided, np.float64)
    alpha, v = 1 - confidence, decided / 4
    rho = TIGHTEST_AT / 4 / (2 * math.log(1 / alpha) + math.log1p(2 * math.log(1 / alpha)))
    radius = np.sqrt((v + rho) * np.log((v + rho) / (alpha**2 * rho))) / np.maximum(decided, 1)
    rate = wins / np.maximum(decided, 1)
    return np.clip(rate - radius, 0, 1), np.clip(rate + radius, 0, 1)


class Value(NamedTuple):
    """An estimate, and what each of the n lists adds to its error (its influence, float64 [n])."""

    estimate: float
    influence: FloatArray

    def minus(self, other: "Value") -> "Value":
        """The difference of two estimates on the same lists."""
        return Value(self.estimate - other.estimate, self.influence - other.influence)

    def interval(self, people: NDArray[np.integer], confidence: float) -> tuple[float, float]:
        """By the normal distribution, for one look; lists of the same person, by number, may depend on each other."""
        n = len(self.influence)
        error = math.sqrt(float((np.bincount(people, self.influence) ** 2).sum())) / n
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        return self.estimate - z * error, self.estimate + z * error


def ips(gain: FloatArray) -> Value:
    """Inverse propensity score: mean of the weighted feedback of each list, float64 [n]; unbiased."""
    return Value(float(gain.mean()), gain - gain.mean())


def snips(gain: FloatArray, weight: FloatArray, length: FloatArray) -> Value:
    """Self-normalised: feedback per unit of weight, for as many places as a list has.

    Swaminathan & Joachims, The self-normalized estimator for counterfactual learning (NeurIPS 2015), over places.

    Args:
        gain: float64 [n], sum over the places of a list of weight × feedback.
        weight: float64 [n], sum of the weights of its places.
        length: float64 [n], number of its places: what the weight is on average.
    """
    rate, size = gain.sum() / weight.sum(), length.mean()
    influence = (gain - rate * weight) * size / weight.mean() + rate * (length - size)
    return Value(float(rate * size), influence)


def effective_size(weight: FloatArray) -> float:
    """How many lists without weights would tell as much (Kish): (Σ w)² / Σ w²."""
    return float(weight.sum() ** 2 / (weight**2).sum())
