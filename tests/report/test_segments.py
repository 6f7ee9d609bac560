"""Which known users are served worst: planted segments, and data without any."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from bakeoff.report.render import gallery
from bakeoff.report.summary import Summary
from bakeoff.report.verdict import SMALLEST, Segment, segments, weakest

METRIC, NUM_USERS = "ndcg@10", 400
KINDS = {"country": "categorical", "age": "dense"}


@pytest.fixture
def features() -> pd.DataFrame:
    """100 users each of four countries, 20 of a fifth; ages from 20 to 59; one user in ten says neither."""
    rng = np.random.default_rng(1)
    country = np.repeat(["DE", "FR", "IT", "PL"], 100)
    country[:20] = "LI"
    age = rng.permutation(np.resize(np.arange(20.0, 60.0), NUM_USERS))
    found = pd.DataFrame({"user_id": np.arange(NUM_USERS).astype(str), "country": country, "age": age})
    found.loc[::10, "country"] = ""
    found.loc[::10, "age"] = np.nan
    return found


@pytest.fixture
def users() -> pd.DataFrame:
    """Scores between 0.2 and 0.4 that depend on nothing."""
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "user_id": np.arange(NUM_USERS).astype(str),
            "num_history": rng.integers(1, 200, NUM_USERS),
            METRIC: rng.uniform(0.2, 0.4, NUM_USERS),
        }
    )


def found_in(users: pd.DataFrame, features: pd.DataFrame) -> list[Segment]:
    return segments(users, features, KINDS, METRIC, 0.95)


def test_a_segment_that_is_served_worse_is_found_and_compared_with_all_others(users, features):
    inside = (features.country == "IT").to_numpy()
    users.loc[inside, METRIC] -= 0.1
    found = found_in(users, features)
    worst = weakest(found, 0.95)
    assert worst is found[0]
    assert (worst.name, worst.num_users) == ("country: IT", inside.sum())
    assert worst.mean == pytest.approx(users.loc[inside, METRIC].mean())
    assert worst.others == pytest.approx(users.loc[~inside, METRIC].mean())  # those without a country among them
    assert worst.low < -0.1 < worst.high < 0
    assert worst.p < 1e-6


def test_numbers_are_cut_at_their_quartiles(users, features):
    found = found_in(users, features)
    ages = sorted((segment for segment in found if segment.name.startswith("age: ")), key=lambda segment: segment.name)
    ends = [[int(end) for end in segment.name.removeprefix("age: ").split(" to ")] for segment in ages]
    assert (ends[0][0], ends[-1][1]) == (20, 59)
    assert [after[0] - before[1] for before, after in pairwise(ends)] == [1, 1, 1]
    assert sum(segment.num_users for segment in ages) == 360
    assert all(80 <= segment.num_users <= 100 for segment in ages)
    assert sum(segment.name.startswith("known interactions: ") for segment in found) == 4


def test_large_numbers_are_told_apart(users, features):
    features["age"] += 10_000
    ages = [segment.name for segment in found_in(users, features) if segment.name.startswith("age: ")]
    assert {len(name) for name in ages} == {len("age: 10020 to 10029")}
    assert len(set(ages)) == len(ages) == 4


def test_few_users_and_missing_values_are_no_segment(users, features):
    found = found_in(users, features)
    assert {segment.name for segment in found if segment.name.startswith("country")} == {
        "country: DE",
        "country: FR",
        "country: IT",
        "country: PL",
    }
    assert min(segment.num_users for segment in found) >= SMALLEST


def test_without_a_difference_none_is_called_weak(users, features):
    found = found_in(users, features)
    assert len(found) == 12
    assert [segment.mean for segment in found] == sorted(segment.mean for segment in found)
    assert weakest(found, 0.95) is None


def test_a_segment_that_is_served_better_is_not_weak(users, features):
    users.loc[features.country == "IT", METRIC] += 0.2
    found = found_in(users, features)
    assert found[-1].name == "country: IT"
    assert weakest(found[-1:], 0.95) is None


@pytest.mark.parametrize("values", [0.25, np.nan])
def test_where_all_users_are_alike_there_is_nothing_to_compare(users, features, values):
    users[METRIC] = values
    assert found_in(users, features) == []


def test_features_that_the_data_lacks_are_left_out(users, features):
    found = segments(users, features[["user_id"]], KINDS, METRIC, 0.95)
    assert {segment.name.partition(":")[0] for segment in found} == {"known interactions"}


def test_ids_of_users_are_no_segments_though_the_models_read_them_as_a_feature(users, features):
    assert segments(users, features, {"user_id": "categorical", **KINDS}, METRIC, 0.95) == found_in(users, features)


def test_a_feature_may_have_the_name_of_a_column_of_the_evaluation(users, features):
    named = features.rename(columns={"country": "num_history", "age": METRIC})
    found = segments(users, named, {"num_history": "categorical", METRIC: "dense"}, METRIC, 0.95)
    assert {segment.name.partition(":")[0] for segment in found} == {"known interactions", "num_history", METRIC}


def test_a_number_that_most_users_share_is_one_segment(users, features):
    features["age"] = np.where(np.arange(NUM_USERS) < 300, 30.0, 40.0)
    assert {s.name for s in found_in(users, features) if s.name.startswith("age")} == {"age: 30", "age: 40"}


def test_the_sentence_names_the_segment_the_contender_and_both_means(summary: Summary, users, features):
    result = replace(summary.result, softmax=0.1, mf=0.2)
    users.loc[features.country == "IT", METRIC] -= 0.1
    text = gallery.weakest_segment(found_in(users, features), result)
    start = (
        "Of the segments that MF serves worse than the rest, “country: IT” (90 users) has the lowest mean: NDCG@10 0."
    )
    assert text.startswith(start)
    assert "all others 0." in text
    assert text.endswith("(p < 0.001).")


def test_the_sentence_says_that_none_is_shown(summary: Summary, users, features):
    text = gallery.weakest_segment(found_in(users, features), summary.result)
    assert "None of 12 segments of known users is shown to be served worse by" in text
    assert gallery.weakest_segment([], summary.result) == ""
