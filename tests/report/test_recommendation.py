"""What is recommended follows from the figures by rules."""

from dataclasses import replace
from math import nan

import pytest
import results
from results import CLEAR, MIRRORED, UNDECIDED

from bakeoff.report.accuracy import BaselineComparison, Difference
from bakeoff.report.slices import Slice
from bakeoff.report.verdict import (
    EITHER,
    NEITHER,
    OPEN,
    Result,
    choose,
    recommend_for_new_users,
    recommendation,
)


def standing(model: str, low: float, high: float, baseline: str = "ease") -> BaselineComparison:
    return results.standing(model, difference(low, high), baseline)


def difference(low: float, high: float) -> Difference:
    return results.difference((low + high) / 2, low, high, 0.001 if low > 0 or high < 0 else 0.6)


UP, DOWN, LEVEL = difference(0.01, 0.03), difference(-0.03, -0.01), difference(-0.01, 0.01)
SMALL = replace(difference(-0.004, 0.0049), num_users=1000)
AHEAD = [standing("softmax", 0.01, 0.03), standing("mf", 0.01, 0.03)]
BEHIND = [standing("softmax", -0.03, -0.01), standing("mf", -0.03, -0.01)]


def new_users(differences: dict[str, Difference]) -> list[Slice]:
    """Slices of new users by the number of interactions that are known of them; better than EASE where not level."""
    return [
        Slice(first, 90, 400, (), found, standing("softmax", -0.01, 0.01) if found is LEVEL else AHEAD[found is DOWN])
        for first, found in differences.items()
    ]


@pytest.mark.parametrize(
    ("result", "standings", "words"),
    [
        (CLEAR, AHEAD, "ship the softmax DNN."),
        (MIRRORED, AHEAD, "ship MF."),
        (UNDECIDED, AHEAD, "ship the softmax DNN, better than EASE, and not shown to be better than MF."),
        (
            CLEAR,
            [standing("softmax", -0.01, 0.01)],
            "ship neither yet: the softmax DNN is better than MF, but not shown to be better than EASE.",
        ),
        (CLEAR, BEHIND, "ship EASE, better than the softmax DNN."),
        (MIRRORED, BEHIND, "ship EASE, better than MF."),
        (UNDECIDED, BEHIND, "ship EASE, better than the softmax DNN."),
        (
            UNDECIDED,
            [standing("softmax", -0.01, 0.01)],
            "nothing is shown: too few users.",
        ),
        (
            CLEAR,
            [standing("softmax", -0.01, 0.01, "popularity")],
            "ship neither yet: the softmax DNN is better than MF, but not shown to be better than popularity.",
        ),
        (
            MIRRORED,
            [standing("softmax", 0.01, 0.03, "popularity"), standing("mf", -0.01, 0.01, "popularity")],
            "ship neither yet: MF is better than the softmax DNN, but not shown to be better than popularity.",
        ),
    ],
)
def test_known_users_get_the_better_one_if_no_baseline_is_as_good(result: Result, standings: list, words: str) -> None:
    assert recommendation(result, standings, {}, []) == [f"For users whom the models know, {words}"]


@pytest.mark.parametrize(
    ("differences", "sentence"),
    [
        ({"0": LEVEL, "5": LEVEL}, "For new users there is no evidence for either."),
        (
            {"0": UP, "1": UP, "all": UP},
            "For new users, ship the softmax DNN with nothing but features, one interaction or all interactions known.",
        ),
        (
            {"0": DOWN, "1": LEVEL, "5": LEVEL, "all": UP},
            "For new users, ship the softmax DNN with all interactions known and MF with nothing but features known; "
            "with one interaction or 5 interactions there is no evidence for either.",
        ),
    ],
)
def test_new_users_get_the_better_one_by_what_is_told_of_them(differences: dict, sentence: str) -> None:
    assert recommend_for_new_users(new_users(differences)) == sentence


@pytest.mark.parametrize(
    ("found", "lead", "sentence"),
    [
        (LEVEL, standing("mf", -0.03, -0.01, "popularity"), "ship popularity (better than MF) with one interaction"),
        (UP, standing("softmax", -0.03, -0.01), "ship EASE (better than the softmax DNN) with one interaction known"),
        (
            UP,
            standing("softmax", -0.01, 0.01),
            "ship neither yet (the softmax DNN is better than MF, but not shown to be better than EASE) with "
            "one interaction known;",
        ),
        (
            SMALL,
            AHEAD[0],
            "ship either (they are shown to differ by less than 0.005) with one interaction known;",
        ),
    ],
)
def test_new_users_get_no_contender_that_a_baseline_beats(found: Difference, lead: BaselineComparison, sentence: str):
    one, five = new_users({"1": found, "5": LEVEL})
    assert sentence in recommend_for_new_users([replace(one, standing=lead), five])


def test_without_new_users_nothing_is_said_of_them() -> None:
    assert len(recommendation(CLEAR, AHEAD, {}, [])) == 1
    assert recommendation(CLEAR, AHEAD, {}, new_users({"0": UP}))[1].startswith("For new users, ship")


HOUR, LATER = "within an hour", "later"
AHEAD_OF_NONE = standing("softmax", -0.01, 0.01)
TOO_FEW = "too few users"


@pytest.mark.parametrize(
    ("choices", "sentences"),
    [
        (
            {HOUR: ("softmax", ""), LATER: ("softmax", "")},
            [
                "For users whom the models know, ship the softmax DNN.",
                "For users who come back after a day, ship the softmax DNN.",
            ],
        ),
        (
            {HOUR: ("softmax", ""), LATER: ("popularity", "better than MF")},
            [
                "For users within an hour of their last event, ship the softmax DNN.",
                "For users who come back after a day, ship popularity, better than MF.",
            ],
        ),
        (
            {HOUR: ("softmax", ""), LATER: (OPEN, "too few users")},
            [
                "For users within an hour of their last event, ship the softmax DNN.",
                "For users who come back after a day, nothing is shown: too few users.",
            ],
        ),
        (
            {HOUR: ("softmax", ""), LATER: (EITHER, "they are shown to differ by less than 0.005")},
            [
                "For users within an hour of their last event, ship the softmax DNN.",
                "For users who come back after a day, ship the one that costs less to run: they are shown to differ by "
                "less than 0.005.",
            ],
        ),
        (
            {HOUR: (OPEN, "too few users"), LATER: ("popularity", "better than MF")},  # however clear it is over all
            [
                "For users within an hour of their last event, nothing is shown: too few users.",
                "For users who come back after a day, ship popularity, better than MF.",
            ],
        ),
        (
            {"an hour to a day": ("softmax", ""), LATER: ("mf", "")},
            [
                "For users between an hour and a day after their last event, ship the softmax DNN.",
                "For users who come back after a day, ship MF.",
            ],
        ),
        ({HOUR: ("softmax", "")}, ["For users whom the models know, ship the softmax DNN."]),
    ],
)
def test_the_recommendation_depends_on_who_comes_back(choices: dict, sentences: list[str]) -> None:
    assert recommendation(CLEAR, AHEAD, choices, []) == sentences


@pytest.mark.parametrize(
    ("found", "lead", "choice", "reason"),
    [
        (UP, AHEAD[0], "softmax", ""),
        (DOWN, AHEAD[1], "mf", ""),
        (UP, AHEAD_OF_NONE, NEITHER, "the softmax DNN is better than MF, but not shown to be better than EASE"),
        (UP, standing("softmax", -0.03, -0.01), "ease", "better than the softmax DNN"),
        (LEVEL, standing("softmax", -0.03, -0.01, "popularity"), "popularity", "better than the softmax DNN"),
        (SMALL, AHEAD[0], EITHER, "they are shown to differ by less than 0.005"),
        (
            SMALL,
            AHEAD_OF_NONE,
            NEITHER,
            "they are shown to differ by less than 0.005, and the softmax DNN is not shown to be better than EASE",
        ),
        (difference(-0.004, 0.0049), AHEAD_OF_NONE, OPEN, TOO_FEW),
        (difference(0, 0), AHEAD_OF_NONE, OPEN, TOO_FEW),  # 90 users without a hit
        (LEVEL, AHEAD_OF_NONE, OPEN, TOO_FEW),
        (LEVEL, AHEAD[1], "mf", "better than EASE, and not shown to be better than the softmax DNN"),
        (results.difference(nan, nan, nan, nan, num_users=0), AHEAD_OF_NONE, OPEN, TOO_FEW),
    ],
)
def test_a_situation_gets_what_is_shown_to_be_better_there(
    found: Difference, lead: BaselineComparison, choice: str, reason: str
) -> None:
    assert choose(found, lead) == (choice, reason)
