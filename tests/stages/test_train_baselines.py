import json
import re

import pandas as pd
import pytest
import small_split

from bakeoff.stages import evaluate, train


def training(workspace, name="ease"):
    return json.loads(workspace.training(name).read_text(encoding="utf-8"))


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def eleven_at_most():
    """Settings under which twelve items are too many for EASE."""
    smaller = small_split.PARAMS.ease.model_copy(update={"max_items": 11})
    return small_split.PARAMS.model_copy(update={"ease": smaller})


def test_a_catalogue_too_large_for_ease_is_skipped_with_a_note(workspace, eleven_at_most, capsys):
    train.run(small_split.PARAMS, workspace, "ease")  # a former model must not be left
    train.run(eleven_at_most, workspace, "ease")
    assert names(workspace.trained("ease")) == ["model.json"]
    found = training(workspace)
    assert set(found) == {"model", "skipped"}
    assert found["model"] == "ease"
    assert re.search(r"12 items would take .* GB.*more than ease\.max_items = 11", found["skipped"])
    assert "ease is skipped: EASE weighs every item" in capsys.readouterr().out
    cost = json.loads(workspace.cost("train/ease").read_text(encoding="utf-8"))
    assert (cost["selection_seconds"], cost["refit_seconds"], cost["seconds_per_epoch"]) == (0, 0, 0)
    assert cost["wall_seconds"] > 0


def test_a_catalogue_of_max_items_is_trained_on(workspace):
    twelve = small_split.PARAMS.ease.model_copy(update={"max_items": 12})
    train.run(small_split.PARAMS.model_copy(update={"ease": twelve}), workspace, "ease")
    assert "skipped" not in training(workspace)


def test_the_evaluation_of_a_skipped_model_passes_the_reason_on(workspace, eleven_at_most, capsys):
    train.run(small_split.PARAMS, workspace, "ease")
    evaluate.run(small_split.PARAMS, workspace, "ease")  # a former evaluation must not be left
    train.run(eleven_at_most, workspace, "ease")
    capsys.readouterr()
    evaluate.run(eleven_at_most, workspace, "ease")
    assert names(workspace.evaluation("ease")) == ["metrics.json"]
    metrics = json.loads((workspace.evaluation("ease") / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == {"skipped": training(workspace)["skipped"]}
    assert "ease is skipped: EASE weighs every item" in capsys.readouterr().out
    cost = json.loads(workspace.cost("evaluate/ease").read_text(encoding="utf-8"))
    assert (cost["ranking_seconds"], cost["ranked_queries"]) == (0, 0)


@pytest.mark.parametrize("time", [0, 1_600_000_000])
def test_where_no_event_has_a_time_of_its_own_baselines_say_that_order_played_no_part(workspace, capsys, time):
    for part in ("train", "valid"):
        path = workspace.split / f"{part}.parquet"
        pd.read_parquet(path).assign(timestamp=time).to_parquet(path, index=False)
    train.run(small_split.PARAMS, workspace, "recent_popularity")
    train.run(small_split.PARAMS, workspace, "ease")
    found = training(workspace, "recent_popularity")
    assert found["settings"] == {"window_days": None}
    assert found["notes"] == {"events_in_window": 56, "events_without_time": 56}
    assert "56 events of all time, since no event has a time" in capsys.readouterr().out
    assert training(workspace)["settings"]["recency_scale"] is None
