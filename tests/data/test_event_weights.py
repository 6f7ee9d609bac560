"""Kinds of events and weights: from a team's columns to what each event counts in training."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import PAD, Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.canonical_tables import save_csv
from bakeoff.data.fetch.own import read_files
from bakeoff.data.fetch.parts import complete
from bakeoff.data.params import DataParams
from bakeoff.data.prepared.split_files import kept
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.params import Params
from bakeoff.stages import split, validate

KINDS = {"view": 1, "cart": 3, "buy": 10, "refund": 0}
DISLIKED = KINDS | {"hide": -2}
COLUMNS = {"event": "what happened", "weight": "worth"}


@pytest.fixture(scope="module", autouse=True)
def _without_docs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validate, "_write_docs", lambda *_: None)
        yield


def workspace_of(root, rows, columns=COLUMNS, **data):
    """Rows of user, item, time, kind and weight, fetched as a team's own file; and the parameters."""
    params = Params.model_validate(
        {
            "data": {"columns": columns, "event_weights": KINDS, **data},
            "split": {"new_user_share": 0, "test_share": 0.25, "valid_share": 0.25},
            "validation": {"earliest": "1970-01-01", "max_quarantine_share": 0.9},
        }
    )
    workspace = Workspace(root)
    workspace.data.mkdir()
    lines = ["user_id,item_id,timestamp,what happened,worth", *(",".join(map(str, row)) for row in rows)]
    (root / "own.csv").write_text("\n".join(lines) + "\n")
    tables = complete(read_files({"interactions": root / "own.csv"}, params.data), params.data, "own")
    for name, table in tables.items():
        save_csv(table, workspace.data / f"{name}.csv")
    return workspace, params


ROWS = [
    *(("u", item, place, kind, weight) for place, (item, kind, weight) in enumerate(
        [("a", "view", 1), ("b", "buy", 0.5), ("c", "cart", 2), ("d", "view", 1), ("e", "refund", 1)], 1
    )),
    *(("v", item, place, "buy", 1) for place, item in enumerate("abcd", 1)),
]  # fmt: skip


@pytest.fixture(scope="module")
def weighed(tmp_path_factory):
    """ROWS with both columns, split; kinds below zero have a weight, and there are none."""
    return prepared_of(tmp_path_factory.mktemp("weighed"), ROWS, event_weights=DISLIKED)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """ROWS without both columns, split."""
    return prepared_of(tmp_path_factory.mktemp("plain"), ROWS, {}, event_weights={})


def prepared_of(*arguments, **options):
    """The workspace after validation and split."""
    workspace, params = workspace_of(*arguments, **options)
    validate.run(params, workspace)
    split.run(params, workspace)
    return workspace


def test_the_weight_of_an_event_is_that_of_its_kind_times_its_own(weighed):
    prepared = load_prepared(weighed)
    # u: a (view, 1) and b (buy, 10 · 0.5) are train, c (cart, 3 · 2) is valid, d is test; the refund counts nothing.
    assert prepared.train.weights.tolist() == [1, 5, 10, 10]
    assert prepared.valid.weights.tolist() == [6, 10]
    assert prepared.known().weights.tolist() == [1, 5, 6, 10, 10, 10]
    assert prepared.known_of(np.array([1, 0])).weights.tolist() == [10, 10, 10, 1, 5, 6]
    assert [prepared.item_ids[item].as_py() for item in load_held_out(weighed, prepared).test.items] == ["d", "d"]
    report = json.loads(weighed.split_report.read_text())
    assert report["dropped"]["without_weight"] == 1
    assert "1 events are of a kind that counts nothing" in report["notes"][0]


def test_a_column_of_weights_alone_will_do(tmp_path):
    rows = [row for row in ROWS if row[3] != "refund"]
    workspace = prepared_of(tmp_path, rows, {"weight": "worth"}, event_weights={})
    assert load_prepared(workspace).train.weights.tolist() == [1, 0.5, 1, 1]


def test_without_these_columns_nothing_is_written_of_weights(plain):
    assert "weight" not in pq.read_schema(plain.split / "train.parquet").names
    assert load_prepared(plain).train.weights is None
    assert "without_weight" not in json.loads(plain.split_report.read_text())["dropped"]


def test_kinds_without_a_weight_are_named_with_the_fix(tmp_path):
    strange = [("u", "a", 9, "share", 1), ("u", "b", 9, "share", 1), ("v", "a", 9, "like", 1)]
    workspace, params = workspace_of(tmp_path, [*ROWS, *strange])
    validate.run(params, workspace)
    fix = (
        r"no weight for events of kind 'share' \(2 events\), 'like' \(1 events\): add each.*0 to leave.*\{'share': 1\}"
    )
    with pytest.raises(BakeoffError, match=fix):
        split.run(params, workspace)


def test_a_file_that_was_fetched_before_the_column_was_named_is_fetched_again(plain):
    named = Params.model_validate({"data": {"columns": {"weight": "worth"}}})
    with pytest.raises(BakeoffError, match=r"data.columns.weight is 'worth'.*no weight: fetch the data again"):
        split.run(named, plain)


def test_rows_without_a_kind_or_with_a_weight_that_is_none_go_to_quarantine(tmp_path):
    bad = [
        ("u", "a", 7, "", 1),
        ("u", "b", 7, "view", 0),
        ("u", "c", 7, "view", "much"),
        ("v", "a", 7, "view", -1),
        ("v", "b", 7, "view", 1e99),
    ]
    workspace, params = workspace_of(tmp_path, [*ROWS, *bad])
    validate.run(params, workspace)
    reasons = pq.read_table(workspace.quarantine / "interactions.parquet")["reason"].to_pylist()
    out = "weight is not a number from 0.000001 to 1,000,000"
    assert reasons == ["event is empty", out, "weight is not a number", out, out]


def test_two_kinds_in_the_same_second_are_two_events_of_which_the_heavier_counts(tmp_path):
    both = [("u", "x", 0, "view", 1), ("u", "x", 0, "buy", 1), ("u", "x", 0, "buy", 1)]
    workspace = prepared_of(tmp_path, [*ROWS, *both], {"event": "what happened"})  # which alone will do
    assert pq.read_table(workspace.quarantine / "interactions.parquet").num_rows == 1
    # u: x (buy), a (view) and b (buy) are train; v: a and b (buy).
    assert load_prepared(workspace).train.weights.tolist() == [10, 1, 10, 10, 10]


def test_weights_of_kinds_need_a_column_of_kinds():
    with pytest.raises(ValidationError, match=r"columns.event is null: name the column"):
        DataParams(event_weights={"view": 1})
    with pytest.raises(ValidationError, match=r"less than or equal to 1000000"):
        DataParams(event_weights={"view": 1e7}, columns={"event": "kind"})


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=6), st.randoms())
def test_each_event_keeps_its_weight(rows, random):
    lengths = [len(row) for row in rows]
    items = np.array([item for row in rows for item in row], np.int32)
    times = np.array([random.randrange(5) for _ in items], np.int64)
    users = np.repeat(np.arange(len(rows)), lengths)
    order = np.lexsort((times, users))
    # The weight says which item it is, whatever is done to the histories.
    events = Histories.from_rows(users[order], items[order], times[order], len(rows), items[order] + np.float32(0.5))
    numbers = np.where(np.arange(10) == 3, PAD, np.arange(10)).astype(np.int32)
    some = np.array([random.randrange(len(rows)) for _ in range(4)])
    parts = [events.take(some), events.part(0, 1), events.last(2), events.windows(2), events.renumbered(numbers)]
    found = [*parts, events.merged(events), Histories.joined(block for _, block in events.blocks(2))]
    for each in found:
        assert each.weights.tolist() == (each.items + 0.5).tolist()
    assert events.merged(replace(events, weights=None)).weights is None


def test_weights_that_are_kept_in_files_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("bakeoff.core.large_tables.MAX_IN_MEMORY", 0)
    events = Histories.from_rows(np.array([0, 0, 1]), np.arange(3), np.arange(3), 2, np.array([1, 2, 3], np.float32))
    assert kept((events, events), tmp_path).weights.tolist() == [1, 2, 3, 1, 2, 3]
    assert kept((replace(events, weights=None),), tmp_path).weights is None


def dislikes_of(workspace):
    """User → item → weight."""
    prepared, found = load_prepared(workspace), {}
    for row, item, weight in zip(*(lambda h: (h.rows, h.items, h.weights))(prepared.dislikes), strict=True):
        user = prepared.users["user_id"][int(row)].as_py()
        found.setdefault(user, {})[prepared.item_ids[int(item)].as_py()] = float(weight)
    return found


def test_kinds_below_zero_are_dislikes_up_to_the_last_train_event_and_change_nothing_else(weighed, tmp_path):
    # u's train events are at 1 and 2: what is hidden at 3 is known only later. f is no positive of anybody.
    hidden = [("u", "f", 2, "hide", 1), ("u", "f", 1, "hide", 3), ("u", "d", 1, "hide", 1), ("u", "b", 3, "hide", 1)]
    strangers = [("w", "a", 1, "hide", 1)]
    disliking = prepared_of(tmp_path, [*ROWS, *hidden, *strangers], event_weights=DISLIKED)
    assert dislikes_of(disliking) == {"u": {"f": -6.0, "d": -2.0}}
    assert dislikes_of(weighed) == {}
    for part in ("train", "valid", "test"):
        ours, theirs = (
            pq.read_table(each.split / f"{part}.parquet").drop("item_index") for each in (weighed, disliking)
        )
        assert ours.equals(theirs)
    users = pq.read_table(disliking.vocabulary / "users.parquet")["user_id"].to_pylist()
    assert users == ["u", "v"]  # who only dislikes has no event


def test_low_ratings_are_dislikes_where_the_split_says_so(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.validated.mkdir(parents=True)
    rows = [("u", item, time, rating) for time, (item, rating) in enumerate([("a", 5), ("b", 1), ("c", 4), ("d", 5)])]
    columns = dict(zip(["user_id", "item_id", "timestamp", "rating"], map(list, zip(*rows, strict=True)), strict=True))
    tables = {"interactions": columns, "users": {"user_id": ["u"]}, "items": {"item_id": [*"abcd"], "title": [*"abcd"]}}
    for name, table in tables.items():
        pq.write_table(pa.table(table), workspace.validated / f"{name}.parquet")
    settings = {"min_rating": 4, "test_share": 0.34, "valid_share": 0, "new_user_share": 0}
    split.run(Params.model_validate({"split": settings | {"dislike_weight": 3}}), workspace)
    assert dislikes_of(workspace) == {"u": {"b": -3.0}}
    assert load_prepared(workspace).train.weights is None
    split.run(Params.model_validate({"split": settings}), workspace)
    assert load_prepared(workspace).dislikes is None
    parts = {"a": (5, "train"), "b": (1, "train"), "c": (1, "test"), "d": (5, "test")}
    ratings, held = zip(*parts.values(), strict=True)
    columns |= {"timestamp": [0] * 4, "rating": [*ratings], "split": [*held]}
    pq.write_table(pa.table(columns), workspace.validated / "interactions.parquet")
    given = {"method": "predefined", "min_rating": 4, "dislike_weight": 3, "new_user_share": 0, "valid_share": 0}
    split.run(Params.model_validate({"data": {"columns": {"split": "split"}}, "split": given}), workspace)
    assert dislikes_of(workspace) == {"u": {"b": -3.0}}  # without times nothing but its part says that c is test
    with pytest.raises(ValidationError, match="dislike_weight is 3, but min_rating is null"):
        Params.model_validate({"split": {"dislike_weight": 3}})
