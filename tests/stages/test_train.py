import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import small_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.models.base import specs
from bakeoff.models.base.storage import load_trained
from bakeoff.stages import evaluate, train

TRAIN_ALL = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from bakeoff.core.workspace import Workspace
from bakeoff.ops import recommend
from bakeoff.params import Params
from bakeoff.stages import evaluate, train
params, workspace, loaded = Params.model_validate_json(sys.argv[1]), Workspace(Path(sys.argv[2])), {}
*no_networks, softmax, two_tower = sys.argv[3:]
for name in no_networks:
    train.run(params, workspace, name)
    with redirect_stdout(StringIO()):
        evaluate.run(params, workspace, name)
        recommend.run(workspace, model=name, user="u1", history=None, features=(), k=3, why=False)
    loaded[name] = [module for module in ("tensorflow", "tf_keras") if module in sys.modules]
(workspace.root / "loaded.json").write_text(json.dumps(loaded))
from bakeoff.models.base.tensorflow import tf
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # as in all tests, see forking.py
train.run(params, workspace, softmax)
train.run(params, workspace, two_tower)
"""
NO_EPOCHS = ("popularity", "recent_popularity", "ease")
"""Models that are fitted at once: there is no epoch to choose."""

NUM_TRAIN, NUM_VALID = 3 * len(small_split.WARM), len(small_split.WARM)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A workspace in which a process of its own trained every model, and what it printed."""
    root = tmp_path_factory.mktemp("trained")
    small_split.write_split(Workspace(root))
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        TRAIN_ALL,
        small_split.PARAMS.model_dump_json(),
        root,
        *specs.names(),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done
    return Workspace(root), done


@pytest.fixture(scope="module")
def trained(run):
    return run[0]


def training(workspace, name):
    return json.loads(workspace.training(name).read_text(encoding="utf-8"))


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", specs.names())
def test_a_trained_model_is_arrays_and_what_it_knows_of_items_users_and_features(trained, name):
    files = {"model.json", "features.json", "items.parquet", "users.parquet"}
    found = set(digests(trained.trained(name)))
    assert {path for path in found if not path.startswith("arrays/")} == files
    assert "arrays/item_embeddings.npy" in found
    assert [path.name for path in trained.model(name).iterdir()] == ["trained"]
    assert [path.name for path in sorted((trained.root / "models").iterdir())] == sorted(specs.names())
    items = pd.read_parquet(trained.trained(name) / "items.parquet")
    assert items["item_id"].tolist() == small_split.ITEMS
    assert items.columns.tolist() == ["item_id", "title", "year", "genres"]  # what lists can be filtered by
    encoding = (trained.trained(name) / "features.json").read_text(encoding="utf-8")
    assert FeatureEncoding.model_validate_json(encoding) == load_prepared(trained).encoding


@pytest.mark.parametrize(("name", "dim", "epochs"), [("mf", 4, 3), ("softmax", 4, 2), ("two_tower", 4, 2)])
def test_training_json_describes_a_contender(trained, name, dim, epochs):
    found = training(trained, name)
    assert set(found) == {
        "model",
        "dim",
        "selected_epoch",
        "selection_metric",
        "num_parameters",
        "num_train_events",
        "fallback",
        "curve",
        "refit_curve",
        "settings",
        "notes",
    }
    assert (found["model"], found["dim"], found["selection_metric"]) == (name, dim, "ndcg@10")
    assert found["num_train_events"] == NUM_TRAIN + NUM_VALID
    assert [row["epoch"] for row in found["curve"]] == list(range(1, epochs + 1))
    assert all(set(row) == {"epoch", "loss", "valid_ndcg@10", "valid_recall@20"} for row in found["curve"])
    scores = [row["valid_ndcg@10"] for row in found["curve"]]
    assert found["selected_epoch"] == 1 + scores.index(max(scores))
    assert [row["epoch"] for row in found["refit_curve"]] == list(range(1, found["selected_epoch"] + 1))
    assert found["settings"] == getattr(small_split.PARAMS, name).model_dump(mode="json")
    assert (found["fallback"] is None) == (name != "mf")


@pytest.mark.parametrize(
    ("name", "different"),
    [
        ("popularity", {}),
        # The events of the last 0.001 days are the last two of each user, a minute apart, of four.
        (
            "recent_popularity",
            {
                "settings": {"window_days": 0.001},
                "notes": {"events_in_window": 2 * len(small_split.WARM), "events_without_time": 0},
            },
        ),
        (
            "ease",
            {
                "dim": 12,
                "num_parameters": 12 * 11,
                "fallback": "A user without history is represented by the mean of all training histories.",
                "settings": {"regularization": 2, "recency_scale": 3, "window": None, "max_items": 10_000},
            },
        ),
    ],
)
def test_training_json_of_a_baseline_has_nothing_to_select(trained, name, different):
    same = {
        "model": name,
        "dim": 1,
        "selected_epoch": None,
        "selection_metric": None,
        "num_parameters": len(small_split.ITEMS),
        "num_train_events": NUM_TRAIN + NUM_VALID,
        "fallback": None,
        "curve": [],
        "refit_curve": [],
        "settings": {},
        "notes": {},
    }
    assert training(trained, name) == same | different


def test_the_item_tower_embeds_an_item_without_events(trained):
    embeddings = load_trained(trained.trained("two_tower")).item_embeddings
    assert np.linalg.norm(embeddings[-1]) == pytest.approx(1, abs=1e-5)  # the last item of the split has none


def test_popularity_counts_train_and_validation(trained):
    prepared = load_prepared(trained)
    expected = np.bincount(prepared.known().items, minlength=len(small_split.ITEMS))
    assert load_trained(trained.trained("popularity")).item_embeddings.ravel().tolist() == expected.tolist()


def test_recent_popularity_counts_the_window_and_then_all_time(trained):
    prepared = load_prepared(trained)
    known = prepared.known()
    ever, recent = (np.bincount(part.items, minlength=12) for part in (known, known.last(2)))
    found = load_trained(trained.trained("recent_popularity")).item_embeddings.ravel()
    assert found == pytest.approx(recent + ever / (ever.max() + 1))


def test_ease_was_fitted_on_validation_as_well(trained):
    from bakeoff.models.ease import ease

    known = load_prepared(trained).known().take(np.arange(len(small_split.WARM)))
    expected = ease.fit(known, len(small_split.ITEMS), small_split.PARAMS.ease)
    exported = load_trained(trained.trained("ease")).item_embeddings
    assert exported == pytest.approx(expected.item_embeddings, abs=1e-6)


def test_the_exported_contender_was_refitted_on_validation_as_well(trained, workspace):
    # MF of train and valid together, trained for the selected number of epochs, is the exported one.
    from bakeoff.models.mf.als import ImplicitALS

    prepared = load_prepared(trained)
    users = np.arange(len(small_split.WARM))
    trainer = ImplicitALS(
        prepared.known().take(users), prepared.num_items, small_split.PARAMS.mf, small_split.PARAMS.seed
    )
    for _ in range(training(trained, "mf")["selected_epoch"]):
        trainer.run_epoch()
    exported = load_trained(trained.trained("mf")).item_embeddings
    assert exported == pytest.approx(trainer.retriever().item_embeddings, abs=1e-6)


@pytest.mark.parametrize("name", specs.names())
def test_every_trained_model_can_be_evaluated(trained, name):
    evaluate.run(small_split.PARAMS, trained, name)
    metrics = json.loads((trained.evaluation(name) / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test"]["num_users"] == len(small_split.WARM)
    assert metrics["test"]["fallback_share"] == 0
    assert metrics["new_users"]["0"]["num_users"] == len(small_split.NEW)
    assert metrics["new_users"]["0"]["fallback_share"] == (1 if name in ("ease", "mf") else 0)
    lists = pd.read_parquet(trained.evaluation(name) / "recommendations.parquet")
    # Four of twelve items are known of each user: eight are left for a list of ten.
    assert lists.groupby("user_id").size().tolist() == [8] * len(small_split.WARM)


@pytest.mark.parametrize("name", specs.names())
def test_the_cost_of_training_is_measured(trained, name):
    cost = json.loads(trained.cost(f"train/{name}").read_text(encoding="utf-8"))
    assert {"wall_seconds", "cpu_seconds", "peak_memory_bytes"} < set(cost)
    assert cost["selection_seconds"] + cost["refit_seconds"] <= cost["wall_seconds"]
    assert (cost["seconds_per_epoch"] > 0) == (name not in NO_EPOCHS)
    assert cost["refit_seconds"] > 0


@pytest.mark.parametrize("name", [name for name in specs.names() if name not in NO_EPOCHS])
def test_the_cost_of_each_epoch_but_the_first_of_a_phase_is_kept(trained, name):
    cost = json.loads(trained.cost(f"train/{name}").read_text(encoding="utf-8"))
    found = training(trained, name)
    epochs = len(found["curve"]) + len(found["refit_curve"]) - 2
    assert len(cost["epoch_seconds"]) == len(cost["epoch_cpu_seconds"]) == epochs
    assert 0 < sum(cost["epoch_seconds"]) < cost["selection_seconds"] + cost["refit_seconds"]


def test_a_summary_is_printed_and_nothing_else(run):
    printed, errors = run[1].stdout, run[1].stderr
    lines = printed.splitlines()
    assert lines[0] == "popularity: 12 items counted over 56 events"
    assert lines[1] == "recent_popularity: 12 items counted over 28 events of the last 0.001 days"
    assert lines[2] == "ease: 132 weights between 12 items, of 56 events"
    assert lines[3].startswith("mf: epoch ")
    assert " of 3 (validation ndcg@10 0." in lines[3]
    assert lines[4] == "  104 parameters, 56 events"  # (14 users + 12 items) · 4
    assert lines[5].startswith("softmax: epoch ")
    assert lines[7].startswith("two_tower: epoch ")
    assert len(lines) == 9
    assert errors == ""


def test_models_that_are_no_networks_are_trained_evaluated_and_asked_without_tensorflow(trained):
    # One after the other by one process: what loads TensorFlow for one of them is found all the same.
    loaded = json.loads((trained.root / "loaded.json").read_text(encoding="utf-8"))
    assert loaded == {name: [] for name in ("popularity", "recent_popularity", "ease", "mf")}


def test_without_validation_events_the_last_epoch_is_taken_and_said_to_be(tmp_path, capsys):
    workspace = Workspace(tmp_path)
    small_split.write_split(workspace, with_valid=False)
    train.run(small_split.PARAMS, workspace, "mf")
    found = training(workspace, "mf")
    assert (found["selected_epoch"], found["selection_metric"], found["curve"]) == (3, None, [])
    assert len(found["refit_curve"]) == 3
    assert found["num_train_events"] == NUM_TRAIN
    assert "mf: epoch 3 of 3 (the last one: there are no validation events to choose on)" in capsys.readouterr().out


@pytest.mark.parametrize("name", specs.names())
def test_without_a_split_the_stage_says_what_to_run(tmp_path, name):
    with pytest.raises(BakeoffError, match="is missing: run `bakeoff split` first"):
        train.run(small_split.PARAMS, Workspace(tmp_path), name)
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("name", specs.names())
def test_without_train_events_the_stage_says_what_to_change(workspace, name):
    events = pd.read_parquet(workspace.split / "train.parquet")
    events[:0].to_parquet(workspace.split / "train.parquet")
    with pytest.raises(BakeoffError, match="train part has no event: lower"):
        train.run(small_split.PARAMS, workspace, name)


def test_training_again_takes_the_place_of_the_former_model(workspace):
    train.run(small_split.PARAMS, workspace, "popularity")
    (workspace.trained("popularity") / "left over").write_text("x", encoding="utf-8")
    (workspace.model("popularity") / ".trained.part").mkdir()
    train.run(small_split.PARAMS, workspace, "popularity")
    assert "left over" not in digests(workspace.model("popularity"))
    assert [path.name for path in workspace.model("popularity").iterdir()] == ["trained"]


def test_a_training_that_fails_leaves_the_former_model_as_it_was(workspace, monkeypatch):
    train.run(small_split.PARAMS, workspace, "popularity")
    before = digests(workspace.model("popularity"))

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("bakeoff.models.base.storage.write_known_users", fail)
    with pytest.raises(OSError, match="disk full"):
        train.run(small_split.PARAMS, workspace, "popularity")
    assert digests(workspace.model("popularity")) == before


def test_the_test_part_has_no_influence_on_a_model(workspace, tmp_path):
    other = Workspace(tmp_path / "other")
    shutil.copytree(workspace.split, other.split)
    test = pd.read_parquet(other.split / "test.parquet")
    test[:3].to_parquet(other.split / "test.parquet")
    for each in (workspace, other):
        train.run(small_split.PARAMS, each, "mf")
    weights = [digests(each.trained("mf") / "arrays") for each in (workspace, other)]
    assert weights[0] == weights[1]
    assert training(workspace, "mf") == training(other, "mf")
