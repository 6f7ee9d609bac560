"""The rules that decide what may be said of a claim, at their borders."""

import numpy as np
import pytest

from bakeoff.evaluation.stats.timing_intervals import Repeated
from bakeoff.report.accuracy import Statistics
from bakeoff.report.topics.base import claims
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
        (Expected.LARGER, 0.01, 0.03, 0.051, ClaimOutcome.TOO_FEW),  # p must be below 0.05
        (Expected.LARGER, 0.00, 0.03, 0.01, ClaimOutcome.TOO_FEW),  # 0 itself is no difference
        (Expected.LARGER, -0.019, 0.019, 0.9, ClaimOutcome.SMALL),  # margin 0.02
        (Expected.LARGER, -0.019, 0.020, 0.9, ClaimOutcome.TOO_FEW),
        (Expected.LARGER, 4e-9, 8e-9, 0.001, ClaimOutcome.SMALL),  # a difference that does not matter
        (Expected.SMALLER, 4e-9, 0.019, 0.001, ClaimOutcome.SMALL),
        (Expected.LARGER, -0.03, -0.01, 0.01, ClaimOutcome.CONTRADICTED),
        (Expected.SMALLER, -0.03, -0.01, 0.01, ClaimOutcome.HELD),
        (Expected.SMALLER, 0.01, 0.03, 0.01, ClaimOutcome.CONTRADICTED),
        (Expected.NOT_LOWER, -0.019, 0.01, NAN, ClaimOutcome.HELD),  # margin 0.02
        (Expected.NOT_LOWER, -0.020, 0.01, NAN, ClaimOutcome.TOO_FEW),
        (Expected.NOT_LOWER, -0.050, -0.02, NAN, ClaimOutcome.TOO_FEW),
        (Expected.NOT_LOWER, -0.050, -0.021, NAN, ClaimOutcome.CONTRADICTED),
        (Expected.NOT_HIGHER, -0.01, 0.019, NAN, ClaimOutcome.HELD),
        (Expected.NOT_HIGHER, -0.01, 0.020, NAN, ClaimOutcome.TOO_FEW),
        (Expected.NOT_HIGHER, 0.021, 0.050, NAN, ClaimOutcome.CONTRADICTED),
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
        (Expected.LARGER, 1.24, 1.0, ClaimOutcome.TOO_FEW),
        (Expected.LARGER, 1.0, 1.24, ClaimOutcome.TOO_FEW),
        (Expected.LARGER, 1.0, 1.25, ClaimOutcome.CONTRADICTED),
        (Expected.LARGER, 0.1, 0.0, ClaimOutcome.HELD),
        (Expected.LARGER, 0.0, 0.0, ClaimOutcome.TOO_FEW),
        (Expected.SMALLER, 1.0, 1.25, ClaimOutcome.HELD),
        (Expected.SMALLER, 1.25, 1.0, ClaimOutcome.CONTRADICTED),
        (Expected.LARGER, NAN, 1.0, ClaimOutcome.NOT_MEASURED),
        (Expected.SMALLER, 1.0, NAN, ClaimOutcome.NOT_MEASURED),
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
        (Expected.LARGER, 1.0, 9.0, ClaimOutcome.TOO_FEW),
        (Expected.SMALLER, 1.01, 9.0, ClaimOutcome.CONTRADICTED),
        (Expected.SMALLER, 0.9, 9.0, ClaimOutcome.TOO_FEW),
        (Expected.LARGER, 1.01, NAN, ClaimOutcome.HELD),
        (Expected.LARGER, NAN, 9.0, ClaimOutcome.TOO_FEW),
        (Expected.LARGER, 0.81, 1.24, ClaimOutcome.SMALL),
        (Expected.LARGER, 1.01, 1.24, ClaimOutcome.SMALL),
    ],
)
def test_a_ratio_whose_interval_holds_1_is_not_enough_data(
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
        (Expected.SMALLER, 0.09, ClaimOutcome.CONTRADICTED),
        (Expected.LARGER, 0.11, ClaimOutcome.TOO_FEW),
        (Expected.LARGER, NAN, ClaimOutcome.TOO_FEW),
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


def test_the_lists_of_a_few_users_say_nothing_of_others():
    part = on_all_lists(WORDS, (0.4, 0.3), 1e-17, 39, Expected.LARGER, Form.SHARE)
    assert part.outcome is ClaimOutcome.TOO_FEW


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (Repeated(0.7, 0.6, 0.8), Repeated(1.0, 0.9, 1.1), ClaimOutcome.HELD),
        (Repeated(0.7, 0.6, 1.0), Repeated(1.0, 0.9, 1.1), ClaimOutcome.TOO_FEW),  # −0.3 + √(0.3² + 0.1²) > 0
        (Repeated(0.7, 0.6, 0.9), Repeated(1.0, 0.9, 1.1), ClaimOutcome.HELD),  # −0.3 + √(0.2² + 0.1²) < 0
        (Repeated(1.0, 0.9, 1.1), Repeated(0.7, 0.6, 0.8), ClaimOutcome.CONTRADICTED),
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


def test_p_is_adjusted_for_all_deciding_tests_but_not_for_margins_or_parts_that_are_shown():
    alone = ask(paired(0.03))[0].p
    shown = Paired(Words("shown", "", "", decides=False), paired(0.03).first, paired(0.03).second)
    with_others = ask(paired(0.03), paired(0.0, expected=Expected.NOT_LOWER), shown)
    both = ask(paired(0.03), paired(0.03))
    assert with_others[0].p == pytest.approx(alone)
    assert np.isnan(with_others[1].p)
    assert with_others[2].p == pytest.approx(alone)
    assert both[0].p == pytest.approx(min(1, 2 * alone))


def test_families_are_those_of_the_file(monkeypatch: pytest.MonkeyPatch):
    shown = Paired(Words("shown", "", "", decides=False), paired(0.03).first, paired(0.03).second)
    apart = [part.p for part in ask(paired(0.03), shown)]
    assert apart == [part.p for part in (*ask(paired(0.03)), *ask(shown))]
    monkeypatch.setattr(claims, "FAMILIES", [["deciding", "shown"]])
    together = [part.p for part in ask(paired(0.03), shown)]
    # Holm: the smaller one of two counts twice, and the other is no smaller.
    assert together == pytest.approx([2 * min(apart)] * 2)


@pytest.mark.parametrize(
    ("form", "second", "margin"),
    [(Form.METRIC, 0.3, 0.005), (Form.SHARE, 0.3, 0.01), (Form.NUMBER, 0.3, 0.01), (Form.COUNT, 160.0, 8.0)],
)
def test_margins_are_those_of_the_file(form: Form, second: float, margin: float):
    assert form.margin(second) == pytest.approx(margin)


@pytest.mark.parametrize(
    ("expected", "outcome"), [(Expected.LARGER, ClaimOutcome.SMALL), (Expected.NOT_LOWER, ClaimOutcome.HELD)]
)
def test_equal_figures_show_a_small_difference_only_of_many_users(expected: Expected, outcome: ClaimOutcome):
    # Of 600 users, 3 in 600 of all may be of a kind that none of them is: as much as the margin.
    few, enough = ask(paired(0.0, 0.0, 600, expected), paired(0.0, 0.0, 601, expected))
    assert (few.low, few.high, few.outcome) == (0.0, 0.0, ClaimOutcome.TOO_FEW)
    assert enough.outcome is outcome


def test_few_users_contradict_what_is_far_beyond_the_margin():
    [part] = ask(paired(-0.3, 0.0, 20, Expected.NOT_LOWER))
    assert part.outcome is ClaimOutcome.CONTRADICTED


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


def test_without_any_user_nothing_is_measured():
    nobody = np.full(5, np.nan)
    [part] = ask(Paired(WORDS, nobody, nobody))
    assert part.outcome is ClaimOutcome.NOT_MEASURED
    assert part.note


def test_what_was_not_measured_says_why():
    skipped = unknown(WORDS, "The data is too small.")
    missing = on_costs(WORDS, [Repeated(NAN), Repeated(1.0)], Form.SECONDS, "measured once")
    assert (skipped.outcome, skipped.note) == (ClaimOutcome.NOT_MEASURED, "The data is too small.")
    assert (missing.outcome, missing.note) == (ClaimOutcome.NOT_MEASURED, "It was not measured.")


HELD, AGAINST, SMALL, FEW, UNMEASURED = (
    ClaimPart(WORDS, outcome)
    for outcome in (
        ClaimOutcome.HELD,
        ClaimOutcome.CONTRADICTED,
        ClaimOutcome.SMALL,
        ClaimOutcome.TOO_FEW,
        ClaimOutcome.NOT_MEASURED,
    )
)


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ([HELD, HELD], ClaimOutcome.HELD),
        ([HELD, FEW], ClaimOutcome.IN_PART),
        ([HELD, SMALL], ClaimOutcome.IN_PART),
        ([HELD, AGAINST], ClaimOutcome.CONTRADICTED_IN_PART),  # one held part does not outweigh a contradicted one
        ([HELD, HELD, HELD, AGAINST], ClaimOutcome.CONTRADICTED_IN_PART),
        ([AGAINST, FEW], ClaimOutcome.CONTRADICTED_IN_PART),
        ([AGAINST, AGAINST], ClaimOutcome.CONTRADICTED),
        ([SMALL, SMALL], ClaimOutcome.SMALL),
        ([SMALL, UNMEASURED], ClaimOutcome.SMALL),
        ([SMALL, FEW], ClaimOutcome.TOO_FEW),
        ([FEW, FEW], ClaimOutcome.TOO_FEW),
        ([UNMEASURED], ClaimOutcome.NOT_MEASURED),
        ([], ClaimOutcome.NOT_MEASURED),
    ],
)
def test_a_claim_holds_as_its_parts_do(parts: list[ClaimPart], outcome: ClaimOutcome):
    assert Claim(1, "key", "title", "words", "#section", parts).outcome is outcome


def test_a_part_that_does_not_decide_changes_nothing():
    other = ClaimPart(Words("other", "", "", decides=False), ClaimOutcome.CONTRADICTED)
    claim = Claim(1, "key", "title", "words", "#section", [HELD, other])
    assert claim.outcome is ClaimOutcome.HELD
    assert [part.outcome for part in claim.deciding].count(ClaimOutcome.HELD) == 1
