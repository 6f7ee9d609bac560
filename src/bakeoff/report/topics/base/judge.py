"""The rules that decide between held, did not hold and no evidence."""

from collections.abc import Sequence
from dataclasses import replace
from math import isnan

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.stats.tests import Verdict, holm, verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference, Statistics
from bakeoff.report.topics.base.claims import NAN, Claim, ClaimOutcome, ClaimPart, Expected, Form, Paired, Question

RATIO = 1.25
"""Costs count as different from this ratio on."""
MARGIN = 0.1
"""A figure is hardly lower (higher) than another if it is not lower (higher) by more than this share of it."""
SHARE_MARGIN = 0.01
"""A share is hardly lower (higher) too if the difference is at most this."""
BY_MARGIN = frozenset({Expected.NOT_LOWER, Expected.NOT_HIGHER})
"""Judged by a margin, without a test."""


def judge_questions(asked: Sequence[tuple[Claim, Sequence[Question]]], statistics: Statistics) -> list[Claim]:
    """Judge all claims together, so that p is adjusted (Holm) for every test of the table."""
    on_users = [question for _, questions in asked for question in questions if isinstance(question, Paired)]
    judged = iter(_judge_paired(on_users, statistics))
    return [
        replace(claim, parts=[next(judged) if isinstance(each, Paired) else each for each in questions])
        for claim, questions in asked
    ]


def by_interval(
    expected: Expected, low: float, high: float, p: float, margin: float, confidence: float
) -> ClaimOutcome:
    """Outcome of a part with a difference over users.

    Larger and smaller: by the interval of the difference and the adjusted p, as the verdict. Hardly lower: held
    where the whole interval lies above −margin or no user has a difference, did not hold where it lies below −margin,
    whatever p is. Hardly higher: the mirror image.
    """
    if expected in BY_MARGIN:
        if low == high == 0:
            return ClaimOutcome.HELD
        worst, best = (low, high) if expected is Expected.NOT_LOWER else (-high, -low)
        return ClaimOutcome.HELD if worst > -margin else ClaimOutcome.NOT if best < -margin else ClaimOutcome.NONE
    found = verdict(low, high, p, confidence)
    if found is Verdict.NO_EVIDENCE:
        return ClaimOutcome.NONE
    return ClaimOutcome.HELD if (found is Verdict.BETTER) == (expected is Expected.LARGER) else ClaimOutcome.NOT


def by_ratio(expected: Expected, first: float, second: float, low: float = NAN, high: float = NAN) -> ClaimOutcome:
    """Outcome of a part with one figure per side, both at least 0, and the interval of their ratio if there is one.

    Larger: held from a ratio of `RATIO` on, did not hold where the second is larger by that ratio; smaller: the
    reverse. No evidence where an end of the interval is known and the interval does not exclude 1.
    """
    if isnan(first) or isnan(second) or (not (isnan(low) and isnan(high)) and not (low > 1 or high < 1)):
        return ClaimOutcome.NONE
    larger, smaller = (first, second) if expected is Expected.LARGER else (second, first)
    if larger > 0 and larger >= RATIO * smaller:
        return ClaimOutcome.HELD
    return ClaimOutcome.NOT if smaller > 0 and smaller >= RATIO * larger else ClaimOutcome.NONE


def by_sign(expected: Expected, low: float, high: float) -> ClaimOutcome:
    """Outcome by the interval of a difference alone: held where all of it has the expected sign."""
    lowest, highest = (low, high) if expected is Expected.LARGER else (-high, -low)
    return ClaimOutcome.HELD if lowest > 0 else ClaimOutcome.NOT if highest < 0 else ClaimOutcome.NONE


def _judge_paired(questions: Sequence[Paired], statistics: Statistics) -> list[ClaimPart]:
    """Parts in the order of the questions; p adjusted over those that are tested."""
    parts = [ClaimPart(question.words, ClaimOutcome.NONE, note="No user has both figures.") for question in questions]
    answered = [place for place, question in enumerate(questions) if _both(question).any()]
    if not answered:
        return parts
    shown = [questions[place] for place in answered]
    size = max(len(question.first) for question in shown)
    differences = statistics.differences(
        [padded(question.first, size) for question in shown],
        [padded(question.second, size) for question in shown],
        [question.words.key for question in shown],
    )
    needs_p = np.array([question.expected not in BY_MARGIN for question in shown])
    p = holm(np.where(needs_p, [difference.p for difference in differences], np.nan))
    for place, question, difference, adjusted in zip(answered, shown, differences, p, strict=True):
        parts[place] = _part(question, difference, float(adjusted), statistics.confidence)
    return parts


def _part(question: Paired, difference: Difference, p: float, confidence: float) -> ClaimPart:
    both = _both(question)
    second = float(question.second[both].mean())
    margin = max(MARGIN * second, SHARE_MARGIN if question.form is Form.SHARE else 0.0)
    return ClaimPart(
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


def _both(question: Paired) -> NDArray[np.bool_]:
    """[num_users] whether the user has both figures."""
    return ~(np.isnan(question.first) | np.isnan(question.second))


def padded(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """[size] the values, then NaN, which counts nowhere: columns of different users have one length so."""
    return np.concatenate([values, np.full(size - len(values), np.nan)])
