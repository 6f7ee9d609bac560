"""Each check of the verdict: its states, the figure it rests on, and what clears it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import pandas as pd
import pytest
from results import CLEAR, MIRRORED, UNDECIDED, difference, standing
from synthetic_reports import DATA_HASH, search_record

from bakeoff.core.workspace import Workspace
from bakeoff.params import Params
from bakeoff.report.accuracy import BaselineComparison
from bakeoff.report.checks import SCORES, WORDS, Check, State, judge_checks
from bakeoff.report.evidence import Evidence
from bakeoff.report.render.page import comparison_markdown, report_html
from bakeoff.report.slices import Slice
from bakeoff.report.summary import Summary, metrics
from bakeoff.report.training import searches
from bakeoff.report.verdict import Result

DECISIVE = {"BK001", "BK002", "BK004"}
AHEAD = [standing(model, difference(0.1, 0.08, 0.12, 0.001)) for model in ("mf", "softmax")]


@dataclass(frozen=True)
class Span:
    """Figures of a slice."""

    name: str
    num_users: int
    softmax: float
    mf: float
    low: float
    high: float
    p: float


NEAR = Span(name="< 1 min", num_users=500, softmax=0.3, mf=0.2, low=0.08, high=0.12, p=0.001)
LATER = replace(NEAR, name="later", num_users=203)
RECORDS = {name: search_record(name) for name in ("mf", "softmax")}


def slice_of(span: Span, standing: BaselineComparison = AHEAD[1]) -> Slice:
    """A slice with the figures of a span."""
    found = difference(span.softmax - span.mf, span.low, span.high, span.p, span.num_users)
    means = pd.DataFrame({"model": ["softmax", "mf"], "metric": "ndcg@10", "mean": [span.softmax, span.mf]})
    return Slice(span.name, span.num_users, span.num_users, means, found, standing)


@pytest.fixture
def judged(evidence: Evidence, params: Params):
    """Checks by number; keywords change what they rest on."""

    def judge(
        result: Result = CLEAR,
        standings: list[BaselineComparison] = AHEAD,
        spans: tuple[Span, ...] = (NEAR, LATER),
        params: Params = params,
        later_standing: BaselineComparison = AHEAD[1],
        sessions: tuple[Span, ...] | None = None,
        **changes: Any,
    ) -> dict[str, Check]:
        changed = replace(evidence, **{"tuning": RECORDS, **changes})
        both = spans, spans if sessions is None else sessions
        parts = [[slice_of(span, later_standing) for span in each] for each in both]
        found = judge_checks(changed, params, result, standings, *parts, searches(changed))
        return {check.number: check for check in found}

    return judge


def test_numbers_are_those_of_the_words_and_stay_in_order(judged):
    assert list(judged()) == list(WORDS) == [f"BK00{place}" for place in range(1, 10)]
    assert {number for number, words in WORDS.items() if "reason" in words} == DECISIVE


def test_a_clear_result_after_equal_tuning_here_is_limited_by_its_seed_and_its_split(judged):
    assert [number for number, check in judged().items() if check.state is not State.PASSED] == ["BK003", "BK007"]


def test_every_check_says_what_it_rests_on_in_a_sentence_and_what_clears_it(judged):
    for found in (judged(), judged(UNDECIDED, tuning={}, spans=())):
        for check in found.values():
            assert check.figure[0].isupper() or check.figure[0].isdigit(), check
            assert check.figure.endswith("."), check
            assert "{" not in check.fix, check
            assert "None" not in check.fix, check


@pytest.mark.parametrize(
    ("records", "figure", "fix"),
    [
        (
            {},
            "MF was never tuned; the softmax DNN was never tuned.",
            "Run `bakeoff tune --minutes 20 --apply`, then",
        ),
        (
            {"mf": RECORDS["mf"]},
            "The softmax DNN was never tuned.",
            "Run `bakeoff tune softmax --timeout 600 --apply`,",
        ),
        (
            RECORDS | {"mf": search_record("mf", dataset="ml-1m")},
            "MF was tuned on ml-1m.",
            "Run `bakeoff tune mf --timeout 600 --apply`, then `bakeoff run`.",
        ),
        (
            RECORDS
            | {"mf": RECORDS["mf"] | {"split": RECORDS["mf"]["split"] | {"method": "random", "valid_share": 0.3}}},
            "MF was tuned on a split with another method and valid_share.",
            "Run `bakeoff tune mf --timeout 600 --apply`, then `bakeoff run`.",
        ),
        (
            RECORDS | {"mf": RECORDS["mf"] | {"split": RECORDS["mf"]["split"] | {"event_weights": {"buy": 10}}}},
            "MF was tuned on a split with another event_weights.",
            "Run `bakeoff tune mf --timeout 600 --apply`, then `bakeoff run`.",
        ),
        (
            RECORDS | {"mf": {key: value for key, value in RECORDS["mf"].items() if key != "split"}},
            "MF was tuned on a split that its record does not name.",
            "Run `bakeoff tune mf --timeout 600 --apply`, then `bakeoff run`.",
        ),
    ],
)
def test_settings_that_were_not_tuned_on_this_data_fail(judged, records: Mapping[str, Any], figure: str, fix: str):
    check = judged(tuning=records)["BK001"]
    assert (check.state, check.figure) == (State.FAILED, figure)
    assert fix in check.fix


def test_another_seed_fails_where_the_split_draws_validation_by_it_and_qualifies_elsewhere(judged, params: Params):
    records = RECORDS | {"mf": RECORDS["mf"] | {"seed": 7}}
    check = judged(tuning=records)["BK001"]
    assert (check.state, "another seed" in check.figure) == (State.QUALIFIES, True)
    drawn = {name: record | {"split": record["split"] | {"method": "random"}} for name, record in records.items()}
    split = params.split.model_copy(update={"method": "random"})
    check = judged(tuning=drawn, params=params.model_copy(update={"split": split}))["BK001"]
    assert (check.state, check.figure) == (State.FAILED, "MF was tuned on a split with another seed.")


def test_a_record_from_before_a_setting_of_the_split_was_there_counts_as_long_as_the_setting_is_the_usual_one(
    judged, params: Params
):
    split = {name: value for name, value in RECORDS["mf"]["split"].items() if name != "keep_repeats"}
    older = RECORDS | {"mf": RECORDS["mf"] | {"split": split}}
    assert judged(tuning=older)["BK001"].state is State.PASSED
    repeats = params.model_copy(update={"split": params.split.model_copy(update={"keep_repeats": True})})
    assert "MF was tuned on a split with another keep_repeats" in judged(tuning=older, params=repeats)["BK001"].figure


def test_a_model_that_was_trained_with_other_settings_than_its_search_chose_fails(judged):
    record = search_record("mf")
    record["best"]["params"] |= {"dim": 8}
    check = judged(tuning=RECORDS | {"mf": record})["BK001"]
    assert check.state is State.FAILED
    assert check.figure == "MF was trained with another dim than its search chose."


@pytest.mark.parametrize(("recorded", "present"), [("older.dir", DATA_HASH), (None, DATA_HASH), (None, None)])
def test_settings_tuned_on_another_or_an_unknown_version_of_the_data_qualify(judged, recorded, present):
    check = judged(tuning=RECORDS | {"mf": RECORDS["mf"] | {"data": recorded}}, data_hash=present)["BK001"]
    assert check.state is State.QUALIFIES
    assert "Tuned on invented, but in another version" in check.figure


@pytest.mark.parametrize(("seconds", "state"), [(480, State.PASSED), (750, State.PASSED), (751, State.FAILED)])
def test_tuning_times_within_a_quarter_count_as_equal(judged, seconds: float, state: State):
    check = judged(tuning=RECORDS | {"softmax": search_record("softmax", wall_seconds=seconds)})["BK002"]
    assert check.state is state
    assert check.figure.startswith(f"600 seconds for MF, {seconds} for the softmax DNN, a factor of 1.")


def test_the_contender_with_less_time_is_to_be_tuned_for_as_long_as_the_other(judged):
    check = judged(tuning=RECORDS | {"mf": search_record("mf", wall_seconds=37.2)})["BK002"]
    assert check.figure == "37 seconds for MF, 600 for the softmax DNN, a factor of 16.1."
    assert check.fix == "Run `bakeoff tune mf --timeout 600 --apply`, then `bakeoff run`."


@pytest.mark.parametrize("seconds", [None, 0.0])
def test_tuning_time_that_is_not_recorded_counts_as_unequal(judged, seconds: float | None):
    check = judged(tuning=RECORDS | {"mf": RECORDS["mf"] | {"wall_seconds": seconds}})["BK002"]
    assert (check.state, check.figure) == (State.FAILED, "No tuning time is recorded for MF.")
    assert "bakeoff tune mf --timeout 600" in check.fix


def test_one_seed_always_qualifies(judged):
    assert (judged()["BK003"].state, judged()["BK003"].figure) == (
        State.QUALIFIES,
        "One seed: 42. The interval does not cover the randomness of training.",
    )


# A difference of 0.05 · 0.2 = 0.01 matters; CLEAR has the interval 0.04 to 0.06.
@pytest.mark.parametrize(
    ("result", "state", "words"),
    [
        (
            replace(CLEAR, detectable=0.01),
            State.PASSED,
            "With 848 users a difference of 0.0100 (5.0 % of MF's score) is detectable;",
        ),
        (
            CLEAR,
            State.PASSED,
            "(6.0 % of MF's score) is detectable; 5.0 % matters, and the whole interval lies beyond it.",
        ),
        (replace(CLEAR, low=0.009), State.FAILED, "5.0 % matters, which takes about"),
        (replace(MIRRORED, high=-0.012, detectable=0.013), State.FAILED, "0.0130 (5.2 %"),  # 0.05 · 0.25 matters
        (
            UNDECIDED,
            State.FAILED,
            "which takes about 1\N{NARROW NO-BREAK SPACE}221 users.",
        ),  # 848 · (0.012 / 0.01)²
        (replace(UNDECIDED, detectable=0.008), State.PASSED, "848 users"),
        (replace(UNDECIDED, detectable=nan), State.FAILED, "848 users"),
        (replace(UNDECIDED, mf=0.0), State.FAILED, "848 users"),
        # Equal lists have no spread, whatever users may be like whom nobody has seen.
        (replace(UNDECIDED, num_users=50, detectable=0.0), State.FAILED, "With 50 users a difference of 0.0600"),
        (replace(UNDECIDED, num_users=50, detectable=0.0, mf=0.0, softmax=0.0), State.FAILED, "With 50 users"),
        (replace(UNDECIDED, num_users=1, detectable=nan), State.FAILED, "With 1 user no difference is detectable;"),
    ],
)
def test_enough_users_show_the_difference_that_matters(judged, result: Result, state: State, words: str):
    check = judged(result)["BK004"]
    assert check.state is state
    assert words in check.figure


def test_what_matters_is_a_parameter(judged, params: Params):
    coarser = params.model_copy(update={"compare": params.compare.model_copy(update={"relevant_difference": 0.1})})
    assert judged(UNDECIDED, params=coarser)["BK004"].state is State.PASSED


BEATEN = standing("softmax", difference(-0.01, -0.02, -0.005, 0.01), baseline_mean=0.26)
UNSURE = standing("softmax", difference(-0.01, -0.02, -0.005, 0.3), baseline_mean=0.26)


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (BEATEN, "The softmax DNN is worse than EASE (0.2500 against 0.2600)."),
        (UNSURE, "The softmax DNN is not shown to be better than EASE"),
        (replace(BEATEN, model="mf"), "MF is worse than EASE"),
        (replace(BEATEN, baseline="popularity"), "The softmax DNN is worse than popularity"),
    ],
)
def test_a_contender_that_does_not_beat_the_best_baseline_is_named(judged, standing: BaselineComparison, words: str):
    check = judged(standings=[standing, *AHEAD])["BK005"]
    assert check.state is State.QUALIFIES
    assert check.figure.startswith(words)


def test_both_contenders_are_named_where_both_are_weak(judged):
    check = judged(standings=[BEATEN, replace(UNSURE, model="mf")])["BK005"]
    assert "is worse than EASE" in check.figure
    assert "; MF is not shown to be better than EASE" in check.figure


def test_another_model_that_does_not_beat_the_baseline_does_not_matter(judged):
    check = judged(standings=[*AHEAD, replace(BEATEN, model="two_tower")])["BK005"]
    assert (check.state, check.figure) == (State.PASSED, "Both are better than EASE (0.1500).")


AGAINST = replace(LATER, softmax=0.07, mf=0.13, low=-0.08, high=-0.04)
NOTHING = replace(LATER, softmax=0.08, mf=0.09, low=-0.02, high=0.01, p=0.6)


@pytest.mark.parametrize(
    ("result", "spans", "state", "words"),
    [
        (CLEAR, (NEAR, LATER), State.PASSED, "It holds more than a day after the last known event (softmax DNN 0.3"),
        (CLEAR, (NEAR, replace(LATER, name="< 1 day"), NOTHING), State.QUALIFIES, "More than a day after the last"),
        (
            CLEAR,
            (NEAR, AGAINST),
            State.QUALIFIES,
            "On test events more than a day after the last known event MF is better",
        ),
        (
            CLEAR,
            (NEAR, NOTHING),
            State.QUALIFIES,
            "More than a day after the last known event no lead is shown (softmax",
        ),
        (CLEAR, (NEAR,), State.QUALIFIES, "No test event comes more than a day after the last known one."),
        (
            MIRRORED,
            (NEAR, AGAINST),
            State.QUALIFIES,
            "within a minute of the last known event the softmax DNN is better",
        ),
        (MIRRORED, (AGAINST,), State.PASSED, "It holds"),
        (UNDECIDED, (NOTHING,), State.PASSED, "No span of time has a verdict of its own."),
        (
            UNDECIDED,
            (NEAR, AGAINST),
            State.QUALIFIES,
            "the softmax DNN is better (softmax DNN 0.3000, MF 0.2000, 500 users)",
        ),
        (CLEAR, (), State.QUALIFIES, "Events have no times, or test events precede known ones."),
    ],
)
def test_a_lead_must_hold_beyond_the_session(judged, result: Result, spans: Any, state: State, words: str):
    check = judged(result, spans=spans)["BK006"]
    assert check.state is state
    assert words in check.figure


def test_a_day_later_the_check_sees_the_lead_that_the_headline_sees(judged):
    """Five spans adjust p more than the three sessions do, whose p the headline rests on."""
    check = judged(spans=(NEAR, replace(LATER, p=0.06)), sessions=(NEAR, replace(LATER, p=0.036)))["BK006"]
    assert check.state is State.PASSED
    assert check.figure.startswith("It holds more than a day after the last known event")


def test_a_day_later_the_check_sees_the_opposite_that_the_headline_sees(judged):
    mf_later = replace(AGAINST, p=0.036)
    check = judged(spans=(NEAR, replace(mf_later, p=0.06)), sessions=(NEAR, mf_later))["BK006"]
    assert check.state is State.QUALIFIES
    assert check.figure.startswith("On test events more than a day after the last known event MF is better")


@pytest.mark.parametrize(
    ("split", "spans", "has_times", "session", "future"),
    [
        ({}, (NEAR, LATER), True, "Ship by situation, as the report lists them. To test", "Set `split.method"),
        ({}, (), True, "Set `split.method: global-temporal`", "Set `split.method: global-temporal`"),
        ({"one_cut": True}, (NEAR, LATER), True, "Ship by situation, as the report lists them.", "Set `split.method"),
        ({}, (), False, "Deliver the times of events (", "Deliver the times of events ("),
    ],
)
def test_what_clears_a_check_can_be_done_on_this_data(
    judged, evidence: Evidence, split: dict, spans: tuple, has_times: bool, session: str, future: str
):
    events = evidence.events if has_times else evidence.events.assign(timestamp=0)
    found = judged(spans=spans, split=evidence.split | split, events=events)
    assert found["BK006"].fix.startswith(session)
    assert found["BK007"].fix.startswith(future)
    assert ("To test without sessions" in found["BK006"].fix) == (not split and has_times and bool(spans))


def test_another_seed_is_one_that_has_not_been_run(judged, params: Params):
    other = params.model_copy(update={"seed": 43})
    assert judged(params=other)["BK003"].fix == "Run `dvc exp run -S seed=44 compare`."


def test_a_baseline_that_is_better_a_day_later_qualifies_a_lead_that_holds(judged):
    behind = replace(BEATEN, baseline="popularity", mean=0.3, baseline_mean=0.34)
    check = judged(later_standing=behind)["BK006"]
    assert (check.state, check.figure) == (
        State.QUALIFIES,
        "More than a day after the last known event popularity is better than the softmax DNN (0.3400; softmax DNN "
        "0.3000, MF 0.2000, 203 users).",
    )


@pytest.mark.parametrize(("one_cut", "state"), [(True, State.PASSED), (False, State.QUALIFIES)])
def test_only_one_cut_for_all_hides_the_future_of_others(judged, evidence: Evidence, one_cut: bool, state: State):
    split = {**evidence.split, "one_cut": one_cut}
    check = judged(split=split)["BK007"]
    leak = " Models learn from what some users did after others are tested."
    assert (check.state, check.figure) == (state, f"The split is user-temporal.{'' if one_cut else leak}")


def test_how_a_split_that_was_given_cuts_time_is_not_known(judged, evidence: Evidence):
    check = judged(split={**evidence.split, "method": "predefined", "one_cut": False})["BK007"]
    assert check.figure.endswith("Whether models learn from what some users did after others are tested is not known.")


def test_features_that_are_not_in_the_data_qualify(judged, evidence: Evidence, params: Params):
    check = judged()["BK008"]
    assert (check.state, check.figure) == (
        State.PASSED,
        "Features of users: age, gender, occupation; items: genres.",
    )
    unnamed = params.model_copy(update={"data": params.data.model_copy(update={"user_features": {}})})
    assert judged(params=unnamed)["BK008"].state is State.QUALIFIES
    by_id = params.model_copy(
        update={"data": params.data.model_copy(update={"user_features": {"user_id": "categorical"}})}
    )
    assert judged(params=by_id)["BK008"].state is State.QUALIFIES  # a learned vector of each user is no side feature
    for empty in ("", None):
        check = judged(items=evidence.items.assign(genres=empty))["BK008"]
        assert check.state is State.QUALIFIES
        assert check.figure.endswith("items: none.")


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (CLEAR, State.PASSED),
        (UNDECIDED, State.PASSED),
        (replace(CLEAR, p=0.06), State.QUALIFIES),
        (replace(CLEAR, low=-0.001, p=0.04), State.QUALIFIES),
    ],
)
def test_an_interval_and_a_test_that_disagree_qualify(judged, result: Result, state: State):
    assert judged(result)["BK009"].state is state


def with_checks(summary: Summary, result: Result, checks: Mapping[str, Check]) -> Summary:
    return replace(summary, result=result, checks=list(checks.values()))


NOT_TUNED = {
    "never": {},
    "elsewhere": {name: search_record(name, dataset="ml-100k") for name in RECORDS},
    "one of them": {"softmax": RECORDS["softmax"]},
    "not applied": {
        name: record | {"best": record["best"] | {"params": {"dim": 7}}} for name, record in RECORDS.items()
    },
}
CLAIMS = ("better than MF on", "worse than MF on", "No evidence of a difference between", "ship the", "ship MF")


@pytest.mark.parametrize(
    ("result", "records"),
    [
        *((CLEAR, records) for records in NOT_TUNED.values()),
        *((result, {}) for result in (MIRRORED, replace(UNDECIDED, detectable=0.001))),
    ],
    ids=[*NOT_TUNED, "down", "level"],
)
def test_untuned_data_never_gets_a_verdict(judged, summary: Summary, evidence: Evidence, result: Result, records: Any):
    found = with_checks(summary, result, judged(result, tuning=records))
    assert found.headline.startswith("No verdict yet: the contenders were not tuned on this data")
    html, text = report_html(found, evidence), comparison_markdown(found, evidence)
    for page in (html.partition("<h3>Key figures")[0], text.partition("## Accuracy")[0]):
        assert "No verdict yet" in page
        assert "BK001 failed" in page
        assert "bakeoff tune" in page
        assert not [claim for claim in CLAIMS if claim in page]
    assert 'class="verdict model-none"' in html
    assert metrics(found, evidence)["checks"]["BK001"] == -1


@pytest.mark.parametrize("result", [CLEAR, MIRRORED, replace(UNDECIDED, detectable=0.001)], ids=["up", "down", "level"])
def test_after_equal_tuning_there_is_a_verdict_with_its_limits(judged, summary: Summary, evidence: Evidence, result):
    found = with_checks(summary, result, judged(result))
    assert not found.headline.startswith("No verdict yet")
    text = comparison_markdown(found, evidence)
    assert f"**{found.headline}.**" in text
    limit = "One seed: 42. The interval does not cover the randomness of training."
    assert f"- **BK003 qualifies. Seeds:** {limit} Run `dvc exp run -S seed=43 compare`." in text
    assert "- Passed: BK001, BK002, BK004," in text


def test_each_decisive_check_that_fails_gives_its_reason(judged, summary: Summary):
    found = with_checks(summary, UNDECIDED, judged(UNDECIDED, tuning={}))
    assert found.headline == (
        "No verdict yet: the contenders were not tuned on this data, the tuning times of the contenders differ and "
        "too few users were tested to see a difference that matters"
    )
    assert found.recommendation == ["Clear the failed checks before you ship either contender."]


def test_the_page_shows_every_check_and_folds_those_that_passed(summary: Summary, workspace: Workspace):
    html = (workspace.reports / "index.html").read_text(encoding="utf-8")
    verdict = html[html.index('<div class="verdict') :].partition("<h3>Key figures")[0]
    shown, _, folded = verdict.partition("<details")
    for check in summary.checks:
        assert (f"{check.number} {check.state}" in shown) == (check.state is not State.PASSED)
        assert (f"{check.number} {check.state}" in folded) == (check.state is State.PASSED)
    assert "<code>dvc exp run -S seed=43 compare</code>" in shown


def test_metrics_hold_the_state_of_each_check_as_a_number(summary: Summary, evidence: Evidence):
    assert metrics(summary, evidence)["checks"] == {check.number: SCORES[check.state] for check in summary.checks}


def test_a_hostile_name_of_a_data_set_is_text(judged, summary: Summary, evidence: Evidence):
    records = {name: search_record(name, dataset="<b>x</b>|`y`") for name in RECORDS}
    found = with_checks(summary, CLEAR, judged(tuning=records))
    assert "<b>x" not in report_html(found, evidence)
    assert r"\<b\>x\</b\>\|\`y\`" in comparison_markdown(found, evidence)
