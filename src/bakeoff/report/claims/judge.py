"""The rules that decide between held, did not hold and no evidence."""

from collections.abc import Sequence
from math import isnan

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.stats.tests import Verdict, holm, verdict
from bakeoff.evaluation.stats.timing_intervals import Repeated, minus
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference, Statistics
from bakeoff.report.claims.claim import (
    Asked,
    Claim,
    Expected,
    Form,
    Once,
    Outcome,
    Paired,
    Part,
    Pooled,
    Question,
    Slope,
    Slopes,
    Unknown,
)

RATIO = 1.25
"""Figures without an interval over users count as different from this ratio on."""
MARGIN = 0.1
"""A figure is hardly lower (higher) than another if it is not lower (higher) by more than this share of it."""
SHARE_MARGIN = 0.01
"""Nor by a share of less than this."""
HARDLY = frozenset({Expected.NOT_LOWER, Expected.NOT_HIGHER})
"""Judged by a margin, without a test."""


def judge(asked: Sequence[Asked], statistics: Statistics) -> list[Claim]:
    """All claims together, so that p is adjusted (Holm) for every test of the table."""
    on_users = [question for claim in asked for question in claim.questions if isinstance(question, Paired)]
    parts = {id(question): part for question, part in zip(on_users, _judge_paired(on_users, statistics), strict=True)}
    return [
        Claim(
            claim.key,
            claim.title,
            claim.words,
            claim.section,
            [parts[id(q)] if id(q) in parts else _judge_alone(q) for q in claim.questions],
            claim.decided_by,
        )
        for claim in asked
    ]


def by_interval(expected: Expected, low: float, high: float, p: float, margin: float, confidence: float) -> Outcome:
    """Outcome of a part with a difference over users.

    Larger and smaller: by the interval of the difference and the adjusted p, as the verdict. Hardly lower: held
    where the whole interval lies above −margin or no user has a difference, did not hold where it lies below −margin; p
    plays no part. Hardly higher:
    the mirror image.
    """
    if expected in HARDLY:
        if low == high == 0:
            return Outcome.HELD
        worst, best = (low, high) if expected is Expected.NOT_LOWER else (-high, -low)
        if worst > -margin:
            return Outcome.HELD
        return Outcome.NOT if best < -margin else Outcome.NONE
    found = verdict(low, high, p, confidence)
    if found is Verdict.NO_EVIDENCE:
        return Outcome.NONE
    return Outcome.HELD if (found is Verdict.BETTER) == (expected is Expected.LARGER) else Outcome.NOT


def by_ratio(
    expected: Expected, first: float, second: float, low: float = float("nan"), high: float = float("nan")
) -> Outcome:
    """Outcome of a part with one figure on either side, both at least 0, and the interval of their ratio if known.

    Larger: held from a ratio of `RATIO` on, did not hold where the second is as much larger; smaller: the reverse.
    Neither where an end of the interval is known and it does not leave out 1.
    Hardly lower: held where at least 1 − `MARGIN` of the second is left, hardly higher: where at most 1 + `MARGIN`
    of it is reached, else it did not hold.
    """
    if isnan(first) or isnan(second):
        return Outcome.NONE
    if expected is Expected.NOT_LOWER:
        return Outcome.HELD if first >= (1 - MARGIN) * second else Outcome.NOT
    if expected is Expected.NOT_HIGHER:
        return Outcome.HELD if first <= (1 + MARGIN) * second else Outcome.NOT
    if not (isnan(low) and isnan(high)) and not (low > 1 or high < 1):
        return Outcome.NONE
    larger, smaller = (first, second) if expected is Expected.LARGER else (second, first)
    if larger > 0 and larger >= RATIO * smaller:
        return Outcome.HELD
    return Outcome.NOT if smaller > 0 and smaller >= RATIO * larger else Outcome.NONE


def _judge_paired(questions: Sequence[Paired], statistics: Statistics) -> list[Part]:
    answered = [bool(_both(question).any()) for question in questions]
    shown = [question for question, has_users in zip(questions, answered, strict=True) if has_users]
    found = iter(_differences(shown, statistics))
    return [
        next(found) if has_users else Part(q.words, Outcome.NONE, note="No user has both figures.")
        for q, has_users in zip(questions, answered, strict=True)
    ]


def _differences(questions: Sequence[Paired], statistics: Statistics) -> list[Part]:
    if not questions:
        return []
    size = max(len(question.first) for question in questions)
    differences = statistics.differences(
        [_padded(question.first, size) for question in questions],
        [_padded(question.second, size) for question in questions],
        [question.words.key for question in questions],
    )
    needs_p = np.array([question.expected not in HARDLY for question in questions])
    p = holm(np.where(needs_p, [difference.p for difference in differences], np.nan))
    return [
        _part(question, difference, float(adjusted), statistics.confidence)
        for question, difference, adjusted in zip(questions, differences, p, strict=True)
    ]


def _part(question: Paired, difference: Difference, p: float, confidence: float) -> Part:
    both = _both(question)
    second = float(question.second[both].mean())
    margin = max(MARGIN * second, SHARE_MARGIN if question.form is Form.SHARE else 0.0)
    return Part(
        words=question.words,
        outcome=by_interval(question.expected, difference.low, difference.high, p, margin, confidence),
        first=float(question.first[both].mean()),
        second=second,
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
        p=p,
        form=question.form,
        basis=f"{formats.count(difference.num_users)} users",
        note=question.note,
    )


def _judge_alone(question: Question) -> Part:
    """A question that no user answers."""
    if isinstance(question, Unknown):
        return Part(question.words, Outcome.NONE, is_cost=question.is_cost, note=question.reason)
    if isinstance(question, Slopes):
        return _slopes_part(question)
    if isinstance(question, Once):
        return _once_part(question)
    if isinstance(question, Pooled):
        return _pooled_part(question)
    raise TypeError(f"{type(question).__name__} is judged together with the others.")


def _once_part(question: Once) -> Part:
    is_known = not (isnan(question.first) or isnan(question.second))
    return Part(
        words=question.words,
        outcome=by_ratio(question.expected, question.first, question.second, question.low, question.high),
        first=question.first,
        second=question.second,
        difference=_ratio(question.first, question.second) if is_known else float("nan"),
        low=question.low,
        high=question.high,
        form=question.form,
        is_ratio=True,
        is_cost=True,
        basis=question.repeats,
        note=question.note if is_known else question.note or "It was not measured.",
    )


def _pooled_part(question: Pooled) -> Part:
    difference = question.first - question.second
    low, high = difference - question.half, difference + question.half
    towards = (low, high) if question.expected is Expected.LARGER else (-high, -low)
    return Part(
        words=question.words,
        outcome=Outcome.HELD if towards[0] > 0 else Outcome.NOT if towards[1] < 0 else Outcome.NONE,
        first=question.first,
        second=question.second,
        difference=difference,
        low=low,
        high=high,
        form=question.form,
        basis=f"lists of {formats.count(question.num_users)} users together",
    )


def _ratio(first: float, second: float) -> float:
    """First / second; ∞ from 0 on, NaN for 0 of 0."""
    if second > 0:
        return first / second
    return float("inf") if first > 0 else float("nan")


def _slopes_part(question: Slopes) -> Part:
    """Held where the first grows more slowly, by the interval of the difference."""
    found = minus(*(Repeated(each.exponent, each.low, each.high) for each in (question.first, question.second)))
    return Part(
        words=question.words,
        outcome=Outcome.HELD if found.high < 0 else Outcome.NOT if found.low > 0 else Outcome.NONE,
        first=question.first.exponent,
        second=question.second.exponent,
        difference=found.value,
        low=found.low,
        high=found.high,
        form=Form.NUMBER,
        is_cost=True,
        basis="fit over sizes",
        note=f"{formats.level(0.95)} intervals of the exponents: {_ends(question.first)} and {_ends(question.second)}.",
    )


def _ends(slope: Slope) -> str:
    return f"{formats.decimal(slope.low, 2)} to {formats.decimal(slope.high, 2)}"


def _both(question: Paired) -> NDArray[np.bool_]:
    """[num_users] who has both figures."""
    return ~(np.isnan(question.first) | np.isnan(question.second))


def _padded(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Questions are asked of different users: rows without one are NaN, and count nowhere."""
    return np.concatenate([values, np.full(size - len(values), np.nan)])
