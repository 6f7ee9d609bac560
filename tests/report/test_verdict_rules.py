from dataclasses import replace
from math import nan

import pytest
from results import CLEAR, MIRRORED, UNDECIDED

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report.verdict import (
    Result,
    Span,
    caveats,
    contradictions,
    cost_sentence,
    lost_to_baselines,
    verdict_headline,
    verdict_statement,
)
from bakeoff.report.vs_baseline import BaselineComparison


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
    assert verdict_headline(result) == words


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


def test_a_clear_result_needs_no_caveat():
    assert caveats(CLEAR) == []


def test_no_evidence_says_what_could_have_been_seen():
    [note] = caveats(UNDECIDED)
    assert "0.0120" in note
    assert "not evidence that there is none" in note


def test_an_interval_and_a_p_that_disagree_are_called_borderline():
    assert any("borderline" in note for note in caveats(replace(CLEAR, p=0.06)))
    assert any("borderline" in note for note in caveats(replace(CLEAR, low=-0.001, p=0.04)))


@pytest.mark.parametrize(
    ("softmax", "mf", "words"),
    [
        (0, 1, "The softmax DNN is not shown to be better"),
        (1, 0, "MF is not shown to be better"),
        (0, 0, "Neither contender is shown to be better"),
    ],
)
def test_a_contender_that_does_not_beat_popularity_is_named(softmax: int, mf: int, words: str):
    [note] = caveats(replace(CLEAR, softmax_above_popularity=softmax, mf_above_popularity=mf))
    assert note.startswith(words)
    assert "0.1200" in note


BEATEN = BaselineComparison("softmax", "ease", 0.25, 0.26, -0.01, low=-0.02, high=-0.005, p=0.01)


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (BEATEN, "The softmax DNN is worse than EASE, the best of the baselines (0.2500 against 0.2600)"),
        (replace(BEATEN, p=0.3), "The softmax DNN is not shown to be better than EASE"),
        (replace(BEATEN, model="mf"), "MF is worse than EASE"),
    ],
)
def test_a_contender_that_does_not_beat_the_best_baseline_is_named(standing: BaselineComparison, words: str):
    [note] = lost_to_baselines(CLEAR, [standing])
    assert note.startswith(words)


@pytest.mark.parametrize(
    "standing",
    [
        replace(BEATEN, low=0.01, high=0.02),
        replace(BEATEN, model="two_tower"),
        replace(BEATEN, baseline="popularity"),
    ],
)
def test_a_better_contender_another_model_or_popularity_itself_gives_no_such_note(standing: BaselineComparison):
    assert lost_to_baselines(CLEAR, [standing]) == []


def test_who_is_not_shown_to_beat_popularity_is_not_told_the_same_of_a_stronger_baseline():
    assert lost_to_baselines(replace(CLEAR, softmax_above_popularity=0), [replace(BEATEN, p=0.3)]) == []


LATER = Span(name="later", num_users=203, softmax=0.07, mf=0.13, low=-0.08, high=-0.04, p=0.001)


def test_a_span_with_the_opposite_verdict_is_said():
    [note] = contradictions(CLEAR, [LATER])
    assert "more than a day after the last known event (203 users), MF is better, 0.1300 against 0.0700" in note


def test_a_span_that_agrees_or_shows_nothing_is_not_said():
    agrees = replace(LATER, low=0.04, high=0.08)
    shows_nothing = replace(LATER, p=0.2)
    assert contradictions(CLEAR, [agrees, shows_nothing]) == []


def test_without_a_verdict_overall_a_span_with_one_is_said():
    [note] = contradictions(UNDECIDED, [LATER])
    assert "MF is better" in note


def test_a_mean_of_zero_gives_no_relative_difference():
    assert "a difference of +0.0500 (95 %" in verdict_statement(replace(CLEAR, mf=0.0))


def test_the_cost_names_the_slower_model_and_the_ratio():
    assert cost_sentence({"softmax": 24.0, "mf": 6.0}) == (
        "Training took 24.0 s for the softmax DNN and 6.00 s for MF, 4.0 times as long for the softmax DNN."
    )
    assert cost_sentence({"softmax": 6.0, "mf": 90.0}) == (
        "Training took 6.00 s for the softmax DNN and 1 min 30 s for MF, 15 times as long for MF."
    )


def test_nearly_equal_costs_are_called_about_the_same():
    assert (cost_sentence({"softmax": 10.0, "mf": 10.5}) or "").endswith("about the same.")


def test_a_cost_that_was_not_measured_is_not_invented():
    assert cost_sentence({"mf": 5.0}) is None
    assert cost_sentence({"softmax": nan, "mf": 5.0}) is None


def test_the_figures_survive_the_way_through_metrics():
    assert Result.from_metrics(CLEAR.to_metrics()) == CLEAR
