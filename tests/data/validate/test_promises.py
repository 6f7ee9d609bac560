from typing import get_args

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import bakeoff.data.split.split_invariants
from bakeoff.data.engine.engine import Partitioned
from bakeoff.data.params import SplitParams
from bakeoff.data.split.methods import METHODS as SPECS
from bakeoff.data.split.methods import method_of

# Three users, items a to e in the order of time; v is held out.
KEPT = [
    ("u", "a", 10, 0, "train"),
    ("u", "b", 20, 1, "train"),
    ("u", "c", 30, 2, "valid"),
    ("u", "d", 40, 3, "test"),
    ("w", "b", 11, 0, "train"),
    ("w", "c", 31, 1, "valid"),
    ("w", "e", 41, 2, "test"),
    ("v", "a", 12, 0, "new_history"),
    ("v", "d", 42, 1, "new_test"),
]
METHODS = list(SPECS)
DISJOINT = "No pair of user and item lies in two parts"
KNOWN_USERS = "The user of every event is in the vocabulary"
KNOWN_ITEMS = "The item of every event is in the vocabulary"
HELD_OUT = "No new user has an event in train, validation or test"
TRAINED = "Every user with test events has train events"
ONE_TEST = "No user has more than one test event"
ORDER = "In every user's history train comes first, then validation, then test"


def frame(rows):
    columns = ["user_id", "item_id", "timestamp", "position", "part"]
    return pd.DataFrame(rows, columns=columns).astype({"timestamp": "int64", "position": "int32"})


def check_promises(events, *, method, user_ids, item_ids, pieces=((),)):
    """Of a data frame in memory, in its order; `pieces`: whose events are judged together, () for everyone's."""
    tables = (
        events.reset_index(drop=True),
        pd.DataFrame({"user_id": [*user_ids]}),
        pd.DataFrame({"item_id": [*item_ids]}),
    )
    rows, users, items = (ibis.memtable(pa.Table.from_pandas(table, preserve_index=False)) for table in tables)
    rows = ibis.memtable(rows.to_pyarrow().append_column("key", pa.array(range(len(events)), pa.int64())))
    text = dict.fromkeys(("user_id", "item_id", "part"), "string")
    whole = rows.cast(text)
    return bakeoff.data.split.split_invariants.check_promises(
        Partitioned(tuple(whole.filter(whole.user_id.isin([*piece])) if piece else whole for piece in pieces), whole),
        method=method,
        users=users,
        items=items,
    )


def broken(rows, method="random", users="uvw", items="abcde"):
    promises = check_promises(frame(rows), method=method, user_ids=users, item_ids=items)
    return {p.promise: (p.unexpected, p.examples) for p in promises if not p.success}


@pytest.mark.parametrize("method", METHODS)
def test_a_correct_split_keeps_every_promise(method):
    assert broken(KEPT, method) == {}


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_split_keeps_every_promise(method):
    assert broken([], method) == {}


def test_a_pair_in_two_parts_is_counted_once_and_named():
    rows = [*KEPT, ("u", "a", 50, 4, "test")]
    assert broken(rows) == {DISJOINT: (1, ("user 'u', item 'a', timestamp 10, in train",))}


def test_a_pair_that_is_repeated_within_a_part_is_in_one_part():
    assert broken([*KEPT, ("u", "a", 15, 4, "train")]) == {}


def test_unknown_users_and_items_are_counted_by_event():
    found = broken(KEPT, users="uv", items="abcd")
    assert {promise: count for promise, (count, _) in found.items()} == {KNOWN_USERS: 3, KNOWN_ITEMS: 1}


def test_a_new_user_with_a_train_event_is_not_held_out():
    found = broken([*KEPT, ("v", "b", 5, 2, "train")])
    assert {promise: count for promise, (count, _) in found.items()} == {HELD_OUT: 1}


def test_a_user_that_is_tested_but_not_trained_on_is_counted_once():
    rows = [*KEPT, ("x", "a", 40, 0, "test"), ("x", "b", 41, 1, "test")]
    found = broken(rows, users="uvwx")
    assert found == {TRAINED: (1, ("user 'x', item 'a', timestamp 40, in test",))}


@pytest.mark.parametrize("method", ["user-temporal", "leave-last-out"])
@pytest.mark.parametrize(
    ("row", "timestamp"),
    [(3, 29), (2, 19), (8, 11)],
    ids=["test before valid", "valid before train", "new test before new history"],
)
def test_an_event_that_is_older_than_an_earlier_part_of_its_user_breaks_time(method, row, timestamp):
    rows = list(KEPT)
    user, item, _, position, part = rows[row]
    rows[row] = (user, item, timestamp, position, part)
    ((promise, (count, examples)),) = broken(rows, method).items()
    assert "older than a train or validation event of its user" in promise
    assert count == 1
    assert examples == (f"user {user!r}, item {item!r}, timestamp {timestamp}, in {part}",)


@pytest.mark.parametrize("method", METHODS)
def test_equal_timestamps_are_in_order(method):
    assert broken([(*row[:2], 7, *row[3:]) for row in KEPT], method) == {}


def test_a_user_may_be_tested_before_another_is_trained_unless_the_cut_is_for_all():
    rows = [*KEPT, ("x", "a", 100, 0, "train"), ("x", "b", 101, 1, "test")]
    assert broken(rows, "user-temporal", users="uvwx") == {}
    ((promise, (count, _)),) = broken(rows, "global-temporal", users="uvwx").items()
    assert "whosever it is" in promise
    # older than the train event at 100: valid events at 30 and 31, tests at 40 and 41, the new one at 42
    assert count == 5


def test_histories_of_new_users_do_not_bound_tests_of_others():
    rows = [*KEPT, ("v", "e", 60, 1, "new_history")]
    rows[8] = ("v", "d", 61, 2, "new_test")
    assert broken(rows, "global-temporal") == {}


def test_positions_show_disorder_where_timestamps_are_equal():
    rows = [(*row[:2], 7, *row[3:]) for row in KEPT]
    rows[3] = ("u", "d", 7, 1, "test")
    rows[1] = ("u", "b", 7, 3, "train")
    # the test event at 1 and the valid event at 2 stand before the train event at 3
    assert broken(rows, "user-temporal")[ORDER][0] == 2
    assert broken(rows, "random") == {}


def test_two_parts_of_a_user_cannot_share_a_position():
    rows = [(*row[:2], 7, *row[3:]) for row in KEPT]
    rows[3] = ("u", "d", 7, 2, "test")
    assert broken(rows, "user-temporal")[ORDER][0] == 1


def test_leave_last_out_has_one_test_event_per_user():
    rows = [*KEPT, ("u", "e", 50, 4, "test")]
    assert broken(rows, "leave-last-out")[ONE_TEST][0] == 1
    assert broken(rows, "user-temporal") == {}


def test_at_most_three_examples_are_given():
    rows = [(f"x{i}", "a", 1, 0, "train") for i in range(9)]
    count, examples = broken(rows)[KNOWN_USERS]
    assert (count, len(examples)) == (9, 3)


def test_the_index_of_the_events_does_not_matter():
    events = frame([*KEPT, ("z", "a", 1, 0, "train")]).set_index(pd.Index([5] * 10))
    promises = check_promises(events, method="random", user_ids="uvw", item_ids="abcde")
    assert [p.examples for p in promises if not p.success] == [("user 'z', item 'a', timestamp 1, in train",)]


# One order for each user or one of all, with and without one test event: others promise nothing more.
@pytest.mark.parametrize("method", ["global-temporal", "leave-last-out"])
def test_users_that_are_judged_one_after_the_other_are_judged_as_all_together(method):
    rows = [
        *KEPT,
        ("u", "a", 50, 4, "test"),
        ("w", "z", 5, 3, "test"),
        ("x", "a", 7, 0, "test"),
        ("v", "b", 8, 2, "train"),
    ]
    arguments = {"method": method, "user_ids": "uvw", "item_ids": "abcde"}
    whole = check_promises(frame(rows), **arguments)
    assert check_promises(frame(rows), **arguments, pieces=("uw", "vxo")) == whole
    assert [promise.success for promise in whole[:5]] == [False] * 5


def test_events_of_several_row_groups_are_checked():
    """DuckDB works on groups of 122,880 rows, side by side."""
    rng = np.random.default_rng(0)
    num_users, per_user = 5_000, 50
    users = np.repeat(np.arange(num_users), per_user)
    position = np.tile(np.arange(per_user), num_users)
    items = (position * 37 + users) % 5_000
    events = pd.DataFrame(
        {
            "user_id": users.astype(str),
            "item_id": items.astype(str),
            "timestamp": position * 100 + rng.integers(0, 100, len(users)),
            "position": position.astype("int32"),
            "part": np.where(position < 35, "train", np.where(position < 40, "valid", "test")),
        }
    )
    events.loc[0, "timestamp"] = 10**6
    known_users = [str(user) for user in range(num_users)]
    promises = check_promises(
        events, method="user-temporal", user_ids=known_users, item_ids=[str(item) for item in range(5_000)]
    )
    # the first user's oldest train event is now newer than all of its 5 validation and 10 test events
    assert [p.unexpected for p in promises if not p.success] == [15]


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="'holdout'"):
        check_promises(frame([("u", "a", 1, 0, "holdout")]), method="random", user_ids="u", item_ids="a")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_weakness(method):
    assert method_of(method).weakness.endswith(".")
    assert method_of(method).label


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'by-luck'"):
        method_of("by-luck")
    with pytest.raises(ValueError, match="'by-luck'"):
        check_promises(frame(KEPT), method="by-luck", user_ids="u", item_ids="a")


def test_the_parameters_name_every_method():
    assert get_args(SplitParams.model_fields["method"].annotation) == tuple(SPECS)
