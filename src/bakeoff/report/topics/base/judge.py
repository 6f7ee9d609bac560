"""How parts of claims are asked, and the rules that decide on the outcome of each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan, nan
from typing import Any

import numpy as np

from bakeoff.evaluation.stats.intervals import GROUPS
from bakeoff.evaluation.stats.significance import Verdict, holm, verdict
from bakeoff.evaluation.stats.timing_intervals import Repeated, minus, ratio
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference, Statistics, side_by_side
from bakeoff.report.evidence import Evidence, VariantGroup, figure, paired
from bakeoff.report.topics.base import claims
from bakeoff.report.topics.base.claims import Claim, ClaimOutcome, ClaimPart, Expected, Form, Paired, Question, Words

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


def widest(low: float, high: float, unseen: float) -> tuple[float, float]:
    """The interval, with ends that lie at least `unseen` from its middle (`Form.unseen`)."""
    middle = (low + high) / 2
    return min(low, middle - unseen), max(high, middle + unseen)


def by_interval(
    expected: Expected, low: float, high: float, p: float, margin: float, confidence: float = 0.95, unseen: float = 0.0
) -> ClaimOutcome:
    """Outcome of a part with a difference over users, or, with p = 0, of one that is judged by its interval alone.

    Larger and smaller: by the interval of the difference and the adjusted p, as the verdict; small where the whole
    interval lies within ± margin (Schuirmann 1987). Hardly lower: held where the whole interval lies above −margin,
    contradicted where it lies below, whatever p is. Hardly higher: the mirror image. It is the `widest` interval that
    is compared with the margin.
    """
    lowest, highest = widest(low, high, unseen)
    if expected in BY_MARGIN:
        worst, best = (lowest, highest) if expected is Expected.NOT_LOWER else (-highest, -lowest)
        return _outcome(worst > -margin, best < -margin)
    found = verdict(low, high, p, confidence)
    better, worse = found is Verdict.BETTER, found is Verdict.WORSE
    held, contradicted = (better, worse) if expected is Expected.LARGER else (worse, better)
    return _outcome(held, contradicted, -margin < lowest, highest < margin)


def by_ratio(expected: Expected, first: float, second: float, low: float = nan, high: float = nan) -> ClaimOutcome:
    """Outcome of a part with one figure per side, both at least 0, and the interval of their ratio if there is one.

    Larger: held from a ratio of `claims.RATIO` on, contradicted where the second is larger by that ratio; smaller: the
    reverse. Small where the whole interval lies within that ratio. Not enough data where an end of the interval is
    known and the interval does not exclude 1.
    """
    if isnan(first) or isnan(second):
        return ClaimOutcome.NOT_MEASURED
    if low > 1 / claims.RATIO and high < claims.RATIO:
        return ClaimOutcome.SMALL
    if not (isnan(low) and isnan(high)) and not (low > 1 or high < 1):
        return ClaimOutcome.TOO_FEW
    larger, smaller = (first, second) if expected is Expected.LARGER else (second, first)
    return _outcome(0 < larger >= claims.RATIO * smaller, 0 < smaller >= claims.RATIO * larger)


def _outcome(held: bool, contradicted: bool, *within_margin: bool) -> ClaimOutcome:
    if within_margin and all(within_margin):
        return ClaimOutcome.SMALL
    return ClaimOutcome.HELD if held else ClaimOutcome.CONTRADICTED if contradicted else ClaimOutcome.TOO_FEW


def _judge_paired(questions: Sequence[Paired], statistics: Statistics) -> list[ClaimPart]:
    """Parts in the order of the questions; p adjusted over those that are tested, by family."""
    if not questions:
        return []
    first, second = (side_by_side([getattr(question, side) for question in questions]) for side in ("first", "second"))
    keys, rivals = [question.words.key for question in questions], [question.rivals for question in questions]
    differences = statistics.differences(first - second, keys, rivals)
    needs_p = np.array([question.expected not in BY_MARGIN for question in questions])
    raw = np.where(needs_p, [difference.p for difference in differences], np.nan)
    kinds = ["deciding" if question.words.decides else "shown" for question in questions]
    members = [np.isin(kinds, family) for family in claims.FAMILIES]
    p = np.select(members, [holm(np.where(each, raw, np.nan)) for each in members], np.nan).tolist()
    return [_part(*each, statistics.confidence) for each in zip(questions, differences, p, strict=True)]


def _part(question: Paired, difference: Difference, p: float, confidence: float) -> ClaimPart:
    if difference.num_users == 0:
        return unknown(question.words, "No user has both figures.")
    both = ~np.isnan(question.first - question.second)
    second = float(question.second[both].mean())
    low, high = difference.low, difference.high
    form = question.form
    unseen = form.unseen(second, difference.num_users)
    outcome = by_interval(question.expected, low, high, p, form.margin(second), confidence, unseen)
    figures = float(question.first[both].mean()), second, difference.mean, low, high, p
    basis = f"{formats.count(difference.num_users)} users"
    return ClaimPart(question.words, outcome, *figures, form=form, basis=basis, note=question.note)


def unknown(words: Words, reason: str, is_cost: bool = False) -> ClaimPart:
    """A part that this data can't answer, with the reason."""
    return ClaimPart(words, ClaimOutcome.NOT_MEASURED, is_cost=is_cost, note=reason)


def on_users(
    source: Evidence | VariantGroup,
    words: Words,
    names: tuple[str, str],
    metric: str,
    expected: Expected = Expected.LARGER,
    form: Form = Form.METRIC,
) -> Paired:
    """Two models, variants or systems on the users that have the metric in both."""
    return Paired(words, *paired(*(source.values(name, metric) for name in names)), expected, form)


def on_costs(
    words: Words, two: Sequence[Repeated], form: Form, basis: str, expected: Expected = Expected.SMALLER, note: str = ""
) -> ClaimPart:
    """Two measured costs, judged by their ratio and its interval where both were measured repeatedly."""
    first, second = (side.value for side in two)
    both = ratio(*two)
    is_known = not (isnan(first) or isnan(second))
    outcome = by_ratio(expected, first, second, both.low, both.high)
    # ∞ from 0 on, NaN for 0 of 0 and for what is not known.
    quotient = first / second if second > 0 else float("inf") if first > 0 and is_known else float("nan")
    figures = first, second, quotient, both.low, both.high
    note = note if is_known else note or "It was not measured."
    return ClaimPart(words, outcome, *figures, form=form, is_ratio=True, is_cost=True, basis=basis, note=note)


def on_all_lists(
    words: Words, pair: tuple[float, float], half: float, num_users: int, expected: Expected, form: Form
) -> ClaimPart:
    """Two figures of the lists of all users together; `half` is half the width of the interval of their difference.

    The jackknife of fewer users than it has groups says nothing of others.
    """
    difference = pair[0] - pair[1]
    low, high = difference - half, difference + half
    basis = f"lists of {formats.count(num_users)} users together"
    unseen = form.unseen(pair[1], num_users)
    judged = by_interval(expected, low, high, 0.0, form.margin(pair[1]), unseen=unseen)
    outcome = judged if num_users >= GROUPS else ClaimOutcome.TOO_FEW
    return ClaimPart(words, outcome, *pair, difference, low, high, form=form, basis=basis)


def on_exponents(words: Words, sides: Sequence[Repeated]) -> ClaimPart:
    """Two fitted exponents of growth: held where the first is smaller, by the interval of the difference."""
    first, second = sides
    found = minus(first, second)
    ends = [f"{formats.decimal(each.low, 2)} to {formats.decimal(each.high, 2)}" for each in sides]
    note = f"{formats.level(0.95)} intervals of the exponents: {' and '.join(ends)}."
    outcome = by_interval(Expected.SMALLER, found.low, found.high, 0.0, Form.NUMBER.margin(second.value))
    figures = first.value, second.value, found.value, found.low, found.high
    return ClaimPart(words, outcome, *figures, form=Form.NUMBER, is_cost=True, basis="fit over sizes", note=note)


def repeated_figure(values: Mapping[str, Any] | None, name: str) -> Repeated:
    """A cost that was measured repeatedly; the ends of its interval are `<name>_low` and `<name>_high`."""
    return Repeated(*(figure(values, key) for key in (name, f"{name}_low", f"{name}_high")))


def of_variants(questions: Sequence[Question]) -> list[Question]:
    """The questions, those over users with a note on how variants were trained, before a note that they have."""
    note = "Trained on the train part alone."
    return [replace(q, note=f"{note} {q.note}".strip()) if isinstance(q, Paired) else q for q in questions]
