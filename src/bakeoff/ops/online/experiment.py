"""Lists of two models in one (team draft) and lists drawn at random, and what feedback on them says of each model.

Where both models would place the same item next, it belongs to no team, since the list is the same either way. So the
items of each round are fixed, only their order is drawn, and the probabilities are exact. The win rate comes with an
interval that holds at every look; lists that were drawn at random give counterfactual values.
"""

import math
from collections.abc import Mapping, Sequence
from random import Random
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.metrics.formulas import FloatArray

NO_TEAM, CHAMPION, CHALLENGER = 0, 1, 2


class Draft(NamedTuple):
    """A list of k items.

    Attributes:
        items: k ids.
        teams: k numbers: whose pick each item is; NO_TEAM: of both or of none.
        propensities: k probabilities that the item is shown at its place.
    """

    items: list[str]
    teams: list[int]
    propensities: list[float]


def team_draft(champion: Sequence[str], challenger: Sequence[str], k: int, rng: Random, explore: float = 0.0) -> Draft:
    """Interleave two rankings: in each round a coin says who picks first, and both pick their best item that is left.

    Radlinski, Kurup & Joachims, How does clickthrough data reflect retrieval quality? (CIKM 2008), section 5.2. With
    probability `explore` the list is drawn at random from the items of both rankings instead, without teams.

    Args:
        champion: ids, best first.
        challenger: likewise; the same ranking for the list of one model.
        k: length of the list, which is shorter where both rankings have fewer items together.
        rng: tosses the coins.
        explore: share of the lists that are drawn at random.
    """
    items, teams, slots, used = list[str](), list[int](), list[Mapping[str, float]](), set[str]()
    rankings = iter(champion), iter(challenger)
    while len(items) < k:
        first, second = (next((item for item in ranking if item not in used), None) for ranking in rankings)
        picks = [(item, team) for item, team in ((first, CHAMPION), (second, CHALLENGER)) if item is not None]
        if not picks:
            break
        if first == second or len(picks) == 1:
            picks = [(picks[0][0], NO_TEAM)]
        elif rng.random() < 0.5:
            picks.reverse()
        chances = {item: 1 / len(picks) for item, _ in picks}
        for item, team in picks[: k - len(items)]:
            items.append(item)
            teams.append(team)
            slots.append(chances)
        used |= chances.keys()
    pool = [*dict.fromkeys([*champion, *challenger])]
    if explore and rng.random() < explore:
        items, teams = rng.sample(pool, len(items)), [NO_TEAM] * len(items)
    of_slots = (slot.get(item, 0.0) for item, slot in zip(items, slots, strict=True))
    return Draft(items, teams, [(1 - explore) * chance + explore / len(pool) for chance in of_slots])


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
        length: float64 [n], number of its places that the model's own list has, too: what the weight is on average.
    """
    rate, size = gain.sum() / weight.sum(), length.mean()
    influence = (gain - rate * weight) * size / weight.mean() + rate * (length - size)
    return Value(float(rate * size), influence)


def effective_size(weight: FloatArray) -> float:
    """How many lists without weights would tell as much (Kish): (Σ w)² / Σ w²."""
    return float(weight.sum() ** 2 / (weight**2).sum())
