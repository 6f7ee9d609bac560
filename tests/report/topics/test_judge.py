"""The rules that decide what may be said of a claim, at their borders."""

import numpy as np
import pytest

from bakeoff.evaluation.stats.timing_intervals import Repeated
from bakeoff.report.accuracy import Statistics
from bakeoff.report.topics.base.claims import (
    NAN,
    Claim,
    ClaimOutcome,
    ClaimPart,
    Expected,
    Form,
    Paired,
    Question,
    Words,
    difference,
    interval,
)
from bakeoff.report.topics.base.judge import (
    by_interval,
    by_ratio,
    judge_questions,
    on_all_lists,
    on_costs,
    on_exponents,
    unknown,
)

WORDS = Words("key", "it is so", "something", "one", "other")
STATISTICS = Statistics(confidence=0.95, resamples=500, seed=3)


def ask(*questions: Question) -> list[ClaimPart]:
    [claim] = judge_questions([(Claim(1, "claim", "Claim", "words"), questions)], STATISTICS)
    return list(claim.parts)


def paired(difference: float, spread: float = 0.1, users: int = 80, expected: Expected = Expected.LARGER) -> Paired:
    """First − second is exactly `difference` on average."""
    noise = np.random.default_rng(5).normal(0, spread, users)
    second = np.full(users, 0.5)
    return Paired(WORDS, second + difference + noise - noise.mean(), second, expected)


@pytest.mark.parametrize(
    ("expected", "low", "high", "p", "outcome"),
    [
        (Expected.LARGER, 0.01, 0.03, 0.04, ClaimOutcome.HELD),
        (Expected.LARGER, 0.01, 0.03, 0.051, ClaimOutcome.NONE),  # p must be below 0.05
        (Expected.LARGER, 0.00, 0.03, 0.01, ClaimOutcome.NONE),  # 0 itself is no evidence
        (Expected.LARGER, -0.03, -0.01, 0.01, ClaimOutcome.NOT),
        (Expected.SMALLER, -0.03, -0.01, 0.01, ClaimOutcome.HELD),
        (Expected.SMALLER, 0.01, 0.03, 0.01, ClaimOutcome.NOT),
        (Expected.NOT_LOWER, -0.019, 0.01, NAN, ClaimOutcome.HELD),  # margin 0.02
        (Expected.NOT_LOWER, -0.020, 0.01, NAN, ClaimOutcome.NONE),
        (Expected.NOT_LOWER, -0.050, -0.02, NAN, ClaimOutcome.NONE),
        (Expected.NOT_LOWER, -0.050, -0.021, NAN, ClaimOutcome.NOT),
        (Expected.NOT_HIGHER, -0.01, 0.019, NAN, ClaimOutcome.HELD),
        (Expected.NOT_HIGHER, -0.01, 0.020, NAN, ClaimOutcome.NONE),
        (Expected.NOT_HIGHER, 0.021, 0.050, NAN, ClaimOutcome.NOT),
        (Expected.NOT_HIGHER, 0.0, 0.0, NAN, ClaimOutcome.HELD),  # nobody has a difference
    ],
)
def test_a_difference_over_users_is_judged_by_interval_and_test(
    expected: Expected, low: float, high: float, p: float, outcome: ClaimOutcome
):
    assert by_interval(expected, low, high, p, margin=0.02, confidence=0.95) is outcome


@pytest.mark.parametrize(
    ("expected", "first", "second", "outcome"),
    [
        (Expected.LARGER, 1.25, 1.0, ClaimOutcome.HELD),
        (Expected.LARGER, 1.24, 1.0, ClaimOutcome.NONE),
        (Expected.LARGER, 1.0, 1.24, ClaimOutcome.NONE),
        (Expected.LARGER, 1.0, 1.25, ClaimOutcome.NOT),
        (Expected.LARGER, 0.1, 0.0, ClaimOutcome.HELD),
        (Expected.LARGER, 0.0, 0.0, ClaimOutcome.NONE),
        (Expected.SMALLER, 1.0, 1.25, ClaimOutcome.HELD),
        (Expected.SMALLER, 1.25, 1.0, ClaimOutcome.NOT),
        (Expected.LARGER, NAN, 1.0, ClaimOutcome.NONE),
        (Expected.SMALLER, 1.0, NAN, ClaimOutcome.NONE),
    ],
)
def test_figures_without_users_are_judged_by_their_ratio(
    expected: Expected, first: float, second: float, outcome: ClaimOutcome
):
    assert by_ratio(expected, first, second) is outcome


@pytest.mark.parametrize(
    ("expected", "low", "high", "outcome"),
    [
        (Expected.LARGER, 1.01, 9.0, ClaimOutcome.HELD),
        (Expected.LARGER, 1.0, 9.0, ClaimOutcome.NONE),
        (Expected.SMALLER, 1.01, 9.0, ClaimOutcome.NOT),
        (Expected.SMALLER, 0.9, 9.0, ClaimOutcome.NONE),
        (Expected.LARGER, 1.01, NAN, ClaimOutcome.HELD),
        (Expected.LARGER, NAN, 9.0, ClaimOutcome.NONE),
    ],
)
def test_a_ratio_whose_interval_holds_1_is_no_evidence(
    expected: Expected, low: float, high: float, outcome: ClaimOutcome
):
    assert by_ratio(expected, 3.0, 1.0, low, high) is outcome


def test_costs_that_were_measured_again_and_again_have_the_interval_of_their_ratio():
    first, second = Repeated(1.0, 0.9, 1.1), Repeated(4.0, 3.0, 5.0)
    part = on_costs(WORDS, [first, second], Form.SECONDS, "ten times")
    assert part.outcome is ClaimOutcome.HELD
    assert part.is_ratio
    assert part.is_cost
    assert part.difference == pytest.approx(0.25)
    assert part.low < 0.25 < part.high < 1
    assert difference(part) == "× 0.25"
    assert interval(part) == "× 0.20 to 0.34"


@pytest.mark.parametrize(
    ("expected", "half", "outcome"),
    [
        (Expected.LARGER, 0.09, ClaimOutcome.HELD),
        (Expected.SMALLER, 0.09, ClaimOutcome.NOT),
        (Expected.LARGER, 0.11, ClaimOutcome.NONE),
        (Expected.LARGER, NAN, ClaimOutcome.NONE),
    ],
)
def test_a_figure_of_all_users_together_is_judged_by_its_interval(
    expected: Expected, half: float, outcome: ClaimOutcome
):
    part = on_all_lists(WORDS, (0.4, 0.3), half, 70, expected, Form.SHARE)
    assert part.outcome is outcome
    assert part.difference == pytest.approx(0.1)
    assert part.basis == "lists of 70 users together"
    assert interval(part) == (
        "" if np.isnan(half) else f"+{10 - 100 * half:.1f} pp to +{10 + 100 * half:.1f} pp"
    ).replace("+-", "−")


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (Repeated(0.7, 0.6, 0.8), Repeated(1.0, 0.9, 1.1), ClaimOutcome.HELD),
        (Repeated(0.7, 0.6, 1.0), Repeated(1.0, 0.9, 1.1), ClaimOutcome.NONE),  # −0.3 + √(0.3² + 0.1²) > 0
        (Repeated(0.7, 0.6, 0.9), Repeated(1.0, 0.9, 1.1), ClaimOutcome.HELD),  # −0.3 + √(0.2² + 0.1²) < 0
        (Repeated(1.0, 0.9, 1.1), Repeated(0.7, 0.6, 0.8), ClaimOutcome.NOT),
    ],
)
def test_exponents_differ_where_the_interval_of_their_difference_leaves_out_0(
    first: Repeated, second: Repeated, outcome: ClaimOutcome
):
    part = on_exponents(WORDS, [first, second])
    assert part.outcome is outcome
    assert part.low < part.difference < part.high
    assert part.is_cost


def test_a_clear_difference_holds_with_its_figures():
    [part] = ask(paired(0.1))
    assert part.outcome is ClaimOutcome.HELD
    assert part.difference == pytest.approx(0.1)
    assert part.first - part.second == pytest.approx(0.1)
    assert part.low < 0.1 < part.high
    assert part.basis == "80 users"


def test_p_is_adjusted_for_every_test_of_the_table_but_not_for_margins():
    alone = ask(paired(0.03))[0].p
    with_margin = ask(paired(0.03), paired(0.0, expected=Expected.NOT_LOWER))
    both = ask(paired(0.03), paired(0.03))
    assert with_margin[0].p == pytest.approx(alone)
    assert np.isnan(with_margin[1].p)
    assert both[0].p == pytest.approx(min(1, 2 * alone))


def test_questions_of_different_users_are_judged_side_by_side():
    few, many = ask(paired(0.1, users=20), paired(0.1, users=200))
    assert (few.basis, many.basis) == ("20 users", "200 users")
    assert many.high - many.low < few.high - few.low


def test_users_with_one_figure_only_count_nowhere():
    question = paired(0.1)
    first = question.first.copy()
    first[:10] = np.nan
    [part] = ask(Paired(WORDS, first, question.second))
    assert part.basis == "70 users"
    assert part.first == pytest.approx(np.nanmean(first))


def test_without_any_user_there_is_no_evidence():
    nobody = np.full(5, np.nan)
    [part] = ask(Paired(WORDS, nobody, nobody))
    assert part.outcome is ClaimOutcome.NONE
    assert part.note


def test_what_was_not_measured_is_no_evidence_and_says_why():
    skipped = unknown(WORDS, "The data is too small.")
    missing = on_costs(WORDS, [Repeated(NAN), Repeated(1.0)], Form.SECONDS, "measured once")
    assert (skipped.outcome, skipped.note) == (ClaimOutcome.NONE, "The data is too small.")
    assert (missing.outcome, missing.note) == (ClaimOutcome.NONE, "It was not measured.")


HELD, NOT, NONE = (ClaimPart(WORDS, outcome) for outcome in (ClaimOutcome.HELD, ClaimOutcome.NOT, ClaimOutcome.NONE))


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ([HELD, HELD], ClaimOutcome.HELD),
        ([HELD, NONE], ClaimOutcome.IN_PART),
        ([HELD, NOT], ClaimOutcome.IN_PART),
        ([NOT, NONE], ClaimOutcome.NOT),
        ([NONE, NONE], ClaimOutcome.NONE),
    ],
)
def test_a_claim_holds_as_its_parts_do(parts: list[ClaimPart], outcome: ClaimOutcome):
    assert Claim(1, "key", "title", "words", "#section", parts).outcome is outcome


def test_a_part_that_does_not_decide_changes_nothing():
    other = ClaimPart(Words("other", "", "", decides=False), ClaimOutcome.NOT)
    claim = Claim(1, "key", "title", "words", "#section", [HELD, other])
    assert claim.outcome is ClaimOutcome.HELD
    assert claim.num_held == 1
