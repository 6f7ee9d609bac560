import math

import pytest
from decided import AFTER, BEFORE, decision, primary, rails

from bakeoff.ops.params import GuardrailParams
from bakeoff.ops.promotion.decision import DecisionOutcome


@pytest.mark.parametrize(
    ("low", "margin", "outcome"),
    [
        (0.0, 0.0, DecisionOutcome.HOLD),  # equal for every user: low is exactly −margin
        (1e-9, 0.0, DecisionOutcome.PROMOTE),
        (-1e-9, 0.0, DecisionOutcome.HOLD),
        (-0.01, 0.01, DecisionOutcome.HOLD),
        (-0.0099, 0.01, DecisionOutcome.PROMOTE),
        (math.nan, 0.5, DecisionOutcome.HOLD),
    ],
)
def test_the_whole_interval_must_lie_above_the_margin(low, margin, outcome):
    assert decision(primary(low, margin=margin)).outcome is outcome


@pytest.mark.parametrize(
    ("name", "at_limit", "beyond"),
    [
        ("new_user_loss", 0.21 - 0.02, 0.1899),
        ("popularity_lift_rise", 0.05 + 0.1, 0.1501),
        ("spurious_rise", 0.05 + 0.05, 0.1001),
        ("p95_seconds", 0.1, 0.1001),
        ("model_bytes", 2_000_000_000, 2_000_000_001),
    ],
)
def test_what_is_at_its_limit_holds_and_what_is_beyond_does_not(name, at_limit, beyond):
    for value, success in ((at_limit, True), (beyond, False)):
        found = rails(AFTER | {name: value})
        assert {rail.name: rail.success for rail in found if not rail.success} == ({} if success else {name: False})
        assert decision(guards=found).outcome is (DecisionOutcome.PROMOTE if success else DecisionOutcome.HOLD)


def test_an_online_win_is_asked_for_where_it_has_a_limit():
    limits = GuardrailParams(champion_online_share=0.5)
    for share, success in ((1.0, False), (0.51, False), (0.5, True), (0.4, True), (math.nan, True)):
        rail = rails(AFTER | {"champion_online_share": share}, limits=limits)[-1]
        assert (rail.name, rail.success) == ("champion_online_share", success)
    assert rails(AFTER | {"champion_online_share": 0.6}, limits=limits)[-1].sentence == (
        "The most that the champion wins of interleaved lists: 60.0 %; more than the 50.0 % that are allowed."
    )
    assert "champion_online_share" not in {rail.name for rail in rails(AFTER | {"champion_online_share": 1.0})}


def test_0_28_beside_0_30_is_at_a_limit_of_0_02():
    # 0.30 − 0.28 is 0.020000000000000018 in binary
    found = rails(AFTER | {"new_user_loss": 0.28}, BEFORE | {"new_user_loss": 0.30})
    assert all(rail.success for rail in found)


def test_a_guardrail_without_a_limit_is_not_looked_at():
    limits = GuardrailParams(new_user_loss=None, popularity_lift_rise=None, spurious_rise=None, p95_seconds=None)
    assert [rail.name for rail in rails(limits=limits)] == ["model_bytes"]


def test_without_a_champion_losses_and_rises_hold_and_say_why_but_limits_of_the_model_itself_count():
    found = {rail.name: rail for rail in rails(AFTER | {"popularity_lift_rise": 9.0, "p95_seconds": 0.2}, {})}
    assert found["popularity_lift_rise"].success
    assert "nothing in production to compare with" in found["popularity_lift_rise"].sentence
    assert not found["p95_seconds"].success
    assert "compared" not in found["p95_seconds"].sentence


def test_what_there_was_nothing_to_measure_of_holds_and_says_so():
    found = rails(AFTER | {"new_user_loss": math.nan})
    assert found[0].success
    assert found[0].sentence == "NDCG@10 of new users: nothing to measure."


def test_a_guardrail_says_figures_interval_and_limit():
    assert rails()[0].sentence == (
        "NDCG@10 of new users: 0.2000, compared with 0.2100 (−0.0100, −0.0300 to +0.0100); "
        "no more than the 0.020 by which it may fall."
    )


def test_a_limit_of_nothing_lets_nothing_rise():
    limits = GuardrailParams(popularity_lift_rise=0)
    assert not rails(limits=limits)[1].success
    assert rails(AFTER | {"popularity_lift_rise": 0.05}, limits=limits)[1].success
