"""Numbered checks: what passes, what blocks the verdict, and that untuned data never yields one."""

from dataclasses import replace
from typing import Any

import pytest
from results import CLEAR, MIRRORED, UNDECIDED

from bakeoff.core.errors import BakeoffError
from bakeoff.data.params import DataParams
from bakeoff.report.checks import RULES, Check, CheckState, blocking, rule_of, run_checks
from bakeoff.report.evidence import Evidence
from bakeoff.report.tuning import SettingSearch, searches
from bakeoff.report.verdict import BaselineComparison, Result, Span

LATER = Span("later", num_users=200, softmax=0.09, mf=0.08, low=0.005, high=0.015, p=0.001)
WITHIN = replace(LATER, name="< 1 h")
ABOVE = [BaselineComparison(model, "ease", 0.25, 0.2, 0.05, 0.04, 0.06, 0.001) for model in ("softmax", "mf")]
FEATURES = DataParams(user_features={"age": "dense"}, item_features={"year": "dense"})


def tuned(evidence: Evidence, **seconds: float) -> list[SettingSearch]:
    """The records of tuning, which took these seconds."""
    return [replace(search, seconds=seconds.get(search.model, 100.0)) for search in searches(evidence)]


def check(number: str, evidence: Evidence, **given: Any) -> Check:
    """One check of a comparison in which `given` differs from what passes most of them."""
    use = {
        "result": CLEAR,
        "standings": ABOVE,
        "spans": [WITHIN, LATER],
        "searches": tuned(evidence),
        "data": FEATURES,
        "relevant": 0.05,
    } | given
    return next(each for each in run_checks(evidence=evidence, **use) if each.number == number)


def with_dataset(evidence: Evidence, name: str) -> Evidence:
    return replace(evidence, dataset={**evidence.dataset, "name": name})


def test_each_rule_is_checked_once_in_the_order_of_the_numbers(evidence: Evidence) -> None:
    found = run_checks(CLEAR, ABOVE, [LATER], tuned(evidence), evidence, FEATURES, 0.05)
    assert [each.number for each in found] == list(RULES)
    assert all(each.finding.endswith((".", "?")) for each in found)


def test_settings_of_another_data_set_block_the_verdict(evidence: Evidence) -> None:
    found = check("BK001", with_dataset(evidence, "shop"))
    assert found.blocks
    assert "not on shop" in found.finding


def test_no_record_of_tuning_blocks_the_verdict(evidence: Evidence) -> None:
    assert {each.number for each in blocking(run_checks(CLEAR, ABOVE, [], [], evidence, FEATURES, 0.05))} == {
        "BK001",
        "BK002",
    }


def test_a_setting_that_was_changed_after_the_search_is_named(evidence: Evidence) -> None:
    record = evidence.tuning["mf"]
    changed = {**record, "best": {**record["best"], "params": {"dim": 7}}}
    found = check("BK001", replace(evidence, tuning={**evidence.tuning, "mf": changed}))
    assert found.state is CheckState.FAILED
    assert found.finding.startswith("Changed since the search: mf.dim")


@pytest.mark.parametrize(
    ("seconds", "state"), [(100, CheckState.PASSED), (91, CheckState.PASSED), (89, CheckState.FAILED)]
)
def test_seconds_of_tuning_may_differ_by_a_tenth(evidence: Evidence, seconds: float, state: CheckState) -> None:
    assert check("BK002", evidence, searches=tuned(evidence, mf=seconds)).state is state


@pytest.mark.parametrize(
    ("result", "relevant", "state"),
    [
        (CLEAR, 0.06, CheckState.PASSED),  # 0.0120 of 0.2 is 6 %
        (CLEAR, 0.05, CheckState.PASSED),  # not detectable, yet 25 % are shown
        (UNDECIDED, 0.06, CheckState.PASSED),
        (UNDECIDED, 0.05, CheckState.FAILED),
        (replace(CLEAR, difference=0.005, low=0.001, high=0.009), 0.05, CheckState.FAILED),
    ],
)
def test_enough_users_means_that_what_matters_would_be_seen(
    evidence: Evidence, result: Result, relevant: float, state: CheckState
) -> None:
    assert check("BK004", evidence, result=result, relevant=relevant).state is state


def test_a_contender_that_a_baseline_equals_is_named(evidence: Evidence) -> None:
    found = check("BK005", evidence, standings=[ABOVE[0], replace(ABOVE[1], low=-0.01)])
    assert found.finding == "MF is not shown to be better than EASE (0.2500 against 0.2000)."
    assert check("BK005", evidence).state is CheckState.PASSED
    assert "popularity" in check("BK005", evidence, result=replace(CLEAR, mf_above_popularity=0), standings=[]).finding


@pytest.mark.parametrize(
    ("spans", "state"),
    [
        ([WITHIN, LATER], CheckState.PASSED),
        ([WITHIN, replace(LATER, low=-0.005)], CheckState.FAILED),
        ([replace(WITHIN, low=-0.015, high=-0.005), LATER], CheckState.FAILED),
        ([WITHIN], CheckState.UNKNOWN),
    ],
)
def test_a_lead_within_the_session_qualifies_the_verdict(
    evidence: Evidence, spans: list[Span], state: CheckState
) -> None:
    found = check("BK006", evidence, spans=spans)
    assert found.state is state
    assert not found.blocks


def test_one_moment_for_all_users_hides_the_future_of_others(evidence: Evidence) -> None:
    at_one = replace(evidence, split={**evidence.split, "method": "global-temporal"})
    assert check("BK007", at_one).state is CheckState.PASSED
    assert check("BK007", evidence).state is CheckState.FAILED


def test_features_that_are_missing_are_named(evidence: Evidence) -> None:
    assert check("BK008", evidence, data=DataParams(user_features={"age": "dense"})).finding == (
        "No features are given for items."
    )


def test_a_model_that_was_left_out_is_named_with_the_reason(evidence: Evidence) -> None:
    found = check("BK009", replace(evidence, skipped={"ease": "12,000 items are too many."}))
    assert found.finding == "EASE was left out. 12,000 items are too many."


def test_an_interval_and_a_p_that_disagree_are_borderline(evidence: Evidence) -> None:
    assert check("BK010", evidence, result=replace(CLEAR, p=0.06)).state is CheckState.FAILED
    assert check("BK010", evidence, result=MIRRORED).state is CheckState.PASSED


def test_an_unknown_check_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BakeoffError, match="'BK999' is not a check: it must be one of BK001, BK002"):
        rule_of("BK999")
