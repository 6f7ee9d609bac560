"""From what both sides show to the paired comparison and the guardrails."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.ops.params import GuardrailParams
from bakeoff.ops.promotion.guardrails import Guardrail, GuardrailMetrics, PrimaryComparison, guardrails
from bakeoff.ops.promotion.measuring import SideMetrics
from bakeoff.report.accuracy import Statistics


@dataclass(frozen=True)
class SideResult:
    """One side: its figures, and what serving it takes.

    Attributes:
        figures: of its lists.
        p95_seconds: of one query.
        num_bytes: size of the exported model.
    """

    figures: SideMetrics
    p95_seconds: float
    num_bytes: int


@dataclass(frozen=True)
class DecisionRules:
    """By what is decided.

    Attributes:
        metric: the primary metric.
        margin: by how much the challenger may be worse.
        limits: of the guardrails.
        statistics: how intervals are made.
    """

    metric: str
    margin: float
    limits: GuardrailParams
    statistics: Statistics


def compare(
    challenger: SideResult,
    champion: SideResult,
    leaks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    terms: DecisionRules,
    *,
    stand_in: bool = False,
) -> tuple[PrimaryComparison, list[Guardrail]]:
    """The paired difference of warm users, and the guardrails.

    Args:
        challenger: who would go into production.
        champion: what is there, or what took its place.
        leaks: warm and new users who are left out of both.
        terms: by what is decided.
        stand_in: nothing is in production: guardrails have nothing to compare with.
    """
    warm, new = (
        _pair(first, second, left_out, terms)
        for first, second, left_out in (
            (challenger.figures.warm, champion.figures.warm, leaks[0]),
            (challenger.figures.new, champion.figures.new, leaks[1]),
        )
    )
    before = None if stand_in else _observed(champion, new.champion)
    interval = (math.nan, math.nan) if stand_in else (new.low, new.high)
    after = _observed(challenger, new.challenger)
    return warm, guardrails(terms.limits, terms.metric, after, before, interval)


def _pair(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    left_out: Sequence[bool] | NDArray[np.bool_],
    terms: DecisionRules,
) -> PrimaryComparison:
    """Means and their difference over the users who have both and are not left out; NaN without any."""
    both = ~(np.isnan(first) | np.isnan(second) | np.asarray(left_out, np.bool_))
    level = terms.statistics.confidence
    if not both.any():
        unknown = dict.fromkeys(("challenger", "champion", "difference", "low", "high", "p"), math.nan)
        return PrimaryComparison(terms.metric, **unknown, num_users=0, margin=terms.margin, confidence=level)
    [found] = terms.statistics.differences([first[both]], [second[both]], [terms.metric])
    return PrimaryComparison(
        metric=terms.metric,
        challenger=float(first[both].mean()),
        champion=float(second[both].mean()),
        difference=found.mean,
        low=found.low,
        high=found.high,
        p=found.p,
        num_users=found.num_users,
        margin=terms.margin,
        confidence=level,
    )


def _observed(side: SideResult, new_users: float) -> GuardrailMetrics:
    return GuardrailMetrics(new_users, side.figures.lift, side.figures.spurious, side.p95_seconds, side.num_bytes)
