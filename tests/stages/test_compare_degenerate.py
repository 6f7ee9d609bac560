"""Comparisons with next to nothing in them: one user, one item, equal lists."""

from pathlib import Path

import pandas as pd
import pytest
from test_compare import load_writer

from bakeoff.core.workspace import Workspace
from bakeoff.params import Params, parse_params
from bakeoff.stages import compare, evidence


@pytest.fixture(scope="module")
def params() -> Params:
    return parse_params({"compare": {"resamples": 200}})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(load_writer()(tmp_path, num_warm=24, num_new=4, num_items=60))


def test_equal_lists_of_a_few_users_give_no_verdict(tmp_path: Path, params: Params):
    workspace = Workspace(load_writer()(tmp_path, tie=True, searched=True))
    compare.run(params, workspace)
    text = (workspace.reports / "comparison.md").read_text(encoding="utf-8")
    assert "**No verdict yet: too few users were tested to see a difference that matters.**" in text


def test_of_a_single_user_nothing_is_claimed(workspace: Workspace, params: Params):
    kept = pd.read_parquet(workspace.evaluation("mf") / "users.parquet").user_id.iloc[0]
    for path in [*workspace.root.glob("artifacts/evaluation/*/*.parquet"), workspace.split / "test.parquet"]:
        table = pd.read_parquet(path)
        if "user_id" in table and not path.name.startswith("new_user"):
            table[table.user_id == kept].to_parquet(path, index=False)
    compare.run(params, workspace)
    text = (workspace.reports / "comparison.md").read_text(encoding="utf-8")
    assert "No verdict yet" in text
    assert "too few users were tested to see a difference that matters" in text
    assert "Over 1 warm user" in text


def with_one_item(workspace: Workspace) -> None:
    """The same users and models, in a shop that has one item, which all had and were given."""
    vocabulary = workspace.vocabulary / "items.parquet"
    items = pd.read_parquet(vocabulary).head(1)
    items.to_parquet(vocabulary, index=False)
    tables = "artifacts/evaluation/*/*.parquet", "artifacts/items/*/*.parquet", "artifacts/split/*.parquet"
    for path in [path for pattern in tables for path in workspace.root.glob(pattern)]:
        table = pd.read_parquet(path)
        if "rank" in table:
            table = table[table["rank"] == 1]
        if "neighbour_id" in table or "x" in table:
            table = table.head(0 if "neighbour_id" in table else 1)
        changed = {"item_id": items.item_id.iloc[0], "num_test": 1}
        table = table.assign(**{name: value for name, value in changed.items() if name in table})
        if path.parent == workspace.split:
            table = table.drop_duplicates([name for name in ("user_id", "part") if name in table])
        table.to_parquet(path, index=False)


def test_a_catalogue_of_a_single_item_is_compared(workspace: Workspace, params: Params):
    with_one_item(workspace)
    compare.run(params, workspace)
    evidence.run(params, workspace)
    assert "1 items" in (workspace.reports / "evidence.html").read_text(encoding="utf-8")
