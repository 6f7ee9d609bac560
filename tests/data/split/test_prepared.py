import json
import mmap

import numpy as np
import pandas as pd
import pytest
from hand_made_split import complete

from bakeoff.core import large_tables as keeping
from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_held_out, load_prepared

ENCODING = {
    "user": {"dense": {"age": {"mean": 20, "std": 10}}, "categorical": {"job": ["baker", "nurse"]}},
    "item": {"dense": {}, "categorical": {}, "tags": {"genres": ["Comedy", "Drama"]}},
}


@pytest.fixture
def workspace(tmp_path):
    """Two warm users (9 and 10), one new one (5), three items of which c has no event."""
    workspace = Workspace(tmp_path)
    workspace.vocabulary.mkdir(parents=True)
    users = {"user_id": ["9", "10", "5"], "is_new": [False, False, True], "age": [30.0, None, 10.0]}
    items = {"item_id": ["a", "b", "c"], "title": ["A", "B", "C"], "genres": ["Drama", None, "Comedy|Drama"]}
    files = {
        "vocabulary/users": {"user_index": [0, 1, 2]} | users | {"job": ["nurse", "baker", "pilot"]},
        "vocabulary/items": {"item_index": [0, 1, 2]} | items,
        "train": events([("9", "b", 4), ("10", "a", 1)]),
        "valid": events([("9", "a", 3)]),
        "test": events([("9", "c", 9)]),
        "new_users": events([("5", "c", 1), ("5", "a", 2), ("5", "b", 3)]) | {"part": ["history", "history", "test"]},
    }
    for name, columns in files.items():
        pd.DataFrame(columns).to_parquet(workspace.split / f"{name}.parquet")
    (workspace.vocabulary / "features.json").write_text(json.dumps(ENCODING))
    complete(workspace)
    return workspace


def events(rows):
    user_ids, item_ids, timestamps = zip(*rows, strict=True)
    return {"user_id": user_ids, "item_id": item_ids, "timestamp": timestamps}


def by_row(histories):
    return [part.tolist() for part in np.split(histories.items, histories.offsets[1:-1])]


def test_rows_of_all_histories_are_user_indices_over_all_users(workspace):
    prepared = load_prepared(workspace)
    assert by_row(prepared.train) == [[1], [0], []]
    assert by_row(prepared.valid) == [[0], [], []]
    held_out = load_held_out(workspace, prepared)
    assert by_row(held_out.test) == [[2], [], []]
    assert by_row(held_out.new_history) == [[], [], [2, 0]]
    assert by_row(held_out.new_test) == [[], [], [1]]


def test_training_never_opens_what_is_held_out(workspace):
    for name in ("test", "new_users"):
        (workspace.split / f"{name}.parquet").unlink()
    assert by_row(load_prepared(workspace).train) == [[1], [0], []]


@pytest.mark.parametrize(
    "name",
    ["train.parquet", "vocabulary/users.parquet", "vocabulary/item_features.parquet", "vocabulary/features.json"],
)
def test_a_damaged_file_is_named_with_the_way_out(workspace, name):
    (workspace.split / name).write_bytes(b"damaged")
    with pytest.raises(BakeoffError, match=rf"{name}.* can't be read .*dvc repro --force split"):
        load_prepared(workspace)


def test_the_numbers_of_users_and_items_are_those_of_the_vocabulary(workspace):
    prepared = load_prepared(workspace)
    assert (prepared.num_users, prepared.num_warm_users, prepared.num_items) == (3, 2, 3)


def test_known_is_train_and_validation_in_time_order(workspace):
    known = load_prepared(workspace).known()
    assert by_row(known) == [[0, 1], [0], []]
    assert known.timestamps.tolist() == [3, 4, 1]


def test_features_are_encoded_for_all_users_and_items(workspace):
    prepared = load_prepared(workspace)
    assert prepared.user_features.dense.tolist() == [[1.0], [0.0], [-1.0]]
    assert prepared.user_features.categorical.tolist() == [[2], [1], [0]]
    assert prepared.item_features.tag_sets[0].toarray().tolist() == [[False, True], [False, False], [True, True]]


def test_queries_join_the_histories_with_the_features_of_the_same_users(workspace):
    prepared = load_prepared(workspace)
    queries = prepared.queries(load_held_out(workspace, prepared).new_history, np.array([2, 0]))
    assert by_row(queries.histories) == [[2, 0], []]
    assert queries.dense.tolist() == [[-1.0], [1.0]]
    assert queries.categorical.tolist() == [[0], [2]]


def test_someone_who_is_not_in_the_split_can_be_encoded(workspace):
    dense, categorical = load_prepared(workspace).encoding.user.encode_user({"age": "40", "job": "nurse"})
    assert (dense.tolist(), categorical.tolist()) == ([[2.0]], [[2]])


@pytest.mark.parametrize(
    "name",
    ["train.parquet", "vocabulary/users.parquet", "vocabulary/item_features.parquet", "vocabulary/features.json"],
)
def test_a_missing_file_says_which_stage_makes_it(workspace, name):
    (workspace.split / name).unlink()
    with pytest.raises(BakeoffError, match=rf"{name} is missing: run `bakeoff split`"):
        load_prepared(workspace)


def test_a_table_without_parts_is_missing(workspace):
    path = workspace.vocabulary / "users.parquet"
    path.unlink()
    path.mkdir()
    with pytest.raises(BakeoffError, match=r"users\.parquet is missing: run `bakeoff split`"):
        load_prepared(workspace)


@pytest.mark.parametrize("name", ["user", "item"])
def test_features_of_another_number_of_users_or_items_are_refused(workspace, name):
    path = workspace.vocabulary / f"{name}_features.parquet"
    pd.read_parquet(path)[:2].to_parquet(path)
    with pytest.raises(
        BakeoffError, match=rf"{name}_features\.parquet has 2 rows, and there are 3 {name}s.*--force split"
    ):
        load_prepared(workspace)


def test_features_that_the_encoding_does_not_name_are_missing(workspace):
    path = workspace.vocabulary / "user_features.parquet"
    pd.read_parquet(path).drop(columns="job").to_parquet(path)
    with pytest.raises(
        BakeoffError, match=r"user_features.* has no column job, another version wrote it.*--force split"
    ):
        load_prepared(workspace)


def test_users_of_an_item_count_once_however_often_they_had_it(workspace):
    train = events([("9", "b", 4), ("9", "b", 5), ("9", "a", 6), ("10", "b", 1)])
    repeats = {"is_repeat": [False, True, False, False]}
    pd.DataFrame(train | repeats).to_parquet(workspace.split / "train.parquet")
    complete(workspace)
    prepared = load_prepared(workspace)
    assert prepared.train_counts.tolist() == [1, 3, 0]
    assert prepared.train_users.tolist() == [1, 2, 0]


def test_what_is_large_is_mapped_and_the_same(workspace, monkeypatch):
    few = load_prepared(workspace)
    monkeypatch.setattr(keeping, "MAX_IN_MEMORY", 0)
    many = load_prepared(workspace)
    assert isinstance(many.user_features.dense.base.base.obj, mmap.mmap)
    for name in ("users", "items"):
        assert getattr(many, name).equals(getattr(few, name))
    for ours, theirs in ((many.user_features, few.user_features), (many.item_features, few.item_features)):
        np.testing.assert_array_equal(ours.dense, theirs.dense)
        np.testing.assert_array_equal(ours.categorical, theirs.categorical)
        assert [tags.toarray().tolist() for tags in ours.tag_sets] == [
            tags.toarray().tolist() for tags in theirs.tag_sets
        ]
    assert many.user_ids(np.array([2, 0])).to_pylist() == ["5", "9"]
    assert many.item_ids.to_pylist() == ["a", "b", "c"]
    assert {path.name for path in workspace.split.parent.iterdir()} == {"split"}
