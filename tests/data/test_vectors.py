"""Vectors of users and items from a team's files to encoded rows."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_tables import read_directory

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.data.features.value_sets import unit_vectors
from bakeoff.data.fetch.canonical_tables import save_csv
from bakeoff.data.fetch.own import read_parts
from bakeoff.data.fetch.parts import merge
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.data.validate import suites
from bakeoff.params import parse_params
from bakeoff.stages import split, validate

PARAMS = parse_params(
    {
        "data": {
            "dataset": "shop",
            "columns": {"rating": None},
            "user_features": {"taste": "vector"},
            "item_features": {"vec": "vector", "year": "dense"},
        },
        "validation": {"max_quarantine_share": 0.9},
        "split": {"new_user_share": 0.0},
    }
)
VECTORS = [[3.0, 4.0], None, [0.0, 0.0], [-1.0, 0.0], []]
UNIT = [[0.6, 0.8], [0, 0], [0, 0], [-1, 0], [0, 0]]
"""Of length 1; 0 where there is none, all is 0, or the list is empty."""


@pytest.fixture(autouse=True)
def _without_docs(monkeypatch):
    monkeypatch.setattr(validate, "_write_docs", lambda *_: None)


def write(folder, vectors=VECTORS, kind=None, tastes=(("1", ""), ("", ""), ("0", "-2"))):
    """A team's files: five items with a list column, three users with a column per component."""
    events = [f"u{u},i{i},{881250949 + 60 * i}" for u in range(3) for i in range(5)]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]) + "\n")
    users = [f"u{u},{','.join(each)}" for u, each in enumerate(tastes)]
    (folder / "users.csv").write_text("\n".join(["user_id,taste_0,taste_1", *users]) + "\n")
    items = {
        "item_id": [f"i{i}" for i in range(len(vectors))],
        "title": ["T"] * 5,
        "year": [1990, 1991, 1992, 1993, 1994],
    }
    pq.write_table(
        pa.table({**items, "vec": pa.array(vectors, kind or pa.list_(pa.float32()))}), folder / "items.parquet"
    )


def fetched(folder):
    """The workspace with what `bakeoff fetch` makes of the files."""
    workspace = Workspace(folder / "workspace")
    workspace.data.mkdir(parents=True)
    for name, table in read_directory(folder, PARAMS.data).items():
        save_csv(table, workspace.data / f"{name}.csv")
    return workspace


@pytest.mark.parametrize("kind", [pa.large_list(pa.float64()), pa.list_(pa.float32(), 2)], ids=["large", "fixed"])
def test_every_kind_of_list_is_fetched_alike(tmp_path, kind):
    found = []
    for each in (pa.list_(pa.float32()), kind):
        write(tmp_path, [*VECTORS[:4], None], each)
        found.append(read_directory(tmp_path, PARAMS.data)["items"])
    assert found[0].equals(found[1])


def test_a_list_column_becomes_vectors_of_length_one(tmp_path):
    write(tmp_path, tastes=(("1", "1"), ("", ""), ("0", "-2")))
    workspace = fetched(tmp_path)
    validate.run(PARAMS, workspace)
    split.run(PARAMS, workspace)
    prepared = load_prepared(workspace)
    found = prepared.item_features
    assert found.dense.dtype == np.float32
    assert found.num_components == 2
    np.testing.assert_allclose(found.dense[:, 1:], UNIT, atol=1e-7)
    # Years 1990 to 1994 have the mean 1992 and the deviation √2.
    np.testing.assert_allclose(found.dense[:, 0], np.array([-2, -1, 0, 1, 2]) / 2**0.5, atol=1e-6)
    # Columns per component became one; a user without any is unknown.
    np.testing.assert_allclose(prepared.user_features.dense, [[0.5**0.5] * 2, [0, 0], [0, -1]], atol=1e-7)
    assert "vec" not in prepared.items.column_names
    assert prepared.encoding.item.vector == {"vec": 2}


def test_a_vector_with_a_gap_goes_to_quarantine(tmp_path):
    write(tmp_path)
    workspace = fetched(tmp_path)
    validate.run(PARAMS, workspace)
    [row] = pq.read_table(workspace.quarantine / "users.parquet").to_pylist()
    assert (row["taste"], row["reason"]) == ("1|", "taste is not a vector of finite numbers joined by |")


def test_what_is_no_vector_of_finite_numbers_goes_to_quarantine(tmp_path):
    bad = ["1|nan", "1|inf", "1e99|1", "a|b", "1||2"]
    write(tmp_path)
    workspace = fetched(tmp_path)
    with (workspace.data / "items.csv").open("a") as file:
        file.writelines(f"bad{place},T,1990,{vector}\n" for place, vector in enumerate(bad))
    validate.run(PARAMS, workspace)
    assert [row["vec"] for row in pq.read_table(workspace.quarantine / "items.parquet").to_pylist()] == bad


@pytest.mark.parametrize("block_bytes", [None, 60])
def test_vectors_of_two_lengths_stop_the_run_with_ids_and_lengths(tmp_path, monkeypatch, block_bytes):
    if block_bytes:
        monkeypatch.setattr("bakeoff.data.validate.csv_reader.BLOCK_BYTES", block_bytes)
    write(tmp_path, [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0, 3.0], None, None])
    workspace = fetched(tmp_path)
    with pytest.raises(BakeoffError, match=r"vec of data/items.csv has 2 numbers for item_id i0 and 3 for i2: .*empty"):
        validate.run(PARAMS, workspace)
    assert not workspace.validated.exists()
    assert not json.loads(workspace.validation_report.read_text())["success"]


def test_a_vector_that_is_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(suites, "MAX_COMPONENTS", 1)
    write(tmp_path)
    with pytest.raises(BakeoffError, match=r"taste of data/users.csv has 2 numbers, more than 1: .*SVD"):
        validate.run(PARAMS, fetched(tmp_path))


def test_a_list_of_lists_and_a_null_within_a_vector_are_refused_at_fetch(tmp_path):
    write(tmp_path, [[1.0, None], *[None] * 4])
    with pytest.raises(BakeoffError, match=r"'vec'.*NULL.*A vector that is not known is NULL as a whole"):
        read_directory(tmp_path, PARAMS.data)


def test_added_rows_may_come_with_a_column_per_component(tmp_path):
    write(tmp_path)
    held = read_directory(tmp_path, PARAMS.data)
    more = tmp_path / "more"
    more.mkdir()
    (more / "users.csv").write_text("user_id,taste_0,taste_1\nu9,5,6\n")
    tables, _ = merge(held, read_parts(more, PARAMS.data), PARAMS.data, "more")
    assert tables["users"].column_names == ["user_id", "taste"]
    assert tables["users"]["taste"].to_pylist() == ["1|", "", "0|-2", "5|6"]


def test_a_feature_without_any_column_is_still_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "users.csv").write_text("user_id,taste_1\nu0,1\n")
    with pytest.raises(BakeoffError, match=r"data.user_features in params.yaml names 'taste'"):
        read_directory(tmp_path, PARAMS.data)


ENCODING = TableEncoding.model_validate({"dense": {"age": {"mean": 30, "std": 10}}, "vector": {"taste": 2}})


@pytest.mark.parametrize("given", [[3, 4], "3|4", " 3 | 4 ", ["3", "4.0"]])
def test_a_person_is_encoded_like_the_same_row_of_the_table(given):
    table = pd.DataFrame({"age": [40.0], "taste": [[3.0, 4.0]]})
    dense, _ = ENCODING.encode_user({"age": 40, "taste": given})
    np.testing.assert_array_equal(dense, ENCODING.encode(table).dense)
    np.testing.assert_allclose(dense, [[1, 0.6, 0.8]], atol=1e-7)


@pytest.mark.parametrize("given", [None, "", [], [0, 0], "0|0"])
def test_an_unknown_vector_of_a_person_is_zero(given):
    assert ENCODING.encode_user({"taste": given})[0].tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("given", [[1], [1, 2, 3], "1|x", "1|nan", [[1, 2]], 7, [1e39, 1], {"a": 1}])
def test_what_is_no_vector_of_that_length_is_refused(given):
    with pytest.raises(BakeoffError, match=r"taste=.* is not 2 numbers"):
        ENCODING.encode_user({"taste": given})


def test_vectors_of_another_length_are_unknown_and_tiny_ones_keep_their_direction():
    column = pd.Series([np.array([3e-30, 4e-30], np.float32), np.ones(3, np.float32), None])
    np.testing.assert_allclose(unit_vectors(column, 2), [[0.6, 0.8], [0, 0], [0, 0]], rtol=1e-6)
