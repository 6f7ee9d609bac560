import json
import math
from dataclasses import replace

from decided import AFTER, CHALLENGER, CHAMPION, decision, primary, rails

from bakeoff.ops.promotion import decide as sheet
from bakeoff.ops.promotion.decision import DecisionOutcome, unchanged


def test_the_file_holds_what_was_found_on_both_sides():
    found = decision().as_json()
    assert found["outcome"] == "promote"
    assert found["challenger"] == {"model": "softmax", "md5": "1111.dir", "data_md5": "d1.dir", "rows": 1200}
    assert (found["champion"]["version"], found["champion"]["commit"]) == ("v3.0.0", "c" * 40)
    assert (found["primary"]["low"], found["primary"]["num_users"]) == (0.01, 500)
    assert found["guardrails"][0]["name"] == "new_user_loss"


def test_what_is_not_defined_is_null():
    found = decision(primary(math.nan, math.nan), rails(AFTER | {"new_user_loss": math.nan}), champion=None)
    written = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert written["primary"]["low"] is None
    assert written["champion"] is None


def test_the_first_reasons_are_the_comparison_and_the_rule():
    reasons = decision().reasons
    assert reasons[0] == (
        "NDCG@10 of the softmax DNN is 0.2200, compared with 0.2000 of mf@v3.0.0: +0.0200, 95 % interval +0.0100 to "
        "+0.0300, over 500 users."
    )
    assert reasons[1:] == ["The whole interval lies above 0.", "All 5 guardrails hold."]


def test_a_broken_guardrail_is_a_reason():
    found = decision(guards=rails(AFTER | {"popularity_lift_rise": 9.0}))
    assert found.outcome is DecisionOutcome.HOLD
    assert "more than the 0.100 by which it may rise" in found.reasons[0]  # a message of a night has this one alone
    assert not any("guardrails hold" in reason for reason in found.reasons)


def test_worse_is_told_from_not_known():
    assert "it is worse" in decision(primary(-0.03, -0.01)).reasons[1]
    assert "no evidence that it is good enough" in decision(primary(-0.01, 0.02)).reasons[1]


def test_a_model_that_a_rollback_left_is_held_though_it_is_better():
    found = decision(taken_back="softmax@v2.0.0")
    assert found.outcome is DecisionOutcome.HOLD
    assert found.reasons[0].startswith("A rollback took softmax@v2.0.0")
    assert "--despite" in found.reasons[0]


def test_the_first_model_is_said_to_be_compared_with_popularity():
    found = decision(champion=None)
    assert found.outcome is DecisionOutcome.PROMOTE
    assert "compared with 0.2000 of popularity" in found.reasons[0]
    assert any("Nothing is in production" in reason for reason in found.reasons)


def test_users_whose_answers_were_known_are_counted():
    found = decision(left_out=(3, 1))
    assert any("3 warm and 1 new users" in reason for reason in found.reasons)
    assert found.as_json()["left_out"] == {"warm_users": 3, "new_users": 1}


def test_without_users_nothing_goes_into_production():
    found = decision(primary(math.nan, math.nan, num_users=0))
    assert found.outcome is DecisionOutcome.HOLD
    assert found.reasons[0] == "No user is left on whom the softmax DNN could be compared with mf@v3.0.0."


def test_the_headline_says_what_follows():
    assert sheet.decision_headline(decision()) == "The softmax DNN goes into production instead of mf@v3.0.0"
    assert (
        sheet.decision_headline(decision(primary(-1))) == "The softmax DNN does not go into production: mf@v3.0.0 stays"
    )
    assert (
        sheet.decision_headline(decision(champion=None)) == "The softmax DNN goes into production, the first that does"
    )
    assert sheet.decision_headline(unchanged(CHALLENGER, CHAMPION)).endswith("nothing has changed")


def test_the_page_runs_no_script_and_shows_difference_guardrails_and_both_sides():
    page = sheet.pages(decision(primary(margin=0.01), rails(AFTER | {"popularity_lift_rise": 9.0})))["html"]
    assert "<script" not in page
    assert len(page) < 100_000
    assert "challenger − " not in page
    assert page.count('class="badge held"') == 4
    assert page.count('class="badge not-held"') == 1
    assert "Softmax DNN − MF" in page
    assert ">margin<" in page
    assert 'href="../index.html"' in page
    assert "width:100.0%" in page  # a bar past its mark ends with the picture


def test_a_model_against_its_own_former_version_is_called_the_challenger():
    page = sheet.pages(decision(champion=replace(CHAMPION, model="softmax")))["html"]
    assert "NDCG@10: challenger − production" in page


def test_a_page_without_a_comparison_has_no_picture():
    page = sheet.pages(unchanged(CHALLENGER, CHAMPION))["html"]
    assert "<svg" not in page
    assert "changes nothing" in page


def test_the_same_decision_gives_the_same_bytes():
    assert sheet.pages(decision())["html"] == sheet.pages(decision())["html"]


def test_markdown_has_reasons_guardrails_and_sides():
    text = sheet.pages(decision(guards=rails(AFTER | {"popularity_lift_rise": 9.0})))["md"]
    assert text.startswith("# The softmax DNN does not go into production: mf@v3.0.0 stays\n")
    assert "| Rise of the popularity lift | 8.9500 | 0.1000 | **broken** |" in text
    assert "| Version | none yet | v3.0.0 |" in text
