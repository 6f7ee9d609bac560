import json
import shutil

import numpy as np
import pandas as pd
import pytest
import small_split
from hand_made_split import complete

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments import latency
from bakeoff.models.base import specs
from bakeoff.models.base.loading import graph_bytes
from bakeoff.models.base.storage import skip_training
from bakeoff.stages import export, serving, train

TRAINED = ("popularity", "mf", "softmax")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A split with three trained models; the others are skipped."""
    workspace = Workspace(tmp_path_factory.mktemp("served"))
    small_split.write_split(workspace)
    for name in specs.names():
        if name in TRAINED:
            train.run(small_split.PARAMS, workspace, name)
        else:
            skip_training(workspace, name, "Too large.")
        export.run(workspace, name)
    return workspace


@pytest.fixture(scope="module")
def found(trained):
    serving.run(small_split.PARAMS, trained)
    return json.loads(trained.cost("serving").read_text(encoding="utf-8"))["models"]


def test_every_model_that_was_not_skipped_is_measured(found):
    assert tuple(found) == TRAINED
    for figures in found.values():
        for asked in (figures["batches"]["1"], figures["batches"]["256"], figures["history"]["1"]):
            assert 0 < asked["p50_seconds"] <= asked["p95_seconds"]
            assert asked["calls"] >= latency.FEWEST_CALLS
            assert asked["p50_seconds_low"] <= asked["p50_seconds"] <= asked["p50_seconds_high"]
            assert asked["p95_seconds_low"] <= asked["p95_seconds"]


def test_mf_is_measured_once_more_with_stored_users_and_gives_the_same_lists(found, trained):
    assert [name for name, figures in found.items() if "stored" in figures] == ["mf"]
    stored = found["mf"]["stored"]
    assert set(stored) == {"1", "256"}
    assert all(asked["calls"] >= latency.FEWEST_CALLS for asked in stored.values())
    prepared = load_prepared(trained)
    served = latency.load_exported(trained, prepared.items)
    quick = latency.with_stored_users(served["mf"], prepared)
    ids = prepared.user_ids(prepared.warm_users).to_numpy(zero_copy_only=False).astype(np.str_)
    answers = [each.module.recommend_for_users(ids, 5) for each in (served["mf"], quick)]
    np.testing.assert_array_equal(answers[0]["item_ids"], answers[1]["item_ids"])
    np.testing.assert_allclose(answers[0]["scores"], answers[1]["scores"], rtol=1e-5)


def test_what_a_model_is_and_holds_is_said(found, trained):
    mf = found["mf"]
    assert mf["model_bytes"] == graph_bytes(trained.saved_model("mf"))
    assert "folded in" in mf["precomputed"]
    assert "query tower" in found["softmax"]["precomputed"]


def test_calls_by_history_and_by_id_give_the_same_lists(trained):
    prepared, users = load_prepared(trained), np.arange(14)
    served = latency.load_exported(trained, prepared.items)
    by_id = latency.calls_by_id(served, prepared, users, 1)
    by_history = latency.calls_by_history(served, prepared, users, prepared.known().take(users))
    for name in TRAINED:
        for known, told in zip(by_id[name][:14], by_history[name][:14], strict=True):
            np.testing.assert_array_equal(known()["item_ids"], told()["item_ids"])


def test_batches_of_more_users_than_there_are_start_over(trained):
    asked = []

    class Module:
        item_embeddings = np.zeros((12, 1))

        def recommend_for_users(self, ids, k):
            asked.append((ids.tolist(), k))

    exported, users = {"mf": latency.LoadedExport(Module(), 0, TableEncoding())}, np.array([2, 5, 1])
    latency.calls_by_id(exported, load_prepared(trained), users, 256)["mf"][0]()
    [(ids, k)] = asked
    assert (len(ids), k) == (256, 10)
    assert ids[:4] == ["u3", "u6", "u2", "u3"]


def test_the_first_calls_do_not_count_and_models_take_turns():
    order = []
    calls = {name: [lambda name=name: order.append(name)] * 8 for name in ("a", "b")}
    seconds = latency.take_turns(calls, 5, 60)
    assert order == ["a", "b"] * 8
    assert [len(values) for values in seconds.values()] == [5, 5]


def test_calls_that_take_too_long_are_cut_to_the_fewest_that_count():
    seconds = latency.take_turns({"a": [lambda: None] * 103}, 100, 0)
    assert len(seconds["a"]) == latency.FEWEST_CALLS


def test_a_model_of_another_catalogue_is_refused(trained, tmp_path):
    shutil.copytree(trained.root, tmp_path, dirs_exist_ok=True)
    workspace = Workspace(tmp_path)
    items = pd.read_parquet(workspace.vocabulary / "items.parquet")
    longer = items.iloc[[*range(12), 11]].assign(item_index=np.arange(13, dtype=np.int32))
    longer["item_id"] = [*items["item_id"], "i13"]
    longer.to_parquet(workspace.vocabulary / "items.parquet", index=False)
    complete(workspace)
    with pytest.raises(BakeoffError, match=r"knows 12 items and the split's catalogue has 13"):
        serving.run(small_split.PARAMS, workspace)


def test_a_model_of_other_items_is_refused_though_they_are_as_many(trained, tmp_path):
    shutil.copytree(trained.root, tmp_path, dirs_exist_ok=True)
    workspace = Workspace(tmp_path)
    items = pd.read_parquet(workspace.vocabulary / "items.parquet")
    swapped = items.assign(item_id=items["item_id"].to_numpy()[[1, 0, *range(2, 12)]])
    swapped.to_parquet(workspace.vocabulary / "items.parquet", index=False)
    first, second = items["item_id"][:2]
    with pytest.raises(BakeoffError, match=rf"other items than .*, item '{first}' where that has '{second}'.*train "):
        serving.run(small_split.PARAMS, workspace)


def test_a_model_that_lacks_a_file_is_refused(trained, tmp_path):
    shutil.copytree(trained.root, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "models/mf/saved_model")
    with pytest.raises(BakeoffError, match="holds no exported model"):
        serving.run(small_split.PARAMS, Workspace(tmp_path))
