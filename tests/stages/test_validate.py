import json
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dirty_rows import BAD_EVENTS, BAD_ITEMS, BAD_USERS, EVENTS, FEATURES, ITEMS, USERS
from pyarrow import csv as arrow_csv
from pyarrow import parquet as pq

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.params import parse_params
from bakeoff.stages import validate


@pytest.fixture
def docs():
    """For tests that look at the Data Docs; it takes half a second to build them."""


@pytest.fixture(autouse=True)
def _without_docs(request, monkeypatch):
    if "docs" not in request.fixturenames:
        monkeypatch.setattr(validate, "_write_docs", lambda *_: None)


@pytest.fixture
def workspace(tmp_path):
    put(tmp_path, "users", USERS)
    put(tmp_path, "items", ITEMS)
    put(tmp_path, "interactions", EVENTS)
    return Workspace(tmp_path)


def put(root, table, lines):
    (root / "data").mkdir(exist_ok=True)
    data = lines if isinstance(lines, bytes) else ("\n".join(lines) + "\n").encode()
    (root / f"data/{table}.csv").write_bytes(data)


def run(workspace, **validation):
    validate.run(parse_params({"data": FEATURES, "validation": {"max_quarantine_share": 0.99} | validation}), workspace)


def rows(workspace, kind, table):
    return pq.read_table(getattr(workspace, kind) / f"{table}.parquet").to_pylist()


def verdict(workspace):
    return json.loads(workspace.validation_report.read_text(encoding="utf-8"))


def quarantined(workspace, table="interactions"):
    return {row["row"]: row["reason"] for row in rows(workspace, "quarantine", table)}


def test_sound_rows_come_through_exactly_and_typed(workspace):
    run(workspace)
    assert rows(workspace, "validated", "users") == [
        {"user_id": "1", "age": 24.0, "gender": "M"},
        {"user_id": "2", "age": None, "gender": "F"},
        {"user_id": "007", "age": 53.0, "gender": None},
        {"user_id": 'a "b", c', "age": 23.0, "gender": "M"},
        {"user_id": "é 中", "age": 30.0, "gender": "F"},
    ]
    assert rows(workspace, "validated", "items")[1] == {
        "item_id": "02",
        "title": None,
        "year": None,
        "genres": None,
    }
    events = pq.read_table(workspace.validated / "interactions.parquet")
    assert [str(kind) for kind in events.schema.types] == ["string", "string", "int64", "double", "int64"]
    assert events.to_pylist()[4] == {
        "user_id": 'a "b", c',
        "item_id": "x y",
        "timestamp": 881250953,
        "rating": 2.0,
        "row": 6,
    }


def test_a_clean_quarantine_is_empty_but_has_its_columns(workspace):
    run(workspace)
    table = pq.read_table(workspace.quarantine / "interactions.parquet")
    assert table.num_rows == 0
    assert {field.name: str(field.type) for field in table.schema} == {
        "user_id": "string",
        "item_id": "string",
        "timestamp": "string",
        "rating": "string",
        "reason": "string",
        "row": "int64",
    }


def test_every_bad_event_goes_to_quarantine_with_its_line_and_reason(workspace):
    put(workspace.root, "interactions", [*EVENTS, *BAD_EVENTS])
    run(workspace)
    first = len(EVENTS) + 1
    assert quarantined(workspace) == {first + place: reason for place, reason in enumerate(BAD_EVENTS.values())}
    assert len(rows(workspace, "validated", "interactions")) == len(EVENTS) - 1


def test_quarantine_holds_the_row_as_it_was_written(workspace):
    put(workspace.root, "interactions", [*EVENTS, '" 07 ","é ""q""",soon,5'])
    run(workspace)
    (row,) = rows(workspace, "quarantine", "interactions")
    assert (row["user_id"], row["item_id"], row["timestamp"], row["rating"]) == (" 07 ", 'é "q"', "soon", "5")


def test_the_bounds_of_time_and_scale_are_possible(workspace):
    put(workspace.root, "interactions", [EVENTS[0], "1,1,631152000,1", "1,1,4102444799,5"])
    run(workspace)
    assert quarantined(workspace) == {}


def test_a_scale_without_limits_takes_any_number(workspace):
    put(workspace.root, "interactions", [*EVENTS, "1,1,881250960,-70", "1,1,881250961,high"])
    run(workspace, rating_min=None, rating_max=None)
    assert quarantined(workspace) == {9: "rating is not a number"}


def test_a_broken_row_does_not_take_a_sound_copy_along(workspace):
    put(workspace.root, "interactions", [EVENTS[0], "1,1,881250949,99", "1,1,881250949,4"])
    run(workspace)
    assert quarantined(workspace) == {2: "rating is off the scale from 1 to 5"}


def test_every_bad_user_goes_to_quarantine_and_the_first_of_two_is_kept(workspace):
    put(workspace.root, "users", [*USERS, *BAD_USERS])
    run(workspace)
    assert quarantined(workspace, "users") == dict(
        zip(range(len(USERS) + 1, len(USERS) + 5), BAD_USERS.values(), strict=True)
    )
    assert rows(workspace, "validated", "users")[0]["age"] == 24.0


def test_a_bad_item_goes_to_quarantine(workspace):
    put(workspace.root, "items", [*ITEMS, *BAD_ITEMS])
    run(workspace)
    assert quarantined(workspace, "items") == dict(zip((5, 6), BAD_ITEMS.values(), strict=True))


def test_events_of_a_user_in_quarantine_are_of_an_unknown_user(workspace):
    put(workspace.root, "users", [line.replace("007,53", "007,old") for line in USERS])
    run(workspace)
    assert quarantined(workspace) == {5: "user_id is not among the valid users"}


def test_without_timestamps_all_events_are_at_second_zero_and_pairs_are_unique(workspace):
    put(workspace.root, "interactions", ["user_id,item_id", "1,1", "1,02", "1,1"])
    run(workspace)
    assert rows(workspace, "validated", "interactions") == [
        {"user_id": "1", "item_id": "1", "timestamp": 0, "row": 2},
        {"user_id": "1", "item_id": "02", "timestamp": 0, "row": 3},
    ]
    assert list(quarantined(workspace)) == [4]


def test_a_ready_made_split_must_name_a_part(workspace):
    put(
        workspace.root,
        "interactions",
        ["user_id,item_id,split", "1,1,train", "1,02,test", "2,1,holdout", "2,02,"],
    )
    run(workspace)
    assert list(quarantined(workspace)) == [4, 5]
    assert [row["split"] for row in rows(workspace, "validated", "interactions")] == ["train", "test"]


def test_a_column_of_the_file_may_be_called_reason(workspace):
    put(workspace.root, "users", ["user_id,age,gender,reason", "1,24,M,ads", ",1,F,friends"])
    put(workspace.root, "interactions", EVENTS[:2])
    run(workspace)
    (row,) = rows(workspace, "quarantine", "users")
    assert (row["reason_in_file"], row["reason"]) == ("friends", "user_id is empty")


def test_the_verdict_counts_rows_reasons_and_expectations(workspace):
    put(workspace.root, "interactions", [*EVENTS, "1,1,881250960,9", "1,1,881250961,9", "1,1,881250949,3"])
    run(workspace)
    found = verdict(workspace)
    table = found["tables"]["interactions"]
    assert found["success"] is True
    assert (table["rows"], table["valid"], table["quarantined"], table["share"]) == (9, 6, 3, 3 / 9)
    assert list(table["reasons"].items()) == [
        ("rating is off the scale from 1 to 5", 2),
        ("same user, item and timestamp as an event before (the first one is kept)", 1),
    ]
    scale = next(e for e in table["expectations"] if e["expectation"] == "Ratings are on the scale from 1 to 5")
    assert scale == {
        "expectation": "Ratings are on the scale from 1 to 5",
        "severity": "warning",
        "success": False,
        "unexpected": 2,
    }
    assert table["expectations"][0]["severity"] == "critical"
    assert found["messages"][0] == "interactions: 3 of 9 rows (33.33%) went to quarantine."


def test_too_many_bad_rows_stop_the_stage_after_everything_is_written(workspace):
    put(workspace.root, "interactions", [*EVENTS, "1,1,881250960,9", "1,1,881250961,0", "7,1,881250962,3"])
    with pytest.raises(BakeoffError) as error:
        run(workspace, max_quarantine_share=0.3)
    message = str(error.value)
    for part in (
        "interactions: 3 of 9 rows (33.33%)",
        "more than 30.00%",
        "2 × rating is off the scale from 1 to 5",
        "line 8: user_id=1, item_id=1, timestamp=881250960, rating=9",
        "1 × user_id is not among the valid users",
        "artifacts/quarantine/",
        "artifacts/checks/validation.json",
        "validation.max_quarantine_share",
    ):
        assert part in message
    assert len(rows(workspace, "quarantine", "interactions")) == 3
    assert len(rows(workspace, "validated", "interactions")) == 6
    assert verdict(workspace)["success"] is False


def test_a_share_at_the_threshold_passes(workspace):
    put(workspace.root, "interactions", [*EVENTS[:4], "1,1,881250960,9"])
    run(workspace, max_quarantine_share=0.25)
    assert verdict(workspace)["success"] is True


STRUCTURAL = [
    ("users", None, "data/users.csv does not exist: run `bakeoff fetch`"),
    ("items", b"", "data/items.csv is empty"),
    ("users", USERS[:1], "data/users.csv has a header but no rows"),
    ("interactions", EVENTS[:1], "data/interactions.csv has a header but no rows"),
    (
        "interactions",
        ["user,item_id", "1,1"],
        "data/interactions.csv has no column `user_id` (it has user, item_id)",
    ),
    ("items", ["item_id,year,genres", "1,1995,"], "data/items.csv has no column `title`"),
    (
        "users",
        ["user_id,gender", "1,M"],
        "no column `age` (it has user_id, gender): add it, or take it out of `data.user",
    ),
    ("items", ["item_id,title,year", "1,a,1"], "no column `genres`"),
    ("interactions", ["user_id;item_id", "1;1"], "data/interactions.csv is separated by semicolons"),
    ("interactions", b"\x00\x01\x02", "data/interactions.csv is binary or damaged"),
    (
        "items",
        "item_id,title,year,genres\n1,é,,\n2,".encode() + b"\xe9,,\n",
        "data/items.csv is not UTF-8 on line 3",
    ),
    ("interactions", [*EVENTS, "1,1"], "data/interactions.csv cannot be read: line 8 has 2 fields"),
]


@pytest.mark.parametrize(("table", "content", "message"), STRUCTURAL, ids=[case[2][:50] for case in STRUCTURAL])
def test_a_structural_fault_stops_the_stage_with_what_to_do(workspace, table, content, message):
    for directory in (workspace.validated, workspace.quarantine):
        directory.mkdir(parents=True)
        (directory / "users.parquet").write_bytes(b"of an earlier run")
    if content is None:
        (workspace.data / f"{table}.csv").unlink()
    else:
        put(workspace.root, table, content)
    with pytest.raises(BakeoffError) as error:
        run(workspace)
    assert message in str(error.value)
    assert verdict(workspace) == {"success": False, "tables": {}, "messages": [str(error.value)]}
    assert not workspace.validated.exists()
    assert not workspace.quarantine.exists()


def test_a_directory_in_place_of_a_file_is_refused(workspace):
    (workspace.data / "users.csv").unlink()
    (workspace.data / "users.csv").mkdir()
    with pytest.raises(BakeoffError, match=r"data/users.csv can.t be read"):
        run(workspace)


def test_two_runs_write_the_same_bytes(workspace):
    put(workspace.root, "interactions", [*EVENTS, *BAD_EVENTS])

    def outputs():
        run(workspace)
        paths = [*workspace.validated.iterdir(), *workspace.quarantine.iterdir()]
        paths.append(workspace.validation_report)
        return {path.relative_to(workspace.root): path.read_bytes() for path in paths}

    first = outputs()
    assert len(first) == 7
    assert outputs() == first


def test_nothing_but_the_outputs_is_left_behind(workspace, docs):
    run(workspace)
    found = {path.relative_to(workspace.root).as_posix() for path in workspace.root.glob("*/*")}
    assert found == {
        *(f"data/{table}.csv" for table in validate.TABLES),
        "artifacts/validated",
        "artifacts/quarantine",
        "artifacts/checks",
        "reports/data_docs",
    }
    assert list(workspace.checks.iterdir()) == [workspace.validation_report]


def test_the_data_docs_name_the_suites(workspace, docs):
    run(workspace)
    index = (workspace.reports / "data_docs/index.html").read_text(encoding="utf-8")
    assert all(f"/{name}/" in index for name in validate.TABLES)


def test_docs_that_cannot_be_built_do_not_fail_the_stage(workspace, monkeypatch, caplog, docs):
    from bakeoff.data.validate.gx import Runner

    def fail(self, directory):
        raise OSError("disk full")

    monkeypatch.setattr(Runner, "build_docs", fail)
    run(workspace)
    assert "Data Docs could not be built" in caplog.text
    assert verdict(workspace)["success"] is True
    assert list(workspace.reports.iterdir()) == []


def test_a_summary_is_printed_and_nothing_else(workspace, capsys, docs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(workspace)
    printed = capsys.readouterr()
    assert caught == []
    assert printed.err == ""
    assert [line.split()[1] for line in printed.out.splitlines()[3:6]] == ["interactions", "users", "items"]


def test_a_million_rows_are_judged(tmp_path):
    rng = np.random.default_rng(0)
    n, num_users, num_items = 1_000_000, 5_000, 2_000
    events = pd.DataFrame(
        {
            "user_id": rng.integers(0, num_users, n),
            "item_id": rng.integers(0, num_items, n),
            "timestamp": 880_000_000 + np.arange(n),
            "rating": rng.integers(1, 6, n),
        }
    )
    events.loc[:999, "rating"] = 9
    events.loc[1_000:1_999, "user_id"] = num_users
    events.loc[2_000, :] = events.loc[999_999, :]
    (tmp_path / "data").mkdir()
    arrow_csv.write_csv(pa.Table.from_pandas(events), tmp_path / "data/interactions.csv")
    put(tmp_path, "users", ["user_id,age,gender", *(f"{user},30,F" for user in range(num_users))])
    put(tmp_path, "items", ["item_id,title,year,genres", *(f"{item},t,1990,a" for item in range(num_items))])
    workspace = Workspace(tmp_path)
    run(workspace)
    assert verdict(workspace)["tables"]["interactions"]["reasons"] == {
        "user_id is not among the valid users": 1_000,
        "rating is off the scale from 1 to 5": 1_000,
        "same user, item and timestamp as an event before (the first one is kept)": 1,
    }
    assert pq.read_metadata(workspace.validated / "interactions.parquet").num_rows == n - 2_001


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"earliest": "yesterday"}, "must be a day such as 1990-01-31"),
        ({"earliest": "2100-01-01", "latest": "1990-01-01"}, "must lie before"),
        ({"rating_min": 5, "rating_max": 1}, "must not exceed"),
    ],
)
def test_impossible_limits_are_refused(values, message):
    with pytest.raises(BakeoffError, match=message):
        parse_params({"validation": values})
