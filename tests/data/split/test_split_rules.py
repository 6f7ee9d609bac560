from hashlib import md5

import ibis
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.data.params import SplitParams
from bakeoff.data.split.methods import Cuts
from bakeoff.data.split.split import assign_parts, check_fits_method, count_dropped, positives

TEMPORAL = ["user-temporal", "global-temporal", "leave-last-out"]


def history(user, count, start=1):
    return [(user, str(item), start + item) for item in range(count)]


def test_ten_events_give_two_test_one_valid_and_seven_train(assign):
    parts = assign(history("u", 10), test_share=0.2, valid_share=0.1)
    assert list(parts.part) == ["train"] * 7 + ["valid"] + ["test"] * 2


@pytest.mark.parametrize("count", [1, 2, 4])
def test_users_with_too_few_events_for_a_share_are_train_only(assign, count):
    # floor(4 · 0.2) = 0
    assert set(assign(history("u", count)).part) == {"train"}


def test_shares_are_taken_as_the_decimals_that_people_write(assign):
    # In binary, 100 · 0.29 is 28.999999999999996.
    parts = assign(history("u", 100), test_share=0.29, valid_share=0.07)
    assert (parts.part == "test").sum() == 29
    assert (parts.part == "valid").sum() == 7


@pytest.mark.parametrize(
    ("user", "item"), [("7", "12"), ("Zoë", "日本"), (" a ", '"b"'), ("a|b", "c"), ("007", "'; drop --")]
)
def test_the_engines_hash_is_pythons_md5(assign, user, item):
    other = "other"
    order = sorted([item, other], key=lambda i: md5(f"5|{user}|{i}".encode()).hexdigest())
    assert list(assign([(user, item, 9), (user, other, 9)], seed=5).item_id) == order


def test_another_seed_gives_another_order_of_equal_timestamps(assign):
    rows = [("u", str(item), 0) for item in range(50)]
    orders = [tuple(assign(rows, seed=seed, method="random").item_id) for seed in (1, 2, 1)]
    assert orders[0] != orders[1]
    assert orders[0] == orders[2]


def test_the_order_of_rows_in_the_input_does_not_matter(assign):
    rows = [(f"u{n % 7}", str(n), n % 3) for n in range(100)]
    assert assign(rows, new_user_share=0.3).equals(assign(rows[::-1], new_user_share=0.3))


def test_global_temporal_makes_users_that_start_after_the_cut_new_ones(assign):
    # 10 events: cuts after 7 and 8. The late user has the last three: one before the test cut, two after it.
    rows = [*history("early", 7), *history("late", 3, start=100)]
    parts = assign(rows, method="global-temporal", test_share=0.2, valid_share=0.1)
    late = parts[parts.user_id == "late"]
    assert list(late.part) == ["new_history", "new_test", "new_test"]
    assert set(parts.part[parts.user_id == "early"]) == {"train"}


def test_events_of_new_users_are_cut_like_those_of_warm_users(assign):
    rows = [event for user in "abcdefghij" for event in history(user, 10)]
    parts = assign(rows, new_user_share=0.3)
    new = parts[parts.part.str.startswith("new_")]
    assert new.user_id.nunique() == 3
    for _, events in new.groupby("user_id"):
        # The validation event belongs to the history.
        assert list(events.part) == ["new_history"] * 8 + ["new_test"] * 2


def test_half_a_user_is_rounded_up_to_a_whole_new_one(assign):
    # 0.1 · 5 = 0.5
    rows = [event for user in "abcde" for event in history(user, 3)]
    parts = assign(rows, new_user_share=0.1)
    assert parts.user_id[parts.part.str.startswith("new_")].nunique() == 1


def test_a_single_user_is_warm(assign):
    assert set(assign(history("only", 10), new_user_share=0.1).part) == {"train", "valid", "test"}


def test_predefined_takes_validation_from_train_where_there_is_none(assign):
    rows = [("u", str(item), 0, "train") for item in range(20)] + [("u", "t", 0, "test")]
    parts = assign(rows, method="predefined", valid_share=0.1)
    chosen = sorted((str(i) for i in range(20)), key=lambda i: md5(f"42|valid|u|{i}".encode()).hexdigest())[:2]
    assert set(parts.item_id[parts.part == "valid"]) == set(chosen)
    assert list(parts.item_id[parts.part == "test"]) == ["t"]


def test_predefined_takes_no_validation_where_there_is_some(assign):
    rows = [("u", str(item), 0, "train") for item in range(20)] + [
        ("v", "a", 0, "train"),
        ("v", "b", 0, "valid"),
    ]
    parts = assign(rows, method="predefined", valid_share=0.5)
    assert list(parts.item_id[parts.part == "valid"]) == ["b"]


def test_predefined_users_with_test_events_only_are_new_ones_without_history(assign):
    rows = [("warm", "a", 0, "train"), ("warm", "b", 0, "test"), ("new", "a", 0, "test")]
    parts = assign(rows, method="predefined")
    assert list(parts.part[parts.user_id == "new"]) == ["new_test"]


def test_a_repeated_pair_counts_once_when_it_first_happened(as_events):
    events = as_events([("u", "a", 9), ("u", "a", 3), ("u", "b", 5), ("v", "a", 7)])
    rows = positives(events, None).order_by("user_id", "item_id").to_pyarrow().to_pylist()
    assert [tuple(row.values()) for row in rows] == [("u", "a", 3), ("u", "b", 5), ("v", "a", 7)]
    assert count_dropped(events, None, positives(events, None)).to_pyarrow().to_pylist() == [
        {"below_min_rating": 0, "repeated": 1}
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_a_pair_in_train_and_test_at_the_same_time_stays_in_train(as_events, order):
    events = as_events([("u", "a", 0, "test"), ("u", "a", 0, "train")][::order])
    assert positives(events, None).to_pyarrow()["split"].to_pylist() == ["train"]


def test_a_pair_whose_test_event_came_before_its_train_event_is_test(as_events):
    events = as_events([("u", "a", 2, "train"), ("u", "a", 1, "test")])
    assert positives(events, None).to_pyarrow()["split"].to_pylist() == ["test"]


def test_only_events_rated_highly_enough_are_positives(as_table):
    columns = {"user_id": list("uuuv"), "item_id": list("abca"), "timestamp": [1, 2, 3, 4]}
    events = as_table(columns | {"rating": [3.0, 4.0, 5.0, None]})
    kept = positives(events, 4).order_by("item_id").to_pyarrow()["item_id"].to_pylist()
    assert kept == ["b", "c"]
    assert count_dropped(events, 4, positives(events, 4)).to_pyarrow().to_pylist() == [
        {"below_min_rating": 2, "repeated": 0}
    ]


def test_a_low_rating_does_not_hide_a_later_high_one(as_table):
    events = as_table({"user_id": ["u", "u"], "item_id": ["a", "a"], "timestamp": [1, 2], "rating": [1.0, 5.0]})
    assert positives(events, 4).to_pyarrow()["timestamp"].to_pylist() == [2]


def test_min_rating_without_ratings_says_what_to_do(as_events):
    with pytest.raises(BakeoffError, match=r"min_rating is 4, but the interactions have no rating.*null"):
        positives(as_events([("u", "a", 1)]), 4)


@pytest.mark.parametrize("method", TEMPORAL)
def test_a_temporal_method_without_timestamps_says_what_to_do(as_events, method):
    with pytest.raises(BakeoffError, match=rf"{method} orders events by time.*random or"):
        check_fits_method(as_events([("u", "a", 0), ("u", "b", 0)]), SplitParams(method=method))
    with pytest.raises(BakeoffError, match=r"one time for all of them \(1700000000\).*random or"):
        check_fits_method(as_events([("u", "a", 1_700_000_000), ("u", "b", 1_700_000_000)]), SplitParams(method=method))


def test_random_needs_no_timestamps(as_events):
    check_fits_method(as_events([("u", "a", 0), ("u", "b", 0)]), SplitParams(method="random"))


def test_predefined_without_a_split_column_says_what_to_do(as_events):
    with pytest.raises(BakeoffError, match=r"no split column.*data\.columns\.split"):
        check_fits_method(as_events([("u", "a", 1)]), SplitParams(method="predefined"))


@pytest.mark.parametrize(("value", "shown"), [("Train", "'Train'"), (None, "''")])
def test_an_unknown_part_in_the_split_column_is_named(as_events, value, shown):
    events = as_events([("u", "a", 1, "train"), ("u", "b", 1, value)])
    with pytest.raises(BakeoffError, match=rf"split column of 1 events holds {shown}.*train, valid, test"):
        check_fits_method(events, SplitParams(method="predefined"))


def test_no_events_at_all_is_an_error(as_events):
    with pytest.raises(BakeoffError, match="No event is left after validation"):
        check_fits_method(as_events([]), SplitParams())


def test_no_event_above_min_rating_names_it(as_events):
    with pytest.raises(BakeoffError, match=r"No event is rated 9\.0 or higher \(split\.min_rating\)"):
        check_fits_method(as_events([]), SplitParams(min_rating=9))


@pytest.mark.parametrize("dialect", ["databricks", "postgres", "snowflake", "mysql"])
@pytest.mark.parametrize("method", [*TEMPORAL, "random", "predefined"])
def test_the_same_expressions_can_be_put_to_other_engines(method, dialect):
    types = {"user_id": "string", "item_id": "string", "timestamp": "int64", "split": "string"}
    events = positives(ibis.table(types, name="interactions"), None)
    first = (9, "0", "u", "a")
    cuts = Cuts(("8", "u"), first, first, has_valid=False)
    sql = ibis.to_sql(assign_parts(events, SplitParams(method=method), 42, cuts), dialect=dialect)
    assert "MD5(" in sql.upper()
