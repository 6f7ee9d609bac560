import json
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine import engine
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.data.split.split_invariants import Promise
from bakeoff.params import Params
from bakeoff.stages import split

METHODS = ["user-temporal", "global-temporal", "leave-last-out", "random", "predefined"]
FILES = {
    "train.parquet",
    "valid.parquet",
    "test.parquet",
    "new_users.parquet",
    "vocabulary/users.parquet",
    "vocabulary/items.parquet",
    "vocabulary/features.json",
    "vocabulary/user_features.parquet",
    "vocabulary/item_features.parquet",
}
FEATURES = {
    "user_features": {"age": "dense", "job": "categorical"},
    "item_features": {"year": "dense", "genres": "tags"},
}


def params(**split_params):
    return Params(data=FEATURES, split={"new_user_share": 0.2} | split_params)


def tables(seed=0, num_users=20, num_items=30):
    """Validated tables: 20 users with up to 15 events each, few timestamps; the last item has no event."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 16, num_users)
    users = np.repeat(np.arange(num_users), counts)
    items = np.concatenate([rng.choice(num_items - 1, count, replace=False) for count in counts])
    user_ids, item_ids = ([str(n + 1) for n in range(count)] for count in (num_users, num_items))
    interactions = {
        "user_id": [user_ids[user] for user in users],
        "item_id": [item_ids[item] for item in items],
        "timestamp": rng.integers(1, 8, len(users)),
        "rating": rng.integers(1, 6, len(users)).astype(float),
        "split": rng.choice(["train", "train", "test"], len(users)),
    }
    return {
        "interactions": interactions,
        "users": {
            "user_id": user_ids,
            "age": rng.normal(40, 9, num_users),
            "job": [f"job {u}" for u in user_ids],
        },
        "items": {
            "item_id": item_ids,
            "title": [f"Item {i}" for i in item_ids],
            "year": [2000.0] * num_items,
            "genres": ["Drama|Comedy"] * num_items,
        },
    }


def write(workspace, columns):
    workspace.validated.mkdir(parents=True, exist_ok=True)
    for name, table in columns.items():
        pq.write_table(pa.table(table), workspace.validated / f"{name}.parquet")


def read(workspace, name):
    return pq.read_table(workspace.split / f"{name}.parquet")


def report(workspace):
    return json.loads(workspace.split_report.read_text())


def digests(workspace):
    written = [path for path in sorted(workspace.split.rglob("*")) if path.is_file()]
    written.append(workspace.split_report)
    return {str(path.relative_to(workspace.root)): sha256(path.read_bytes()).hexdigest() for path in written}


@pytest.fixture
def checked_workspace(tmp_path):
    """Validated tables; the split's promises are checked, which costs seconds the first time."""
    workspace = Workspace(tmp_path)
    write(workspace, tables())
    return workspace


@pytest.fixture
def workspace(checked_workspace, monkeypatch):
    """Validated tables; a promise is kept unseen."""
    promise = Promise("No pair lies in two parts", success=True, unexpected=0, examples=())
    monkeypatch.setattr(split, "check_promises", lambda *_, **__: [promise])
    return checked_workspace


@pytest.fixture
def broken(workspace, monkeypatch):
    promise = Promise("No pair lies in two parts", success=False, unexpected=1, examples=("user '1', item '2'",))
    monkeypatch.setattr(split, "check_promises", lambda *_, **__: [promise])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_its_promises_and_loads(checked_workspace, method):
    workspace = checked_workspace
    split.run(params(method=method), workspace)
    assert {p["success"] for p in report(workspace)["promises"]} == {True}
    assert report(workspace)["one_cut"] == (method == "global-temporal")
    prepared = load_prepared(workspace)
    sizes = report(workspace)["sizes"]
    held_out = load_held_out(workspace, prepared)
    found = {"train": prepared.train, "valid": prepared.valid, "test": held_out.test}
    assert {part: len(events.items) for part, events in found.items()} == {
        part: sizes[part] for part in ("train", "valid", "test")
    }
    assert len(held_out.new_history.items) + len(held_out.new_test.items) == sizes["new_user_events"]
    assert prepared.num_warm_users == sizes["warm_users"]
    assert prepared.num_users == sizes["warm_users"] + sizes["new_users"]


def test_files_have_the_columns_and_types_of_the_contract(workspace):
    split.run(params(), workspace)
    event = {"user_id": "string", "item_id": "string", "timestamp": "int64", "position": "int32"}
    event |= {"user_index": "int32", "item_index": "int32"}
    expected = {
        "train": event,
        "valid": event,
        "test": event,
        "new_users": event | {"part": "string"},
        "vocabulary/users": {"user_index": "int32", "user_id": "string", "is_new": "bool"}
        | {"age": "double", "job": "string"},
        "vocabulary/items": {"item_index": "int32", "item_id": "string", "title": "string", "year": "double"}
        | {"genres": "string", "train_count": "int64", "fit_count": "int64"},
        "vocabulary/user_features": {"user_index": "int32", "age": "float", "job": "int32"},
        "vocabulary/item_features": {"item_index": "int32", "year": "float", "genres": "list<element: int32>"},
    }
    for name, columns in expected.items():
        schema = read(workspace, name).schema
        assert dict(zip(schema.names, map(str, schema.types), strict=True)) == columns, name


def test_features_are_encoded_as_a_server_encodes_people(workspace):
    split.run(params(), workspace)
    prepared = load_prepared(workspace)
    for table, found, encoding in (
        (prepared.users, prepared.user_features, prepared.encoding.user),
        (prepared.items, prepared.item_features, prepared.encoding.item),
    ):
        expected = encoding.encode(table.to_pandas())
        assert expected.num_features > 1
        np.testing.assert_array_equal(found.dense, expected.dense)
        np.testing.assert_array_equal(found.categorical, expected.categorical)
        assert found.categorical_sizes == expected.categorical_sizes
        assert [tags.toarray().tolist() for tags in found.tag_sets] == [
            tags.toarray().tolist() for tags in expected.tag_sets
        ]


def test_rows_are_sorted_by_user_index_and_position(workspace):
    split.run(params(), workspace)
    users = read(workspace, "vocabulary/users").to_pydict()
    index = dict(zip(users["user_id"], users["user_index"], strict=True))
    for name in ("train", "valid", "test", "new_users"):
        rows = read(workspace, name).to_pydict()
        keys = [(index[user], place) for user, place in zip(rows["user_id"], rows["position"], strict=True)]
        assert keys == sorted(keys), name


@pytest.mark.parametrize("method", ["user-temporal", "random"])  # by time and by chance; all methods share the rest
def test_users_that_are_split_one_part_after_the_other_are_split_as_all_at_once(tmp_path, monkeypatch, method):
    columns = tables(seed=4, num_users=60)
    for name in ("user_id", "item_id", "timestamp", "rating", "split"):
        # some rows twice, so that there is something to drop
        columns["interactions"][name] = [*columns["interactions"][name], *columns["interactions"][name][:9]]
    found = []
    for rows in (engine.BLOCK_ROWS, 30):
        monkeypatch.setattr(engine, "BLOCK_ROWS", rows)
        workspace = Workspace(tmp_path / str(rows))
        write(workspace, columns)
        split.run(params(method=method, min_rating=2), workspace)
        files = {name: pq.read_table(workspace.split / name) for name in FILES if name.endswith(".parquet")}
        encoding = (workspace.split / "vocabulary/features.json").read_bytes()
        found.append((files, encoding, workspace.split_report.read_bytes()))
    assert len(columns["interactions"]["user_id"]) > 3 * engine.PIECE_BLOCKS * engine.BLOCK_ROWS
    assert found[0] == found[1]


def test_the_same_events_in_another_order_give_the_same_bytes(workspace, tmp_path):
    split.run(params(), workspace)
    other = Workspace(tmp_path / "other")
    write(other, {name: {c: v[::-1] for c, v in table.items()} for name, table in tables().items()})
    split.run(params(), other)
    assert digests(workspace) == digests(other)
    assert {name.removeprefix("artifacts/split/") for name in digests(workspace)} == FILES | {
        "artifacts/checks/split.json"
    }


def test_another_seed_gives_another_split(workspace):
    split.run(params(), workspace)
    first = digests(workspace)
    split.run(params().model_copy(update={"seed": 7}), workspace)
    assert digests(workspace)["artifacts/split/test.parquet"] != first["artifacts/split/test.parquet"]


def test_sizes_count_what_the_files_hold(workspace):
    split.run(params(), workspace)
    rows = {name: read(workspace, name).num_rows for name in ("train", "valid", "test", "new_users")}
    # 0.2 · 20 users
    assert report(workspace)["sizes"] == {
        "train": rows["train"],
        "valid": rows["valid"],
        "test": rows["test"],
        "new_users": 4,
        "warm_users": 16,
        "items": 30,
        "new_user_events": rows["new_users"],
    }
    assert sum(rows.values()) == len(tables()["interactions"]["user_id"])


def test_nothing_about_features_is_learned_from_new_users(workspace):
    split.run(params(), workspace)
    users = read(workspace, "vocabulary/users").to_pandas()
    encoding = json.loads((workspace.vocabulary / "features.json").read_text())["user"]
    warm = users[~users.is_new]
    assert encoding["categorical"]["job"] == sorted(warm.job)
    assert encoding["dense"]["age"]["mean"] == pytest.approx(warm.age.mean())


def test_an_item_without_events_is_in_the_catalogue(workspace):
    split.run(params(), workspace)
    last = read(workspace, "vocabulary/items").to_pylist()[-1]
    assert (last["item_id"], last["train_count"], last["fit_count"]) == ("30", 0, 0)


def test_what_is_left_out_is_counted_and_said(workspace, capsys):
    columns = tables()
    interactions = columns["interactions"]
    interactions["rating"][:3] = 1
    interactions["rating"][3:] = 4
    for name in interactions:
        repeated = interactions[name][3:5]
        interactions[name] = [*interactions[name], *repeated]
    columns["users"] = {name: [*values, values[0]] for name, values in columns["users"].items()}
    columns["users"]["user_id"][-1] = "idle"
    write(workspace, columns)
    split.run(params(min_rating=4), workspace)
    assert report(workspace)["dropped"] == {"below_min_rating": 3, "repeated": 2, "users_without_events": 1}
    printed = capsys.readouterr().out
    assert "3 events are rated below 4.0" in printed
    assert "2 events repeat an earlier one" in printed
    assert "1 users have no event" in printed


def test_the_summary_names_the_method_the_sizes_and_the_weakness(workspace, capsys):
    split.run(params(), workspace)
    printed = capsys.readouterr().out
    assert printed.startswith("user-temporal: ")
    assert "16 warm users; 4 new users" in printed
    assert report(workspace)["weakness"] in printed


def test_a_predefined_split_says_that_it_holds_nobody_out(workspace):
    split.run(params(method="predefined"), workspace)
    assert report(workspace)["notes"][0].startswith("Nobody is held out as a new user")
    split.run(params(method="predefined", new_user_share=0), workspace)
    assert report(workspace)["notes"] == []


@pytest.mark.usefixtures("broken")
def test_a_broken_promise_is_reported_and_its_split_is_not_left(workspace):
    message = r"\(artifacts/checks/split\.json has .*\):\n  No pair .* Not so 1 times, as in: user '1', item '2'"
    with pytest.raises(BakeoffError, match=message):
        split.run(params(), workspace)
    assert report(workspace)["success"] is False
    assert report(workspace)["promises"] == [
        {"promise": "No pair lies in two parts", "success": False, "unexpected": 1}
    ]
    assert not workspace.split.exists()


def test_a_run_replaces_the_former_split_as_a_whole(workspace):
    workspace.vocabulary.mkdir(parents=True)
    (workspace.split / "stale.parquet").touch()
    (workspace.split.parent / ".split.part").mkdir()
    split.run(params(), workspace)
    assert {str(p.relative_to(workspace.split)) for p in workspace.split.rglob("*") if p.is_file()} == FILES
    assert sorted(path.name for path in workspace.split.parent.iterdir()) == ["checks", "split", "validated"]


@pytest.mark.parametrize("name", ["interactions", "users", "items"])
def test_a_missing_table_says_which_stage_makes_it(workspace, name):
    (workspace.validated / f"{name}.parquet").unlink()
    with pytest.raises(BakeoffError, match=rf"{name}\.parquet .*: run `bakeoff validate`"):
        split.run(params(), workspace)


def test_a_split_without_any_test_event_is_refused(workspace):
    with pytest.raises(BakeoffError, match=r"No warm user has a test event.*test_share 0\.0"):
        split.run(params(test_share=0), workspace)
    assert not workspace.split.exists()


def test_a_split_without_any_warm_user_is_refused(workspace):
    with pytest.raises(BakeoffError, match=r"No user has a train event: all 20 count as new.*new_user_share 0\.98"):
        split.run(params(new_user_share=0.98), workspace)


def test_a_feature_that_no_table_has_is_refused(workspace):
    wrong = params().model_copy(update={"data": params().data.model_copy(update={"user_features": {"x": "dense"}})})
    with pytest.raises(BakeoffError, match="users table has no column 'x'"):
        split.run(wrong, workspace)


@pytest.mark.parametrize(("was", "declared"), [("dense", "categorical"), ("categorical", "dense"), ("dense", "vector")])
def test_a_feature_of_another_kind_than_was_validated_says_what_to_run(workspace, was, declared):
    name = next(name for name, kind in params().data.user_features.items() if kind == was)
    data = params().data.model_copy(update={"user_features": {name: declared}})
    with pytest.raises(BakeoffError, match=rf"column '{name}' of the users .* than {declared}: run `bakeoff validate`"):
        split.run(params().model_copy(update={"data": data}), workspace)


def test_events_of_the_same_time_follow_the_file_where_ties_say_so(checked_workspace):
    lines, table = [7, 2, 12, 5, 3], tables()
    events = {"user_id": ["1"] * 5, "item_id": list("abcde"), "timestamp": [9, 9, 9, 9, 1]}
    items = {**table["items"], "item_id": [*"abcde", *table["items"]["item_id"][5:]]}
    write(checked_workspace, {"interactions": {**events, "row": lines}, "items": items})
    split.run(params(method="leave-last-out", new_user_share=0, ties="file"), checked_workspace)
    history = pa.concat_tables(read(checked_workspace, part) for part in ("train", "valid", "test"))
    assert dict(zip(history["item_id"].to_pylist(), history["position"].to_pylist(), strict=True)) == {
        "e": 0,
        "b": 1,
        "d": 2,
        "a": 3,
        "c": 4,
    }
    assert read(checked_workspace, "test")["item_id"].to_pylist() == ["c"]
    assert "A user's events at the same time follow the order of the file." in report(checked_workspace)["notes"]


def test_ties_by_the_file_need_the_lines_that_validation_writes(workspace):
    with pytest.raises(BakeoffError, match=r"split\.ties is file, .*Run `bakeoff validate` again"):
        split.run(params(ties="file"), workspace)


@pytest.mark.parametrize("name", ["interactions", "users", "items"])
def test_a_damaged_table_is_named_with_the_way_out(workspace, name):
    (workspace.validated / f"{name}.parquet").write_bytes(b"damaged")
    with pytest.raises(BakeoffError, match=rf"{name}.parquet can't be read .*dvc repro --force validate"):
        split.run(params(), workspace)
