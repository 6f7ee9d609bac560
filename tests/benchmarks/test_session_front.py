"""What is late, and what comes of combining two models."""

from types import SimpleNamespace

import numpy as np
import pytest
import session_front
from session_front import HOUR, Embedded, Judge, Scores, choices, ends, smoothings

from bakeoff.core.histories import Histories, Queries

SESSION = Scores(np.array([0.8, 0.6, 0.4, 0.2]), np.array([np.nan, np.nan, 0.1, 0.0]))
ORDER_BLIND = Scores(np.array([0.2, 0.2, 0.2, 0.3]), np.array([np.nan, np.nan, 0.5, 0.3]))


@pytest.fixture
def judge():
    """Four users, ten items: two go on at once, one goes on and comes back, one comes back after two pauses."""
    day = 24 * HOUR
    known = [(0, 0), (0, 1), (0, 0), (0, 1), (0, 0), (0, 1), (0, 0), (0, day), (0, 2 * day)]
    rows, times = np.array([0, 0, 1, 1, 2, 2, 3, 3, 3]), np.array([time for _, time in known])
    train = Histories.from_rows(rows, np.array([0, 1, 0, 1, 0, 1, 0, 1, 2]), times, 4)
    found = np.array([2, 2, 2, day, 2 * day + HOUR + 1])
    valid = Histories.from_rows(np.array([0, 1, 2, 2, 3]), np.array([3, 4, 5, 6, 7]), found, 4)

    def queries(histories, users):
        nothing = np.zeros((len(users), 0))
        return Queries(histories.take(users), nothing.astype(np.float32), nothing.astype(np.int32))

    return Judge(SimpleNamespace(train=train, valid=valid, queries=queries))


def test_late_is_what_comes_more_than_an_hour_after_the_last_known_event(judge):
    assert judge.has_late.tolist() == [False, False, True, True]
    assert judge.only_late.tolist() == [False, False, False, True]


def test_pauses_are_counted_within_a_history_and_not_between_two(judge):
    assert judge.pauses.tolist() == [0, 0, 0, 2]


def test_one_list_is_judged_by_all_events_and_by_late_ones(judge):
    items = np.eye(10, dtype=np.float32)
    scores = judge.score(Embedded(items), items[[3, 9, 6, 9]] + items[8] / 2)
    assert scores.everything[0] == 1
    assert scores.everything[2] < scores.late[2] == 1
    assert np.isnan(scores.late[:2]).all()


def test_smoothing_moves_items_towards_those_who_had_them_and_asks_the_same_queries(judge, monkeypatch):
    items, asked = np.eye(10, dtype=np.float32), np.ones((4, 10), np.float32)
    retriever = SimpleNamespace(item_embeddings=items, embed_queries=lambda queries: asked)
    seen = []
    monkeypatch.setattr(Judge, "score", lambda self, retriever, embedded: seen.append(retriever.item_embeddings))
    strengths = [strength for strength, _ in smoothings(retriever, judge)]
    # Item 2 is in the history of user 3 alone, who has three items; item 3 is in none.
    assert [moved[2, 0] for moved in seen] == pytest.approx([strength / 3 for strength in strengths], rel=1e-5)
    assert all(np.array_equal(moved[3], items[3]) for moved in seen)


def test_the_ends_are_the_best_over_all_and_the_best_of_those_as_good_late_as_ease():
    curve = {"EASE": ORDER_BLIND, "session": SESSION}
    curve["between"] = Scores(np.full(4, 0.3), np.array([np.nan, np.nan, 0.5, 0.5]))
    assert ends(curve) == ("session", SESSION, "between", curve["between"])


def test_the_other_list_goes_to_whom_a_choice_names(judge):
    found = {name: scores.means() for name, scores in choices(judge, "s", SESSION, "o", ORDER_BLIND)}
    assert (found["A: s"], found["B: o"]) == (SESSION.means(), ORDER_BLIND.means())
    assert found["B where the history has 2 or more pauses of an hour (25 %)"] == pytest.approx(
        (np.mean([0.8, 0.6, 0.4, 0.3]), np.mean([0.1, 0.3]))
    )
    assert found["told who comes back: B for them (50 %)"] == pytest.approx(
        (np.mean([0.8, 0.6, 0.2, 0.3]), np.mean([0.5, 0.3]))
    )


def test_the_better_list_depends_on_how_much_late_events_count(judge):
    better = [session_front._better(SESSION, ORDER_BLIND, stake).tolist() for stake in (0, 0.1, 1)]
    assert better == [[False, False, False, True], [False, False, False, True], [False, False, True, True]]


def sentences(judge, **found):
    curve = {session_front.SESSION: SESSION, "EASE": ORDER_BLIND}
    return list(session_front.verdict(judge, curve, {**dict(choices(judge, *ends(curve))), **found}))


def test_a_model_that_has_both_is_named(judge):
    both = Scores(np.full(4, 0.9), np.array([np.nan, np.nan, 0.9, 0.9]))
    assert sentences(judge, blend=both)[0] == "- A model that can be served has both (0.5000 and 0.4000): blend."


def test_what_is_told_the_future_is_no_model_that_has_both(judge):
    both = Scores(np.full(4, 0.9), np.array([np.nan, np.nan, 0.9, 0.9]))
    assert sentences(judge, **{"told more": both})[0].startswith("- No model above that can be served has both")


def test_the_most_that_models_reach_on_either_side_is_said(judge):
    near = Scores(np.full(4, 0.45), np.array([np.nan, np.nan, 0.5, 0.3]))
    far = Scores(np.full(4, 0.6), np.array([np.nan, np.nan, 0.3, 0.3]))
    assert sentences(judge, near=near, far=far)[0].endswith(
        "with as much late the most over all events is 0.4500, with as much over all events the most late is 0.3000."
    )


def test_who_comes_back_is_counted(judge):
    *_, mixed, known = sentences(judge)
    assert mixed.startswith("- 1 of the 2 users that come back first go on with their session")
    assert "33 % of those with none, but the latter are 75 % of all and 50 % of those that come back" in known


def test_a_section_has_models_combinations_and_sentences(judge):
    text = session_front.section("Tiny", judge, {session_front.SESSION: SESSION, "EASE": ORDER_BLIND})
    assert "## Tiny\n\n4 users, 2 of them (50 %) with late events to find.\n" in text
    assert "| EASE | 0.2250 | 0.4000 |" in text
    assert "| told who comes back: B for them (50 %) | 0.4750 | 0.4000 |" in text
    assert text.endswith("50 % of those that come back.\n")


def test_where_one_model_has_both_nothing_is_combined(judge):
    both = Scores(np.full(4, 0.9), np.array([np.nan, np.nan, 0.9, 0.9]))
    text = session_front.section("Tiny", judge, {session_front.SESSION: SESSION, "EASE": ORDER_BLIND, "both": both})
    assert text.endswith("- One model is best over all events and as good as EASE later: both.\n")
    assert "told" not in text
