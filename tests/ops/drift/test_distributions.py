import numpy as np
import pandas as pd
import pytest
from frames import snapshot_of

from bakeoff.data.params import DataParams
from bakeoff.ops.drift.distributions import MAX_VALUES, MISSING, OTHERS, UNSEEN, features

DATA = DataParams(
    dataset="shop",
    user_features={"age": "dense", "country": "categorical"},
    item_features={"tags": "tags", "title": "text"},
)


def snapshot(ages=(), countries=("DE",), tags=("a",), events=(("1", "x"),), **columns):
    interactions = pd.DataFrame(list(events), columns=["user_id", "item_id"]).assign(**({"timestamp": 0} | columns))
    number = max(len(ages), len(countries))
    users = pd.DataFrame({"user_id": [str(n) for n in range(number)]})
    kind = object if any(isinstance(age, str) for age in ages) else np.float64
    users["age"] = np.resize(np.array(ages or [30.0], kind), number)
    users["country"] = list(np.resize(np.array(countries, object), number))
    items = pd.DataFrame({"item_id": [str(n) for n in range(len(tags))], "title": "T", "tags": list(tags)})
    return snapshot_of(interactions, users, items)


def one(label, before, now, bins=10):
    found, _ = features(before, now, DATA, bins)
    [feature] = [feature for feature in found if feature.label == label]
    return feature


def shares(feature, side="now"):
    return dict(zip(feature.bins, getattr(feature, side).round(4).tolist(), strict=True))


def test_a_dense_feature_falls_into_quantiles_of_the_reference():
    # 100 ages 0…99, four bins: edges 24, 49, 74 are the ages that 25, 50 and 75 % reach
    feature = one("age of the users", snapshot(ages=list(range(100))), snapshot(ages=[10.0, 24.0, 200.0, np.nan]), 4)
    assert list(feature.bins) == ["< 24", "24 – 49", "49 – 74", "≥ 74", MISSING]
    assert shares(feature, "before") == {"< 24": 0.24, "24 – 49": 0.25, "49 – 74": 0.25, "≥ 74": 0.26, MISSING: 0.0}
    assert shares(feature) == {"< 24": 0.25, "24 – 49": 0.25, "49 – 74": 0.0, "≥ 74": 0.25, MISSING: 0.25}


def test_a_smallest_value_that_most_have_gets_a_bin_of_its_own():
    # 100 items, four bins: 80 of them have one event, so that the smallest count reaches 25, 50 and 75 %
    events = [("1", f"i{n}") for n in range(100)] + [("2", f"i{n}") for n in range(20) for _ in range(n % 6 + 1)]
    feature = one("events per item", snapshot(events=events), snapshot(events=[("1", "i0"), ("2", "i0")]), 4)
    assert shares(feature, "before") == {"< 2": 0.8, "≥ 2": 0.2, MISSING: 0.0}
    assert shares(feature) == {"< 2": 0.0, "≥ 2": 1.0, MISSING: 0.0}


def test_a_dense_feature_of_few_values_has_a_bin_for_each():
    feature = one("age of the users", snapshot(ages=[4.0, 4.0, 5.0]), snapshot(ages=[5.0, 6.0]))
    assert shares(feature) == {"4": 0.0, "5": 0.5, UNSEEN: 0.5, MISSING: 0.0}


def test_a_constant_that_becomes_another_constant_is_seen():
    feature = one("age of the users", snapshot(ages=[4.0] * 9), snapshot(ages=[5.0] * 9))
    assert shares(feature) == {"4": 0.0, UNSEEN: 1.0, MISSING: 0.0}


def test_values_come_most_frequent_first_and_rare_ones_share_a_bin():
    many = [f"c{n:02}" for n in range(MAX_VALUES + 5)]
    feature = one("country of the users", snapshot(countries=["z", "z", *many]), snapshot(countries=["z", None, "new"]))
    assert feature.bins[0] == "z"
    assert len(feature.bins) == MAX_VALUES + 3
    assert shares(feature, "before")[OTHERS] == round(6 / 27, 4)  # 26 values, of which 20 have bins of their own
    assert shares(feature)[UNSEEN] == shares(feature)[MISSING] == pytest.approx(1 / 3, abs=1e-4)


def test_a_list_of_tags_counts_once_per_tag():
    feature = one("tags of the items", snapshot(tags=["a|b", "a", ""]), snapshot(tags=["b|c", None]))
    assert shares(feature, "before") == {"a": 0.5, "b": 0.25, UNSEEN: 0.0, MISSING: 0.25}
    assert shares(feature) == {"a": 0.0, "b": 0.3333, UNSEEN: 0.3333, MISSING: 0.3333}


def test_events_are_counted_per_user_and_item_and_by_the_popularity_of_their_item():
    before = [("1", f"i{n}") for n in range(10)] + [("2", "i0")] * 10
    found = one("events by item popularity", snapshot(events=before), snapshot(events=[("1", "i0"), ("1", "new")]))
    assert shares(found)["the top 1 %"] == shares(found)[UNSEEN] == 0.5
    assert shares(one("events per user", snapshot(events=before), snapshot(events=before[:10])))["10"] == 1.0


def test_an_empty_bin_of_the_reference_counts_as_half_a_value():
    feature = one("country of the users", snapshot(countries=["a"] * 200), snapshot())
    assert feature.weights.tolist() == pytest.approx([1 - 1 / 200, 0.5 / 200, 0.5 / 200])


def test_all_empty_bins_together_weigh_a_hundredth_at_most():
    feature = one("country of the users", snapshot(countries=["a"] * 3), snapshot())
    assert feature.weights.tolist() == pytest.approx([0.99, 0.005, 0.005])


def test_texts_are_not_compared_and_a_column_of_one_version_alone_is_noted():
    found, notes = features(snapshot(), snapshot(rating=4.0), DATA, 10)
    assert not [feature for feature in found if feature.column in ("title", "rating")]
    assert notes == ["interactions.rating is not compared: only one of the two versions has it."]


def test_numbers_are_not_compared_with_texts_and_it_is_noted():
    texts, numbers = snapshot(ages=["25-34", "30"]), snapshot(ages=["25", "30"])
    for before, now in ((texts, snapshot(ages=[30.0])), (snapshot(ages=[30.0]), texts)):
        found, notes = features(before, now, DATA, 10)
        assert "age" not in [feature.column for feature in found]
        assert notes == ["users.age is not compared: one of the two versions has values that are no numbers."]
    assert shares(one("age of the users", numbers, snapshot(ages=[30.0])))["30"] == 1.0


def test_kinds_and_weights_of_events_are_compared_where_there_are_any():
    four = [("1", "a"), ("1", "b"), ("2", "a"), ("2", "b")]
    before = snapshot(events=four, event=["view", "view", "view", "buy"], weight=[1.0, 1.0, 1.0, 2.0])
    now = snapshot(events=four, event=["view", "buy", "buy", "hide"], weight=[1.0, 2.0, 2.0, 2.0])
    kinds = one("kinds of events", before, now)
    assert shares(kinds, "before") == {"view": 0.75, "buy": 0.25, UNSEEN: 0.0, MISSING: 0.0}
    assert shares(kinds) == {"view": 0.25, "buy": 0.5, UNSEEN: 0.25, MISSING: 0.0}
    assert shares(one("weights of events", before, now))["2"] == 0.75


def test_days_are_those_of_utc_and_none_where_events_have_no_time():
    timed = snapshot(events=[("1", "a")] * 3, timestamp=[86_399, 86_400, 86_401])
    assert timed.days.to_dict() == {0: 1, 1: 2}
    assert snapshot().days.empty
