import re
from dataclasses import replace

import pandas as pd

from bakeoff.report.evidence import Evidence
from bakeoff.report.examples import choose_examples

METRIC = "ndcg@10"


def gains(evidence: Evidence) -> pd.Series:
    softmax, mf = (evidence.models[name].users.set_index("user_id")[METRIC] for name in ("softmax", "mf"))
    return softmax - mf


def test_the_largest_win_of_each_contender_a_typical_user_and_a_new_one_are_shown(evidence: Evidence):
    softmax, mf, typical, new = choose_examples(evidence, METRIC, 4)
    gain = gains(evidence)
    assert gain[softmax.user_id] == gain.max()
    assert gain[mf.user_id] == gain.min()
    assert "typical" in typical.reason
    assert new.user_id in set(evidence.new_events.user_id)
    assert new.num_history == 5


def test_with_more_users_two_are_shown_whom_each_contender_serves_better(evidence: Evidence):
    shown = choose_examples(evidence, METRIC, 6)
    gains = [example.lists[1].value - example.lists[0].value for example in shown]
    assert len({example.user_id for example in shown}) == 6
    assert gains[0] >= gains[4] > 0 > gains[5] >= gains[1]
    assert ["second most" in example.reason for example in shown] == [False] * 4 + [True] * 2


def test_the_typical_user_is_nearest_to_both_means(evidence: Evidence):
    example = choose_examples(evidence, METRIC, 4)[2]
    away = sum(
        (users[METRIC] - users[METRIC].mean()).abs()
        for users in (evidence.models[name].users.set_index("user_id") for name in ("softmax", "mf"))
    )
    assert away[example.user_id] == away.min()


def test_no_user_is_shown_twice(evidence: Evidence):
    shown = [example.user_id for example in choose_examples(evidence, METRIC, 6)]
    assert len(shown) == len(set(shown)) == 6


def test_fewer_users_can_be_asked_for(evidence: Evidence):
    assert len(choose_examples(evidence, METRIC, 1)) == 1
    assert "gains most" in choose_examples(evidence, METRIC, 1)[0].reason


def test_hits_are_the_items_that_came_next(evidence: Evidence):
    example = choose_examples(evidence, METRIC, 4)[0]
    items = evidence.items.set_index("item_id").title
    events = evidence.events[evidence.events.user_id == example.user_id]
    later = set(items[events[events.part == "test"].item_id])
    shown = [entry for entries in example.lists for entry in entries.items]
    assert {title for title, hit in shown if hit} == {title for title, _ in shown} & later


def test_what_came_next_names_the_contenders_that_foresaw_it(evidence: Evidence):
    example = choose_examples(evidence, METRIC, 4)[0]
    for later in example.later:
        holding = {list_.model for list_ in example.lists if later.title in dict(list_.items)}
        assert set(later.found_by) == holding
    assert any(later.found_by for later in example.later)


def test_every_hit_is_among_what_is_shown_to_have_come_next(evidence: Evidence):
    for example in choose_examples(evidence, METRIC, 4):
        hits = {title for list_ in example.lists for title, hit in list_.items if hit}
        assert hits == {later.title for later in example.later if later.found_by}
        assert [later.place for later in example.later] == sorted(later.place for later in example.later)


def test_models_whose_lists_are_not_shown_have_their_hits_counted(evidence: Evidence):
    example = choose_examples(evidence, METRIC, 4)[0]
    assert list(example.others) == [n for n in evidence.models if n not in ("mf", "softmax")]
    events = evidence.events[(evidence.events.user_id == example.user_id) & (evidence.events.part == "test")]
    for model, hits in example.others.items():
        lists = evidence.models[model].lists
        top = lists[(lists.user_id == example.user_id) & (lists["rank"] <= 10)].item_id
        assert hits == len(set(top) & set(events.item_id))


def test_the_history_is_shown_latest_first(evidence: Evidence):
    example = choose_examples(evidence, METRIC, 4)[0]
    events = evidence.events[(evidence.events.user_id == example.user_id) & (evidence.events.part != "test")]
    latest = events.sort_values("position").item_id.iloc[-1]
    assert example.history[0] == evidence.items.set_index("item_id").title[latest]
    assert example.num_history == len(events)


def test_features_are_said_in_words(evidence: Evidence):
    assert choose_examples(evidence, METRIC, 1)[0].about.startswith("age ")


def test_a_feature_that_is_not_known_is_not_said(evidence: Evidence):
    unknown = replace(evidence, users=evidence.users.assign(gender=""))
    assert choose_examples(unknown, METRIC, 1)[0].about.endswith(", occupation writer")
    assert "gender" not in choose_examples(unknown, METRIC, 1)[0].about


def test_an_item_without_a_title_is_shown_by_its_id(evidence: Evidence):
    nameless = replace(evidence, items=evidence.items.assign(title=None))
    shown = choose_examples(nameless, METRIC, 1)[0].lists[0].items
    assert all(title.startswith("item ") for title, _ in shown)


def test_without_new_users_the_others_are_shown(evidence: Evidence):
    models = {name: replace(model, new_users=model.new_users.iloc[:0]) for name, model in evidence.models.items()}
    shown = choose_examples(replace(evidence, models=models), METRIC, 4)
    assert len(shown) == 4
    assert not any("new user" in example.reason for example in shown)


def test_an_id_is_shown_only_if_asked_for(evidence: Evidence):
    shown, hidden = choose_examples(evidence, METRIC, 4, show_ids=True), choose_examples(evidence, METRIC, 4)
    assert [example.name for example in shown] == [f"user {example.user_id}" for example in shown]
    assert all(re.fullmatch(r"user [0-9a-f]{6}", example.name) for example in hidden)
    assert len({example.name for example in hidden}) == 4
    assert [example.name for example in choose_examples(evidence, METRIC, 4)] == [example.name for example in hidden]


def test_no_gain_is_named_that_a_contender_has_not(evidence: Evidence):
    models = dict(evidence.models)
    users = models["softmax"].users
    models["softmax"] = replace(models["softmax"], users=users.assign(**{METRIC: models["mf"].users[METRIC] - 0.1}))
    reasons = [example.reason for example in choose_examples(replace(evidence, models=models), METRIC, 6)]
    assert "where MF gains most on the softmax DNN" in reasons
    assert not any("the softmax DNN gains" in reason for reason in reasons)
