from dataclasses import replace

import pytest
from synthetic import NOISE

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.params import Params
from bakeoff.report.evidence import Evidence
from bakeoff.report.render.tables import situation_table
from bakeoff.report.summary import Summary, summarize
from bakeoff.report.topics.popularity import exposure_profile


def test_the_planted_winner_is_found(summary: Summary):
    assert summary.result.verdict is Verdict.BETTER
    assert summary.result.difference == pytest.approx(summary.result.softmax - summary.result.mf)


def test_every_metric_of_every_model_has_an_interval_around_its_mean(summary: Summary, params: Params):
    assert len(summary.estimates) == 4 * len(params.evaluate.cutoffs) * len(NOISE)
    assert all(e.low <= e.mean <= e.high for e in summary.estimates.itertuples())


def test_means_are_those_of_the_per_user_files(summary: Summary, evidence: Evidence):
    for estimate in summary.estimates.itertuples():
        assert estimate.mean == pytest.approx(evidence.models[estimate.model].users[estimate.metric].mean())


def test_p_is_adjusted_for_the_number_of_comparisons(summary: Summary):
    smallest = min(summary.differences, key=lambda d: d.p)
    assert smallest.p_holm == pytest.approx(min(1, smallest.p * len(summary.differences)))


def test_without_new_users_there_is_nothing_said_of_them(evidence: Evidence, params: Params):
    models = {
        name: replace(model, new_users=model.new_users.iloc[:0], new_lists=model.new_lists.iloc[:0])
        for name, model in evidence.models.items()
    }
    summary = summarize(replace(evidence, models=models), params)
    assert not summary.new_users
    assert len(situation_table(summary.sessions, summary.new_users, "ndcg@10").rows) == len(summary.sessions)


def test_without_a_verdict_nothing_is_chosen_for_any_situation(summary: Summary):
    table = situation_table(summary.sessions, summary.new_users, "ndcg@10", has_verdict=False)
    assert table.rows
    assert {(row[1].text, row[1].detail) for row in table.rows} == {("Open", "no verdict yet")}


def test_a_fallback_is_counted_where_the_model_had_no_answer_of_its_own(summary: Summary):
    shares = {(model, part.name): share for part in summary.new_users for model, share in part.fallbacks.items()}
    assert shares["mf", "0"] == 1
    assert shares["mf", "1"] == 0
    assert shares["softmax", "0"] == 0


def test_steps_come_in_the_order_of_what_is_told(summary: Summary):
    assert [part.name for part in summary.new_users] == ["0", "1", "5", "all"]


def test_there_are_situations_within_the_session_later_and_by_what_is_known_of_new_users(summary: Summary):
    assert [row[0].text for row in situation_table(summary.sessions, summary.new_users, "ndcg@10").rows] == [
        "Known user, within an hour",
        "Known user, an hour to a day",
        "Known user, later",
        "New user, none known",
        "New user, 1 known",
        "New user, 5 known",
        "New user, all known",
    ]
    near, *far = summary.sessions
    assert near.num_events == sum(part.num_events for part in summary.slices[:3])
    assert [part.num_events for part in far] == [part.num_events for part in summary.slices[3:]]


def test_shares_of_list_places_sum_to_one(evidence: Evidence):
    shares = exposure_profile(evidence, 10).groupby("source").share.sum()
    assert shares.tolist() == pytest.approx([1] * (len(NOISE) + 1))
