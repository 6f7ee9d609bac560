"""Stage `evaluate` with `evaluate.visits`: visits of warm users have figures next to those of whole users."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import small_split

from bakeoff.core.errors import BakeoffError
from bakeoff.stages import evaluate, train

NAME = "popularity"


def asked(**changed):
    changed = {"visits": True, **changed}
    return small_split.PARAMS.model_copy(update={"evaluate": small_split.PARAMS.evaluate.model_copy(update=changed)})


def shift_tests(workspace, seconds):
    """Have every user's test events happen so much later."""
    path = workspace.split / "test.parquet"
    table = pq.read_table(path).to_pandas()
    table["timestamp"] += seconds
    schema = pq.read_schema(path)
    pq.write_table(pq.read_table(path).from_pandas(table, schema=schema, preserve_index=False), path)


def run(workspace, params):
    train.run(params, workspace, NAME)
    evaluate.run(params, workspace, NAME)
    return json.loads((workspace.evaluation(NAME) / "metrics.json").read_text())["test"]


def test_with_one_visit_each_they_have_the_figures_of_users(workspace, capsys):
    shift_tests(workspace, 7_200)
    found = run(workspace, asked())
    assert found["visits"] == found["after_pause"] == 1
    for name in ("ndcg@10", "recall@2", "mrr@10", "hit_rate@2"):
        assert found[f"visits_{name}"] == found[f"after_pause_{name}"] == found[name]
    of_users = pd.read_parquet(workspace.evaluation(NAME) / "users.parquet")
    np.testing.assert_array_equal(of_users["visits_ndcg@10"], of_users["ndcg@10"])
    assert "ndcg@2 of each visit asked at its own time" in capsys.readouterr().out


def test_where_nobody_comes_back_there_is_no_figure_after_a_pause(workspace):
    found = run(workspace, asked())
    assert found["after_pause"] == 0
    assert found["after_pause_ndcg@10"] is None


def test_without_the_setting_there_are_none(workspace):
    assert not [name for name in run(workspace, asked(visits=False)) if name.startswith(("visits", "after_pause"))]


def test_a_split_that_is_not_by_time_is_refused_and_nothing_is_left(workspace):
    shift_tests(workspace, -100_000)
    with pytest.raises(
        BakeoffError, match=r"evaluate\.visits is true.*held-out events before known ones.*split\.method"
    ):
        run(workspace, asked())
    assert not workspace.evaluation(NAME).exists()
