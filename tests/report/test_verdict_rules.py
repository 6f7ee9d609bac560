from dataclasses import replace
from math import nan

import pytest
from results import CLEAR, MIRRORED, UNDECIDED

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report.verdict import (
    Result,
    cost_sentence,
    verdict_headline,
    verdict_statement,
)


@pytest.mark.parametrize(
    ("result", "verdict", "words"),
    [
        (CLEAR, Verdict.BETTER, "The softmax DNN is better than MF on NDCG@10"),
        (MIRRORED, Verdict.WORSE, "The softmax DNN is worse than MF on NDCG@10"),
        (
            UNDECIDED,
            Verdict.NO_EVIDENCE,
            "No evidence of a difference between the softmax DNN and MF on NDCG@10",
        ),
    ],
)
def test_the_headline_follows_from_the_interval_and_p(result: Result, verdict: Verdict, words: str):
    assert result.verdict is verdict
    assert verdict_headline(result, []) == words


def test_a_difference_within_the_margin_is_shown_to_be_small():
    small = Result("ndcg@10", 0.251, 0.25, 0.001, -0.001, 0.003, 0.4, 0.95, 5000, 0.003)
    assert verdict_headline(small, []) == "The softmax DNN and MF are shown to differ by less than 0.005 on NDCG@10"


def test_an_interval_that_touches_zero_is_no_evidence():
    assert replace(CLEAR, low=0.0).verdict is Verdict.NO_EVIDENCE
    assert replace(MIRRORED, high=0.0).verdict is Verdict.NO_EVIDENCE


def test_what_could_not_be_computed_is_no_evidence():
    assert replace(CLEAR, low=nan, high=nan, p=nan).verdict is Verdict.NO_EVIDENCE


def test_the_statement_holds_both_figures_the_difference_its_interval_p_and_the_users():
    assert verdict_statement(CLEAR) == (
        "Over 848 warm users of the test set the softmax DNN scores 0.2500 and MF 0.2000: "
        "a difference of +0.0500, +25 % (95 % interval +0.0400 to +0.0600, p < 0.001)."
    )


def test_a_loss_is_written_with_a_true_minus():
    assert "a difference of −0.0500, −20 % (95 % interval −0.0600 to −0.0400" in verdict_statement(MIRRORED)


def test_reasons_against_a_verdict_take_its_place():
    for result in (CLEAR, MIRRORED, UNDECIDED):
        assert verdict_headline(result, ["a", "b"]) == "No verdict yet: a and b"


def test_a_mean_of_zero_gives_no_relative_difference():
    assert "a difference of +0.0500 (95 %" in verdict_statement(replace(CLEAR, mf=0.0))


def test_the_cost_names_the_slower_model_and_the_ratio():
    assert cost_sentence({"softmax": 24.0, "mf": 6.0}) == (
        "Training took 24.0 s of CPU time for the softmax DNN and 6.00 s for MF, choosing the epoch included: "
        "4.0 times as much for the softmax DNN."
    )
    assert cost_sentence({"softmax": 6.0, "mf": 90.0}) == (
        "Training took 6.00 s of CPU time for the softmax DNN and 1 min 30 s for MF, choosing the epoch included: "
        "15 times as much for MF."
    )


def test_nearly_equal_costs_are_called_about_the_same():
    assert (cost_sentence({"softmax": 10.0, "mf": 10.5}) or "").endswith("about the same.")


def test_a_cost_that_was_not_measured_is_not_invented():
    assert cost_sentence({"mf": 5.0}) is None
    assert cost_sentence({"softmax": nan, "mf": 5.0}) is None
