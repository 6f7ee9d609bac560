"""Columns of a team's tables that no feature names, and names that differ in case alone."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.params import Params
from bakeoff.stages import split

SPLIT = {"method": "random", "new_user_share": 0, "test_share": 0.5}


@pytest.fixture
def workspace(tmp_path):
    """Four users with four events each; `AGE`, before `age`, and `is_New` are columns of their own."""
    workspace = Workspace(tmp_path)
    workspace.validated.mkdir(parents=True)
    pairs = [(str(user), str(item)) for user in range(4) for item in range(4)]
    tables = {
        "interactions": {
            "user_id": [user for user, _ in pairs],
            "item_id": [item for _, item in pairs],
            "timestamp": [0] * 16,
            "Rating": ["good"] * 16,
        },
        "users": {"user_id": [*"0123"], "AGE": ["old"] * 4, "age": [1.0, 2.0, 3.0, 4.0], "is_New": [True] * 4},
        "items": {"item_id": [*"0123"], "title": [*"abcd"], "Title": [*"efgh"]},
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), workspace.validated / f"{name}.parquet")
    return workspace


def test_features_are_what_they_are_called_and_other_columns_stay_behind(workspace):
    split.run(Params(data={"user_features": {"age": "dense"}, "item_features": {}}, split=SPLIT), workspace)
    users, items = (pq.read_table(workspace.vocabulary / f"{name}.parquet") for name in ("users", "items"))
    assert users.column_names == ["user_index", "user_id", "is_new", "age"]
    assert users["age"].to_pylist() == [1.0, 2.0, 3.0, 4.0]
    assert items["title"].to_pylist() == [*"abcd"]
    assert items.column_names == ["item_index", "item_id", "title", "train_count", "fit_count"]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"age": "dense", "AGE": "categorical"}, r"'age' and 'AGE' of the users differ in case alone.*rename one"),
        ({"is_New": "categorical"}, r"column 'is_New', a name that the split needs for itself"),
    ],
)
def test_features_that_duckdb_does_not_tell_apart_are_refused(workspace, features, message):
    with pytest.raises(BakeoffError, match=message):
        split.run(Params(data={"user_features": features, "item_features": {}}, split=SPLIT), workspace)
    assert not workspace.split.exists()
