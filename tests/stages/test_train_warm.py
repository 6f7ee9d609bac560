"""Training with `warm_start.mode: auto`: what it keeps, what it starts from, and when it is a full fit all the same."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import small_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import file_hash
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.training import warm_start
from bakeoff.experiments.training.checkpoints import Checkpoints
from bakeoff.experiments.training.params import WarmStartParams
from bakeoff.experiments.training.runner import Experiment
from bakeoff.experiments.training.warm_start import Parent, read_parent, train_auto, why_full
from bakeoff.models.base.specs import spec
from bakeoff.models.base.start import StartError
from bakeoff.models.mf import als
from bakeoff.models.mf.als import build
from bakeoff.stages import train

PARAMS = small_split.PARAMS.model_copy(update={"warm_start": WarmStartParams(mode="auto", epoch_share=0.5)})
DAY = 86_400


def copied(workspace, model):
    """Make what the model left its parent, as `bakeoff parents` does."""
    workspace.parents.mkdir(exist_ok=True)
    path = shutil.copy(workspace.start(model), workspace.parents / f"{model}.npz")
    named = {"version": f"{model}@v1.0.0", "commit": "0" * 40, "md5": file_hash(path, "md5")}
    workspace.parents_record.write_text(json.dumps({model: named}))
    return named


def lineage(workspace, model):
    return json.loads(workspace.training(model).read_text())["warm_start"]


@pytest.fixture
def parent(workspace):
    train.run(PARAMS, workspace, "mf")
    copied(workspace, "mf")
    return read_parent(workspace, "mf")


@pytest.mark.parametrize("model", ["mf", "softmax"])
def test_a_training_leaves_what_the_next_one_starts_from(workspace, model):
    train.run(PARAMS, workspace, model)
    assert lineage(workspace, model) == {
        "fit": "full",
        "reason": "There is no model to start from.",
        "parent": None,
        "nights": 0,
    }
    named = copied(workspace, model)
    first = read_parent(workspace, model)
    assert first.full is first.last
    train.run(PARAMS.model_copy(update={"warm_start": WarmStartParams(mode="auto", margin=1)}), workspace, model)
    found = lineage(workspace, model)
    assert (found["fit"], found["reason"], found["parent"], found["nights"]) == ("warm", None, named, 1)
    assert 0 < found["valid_ndcg@10"] <= 1
    described = json.loads(workspace.training(model).read_text())
    assert [len(described[curve]) for curve in ("curve", "refit_curve")] == [1, 1]
    # Those of a full fit, as they were tuned: the check of the verdict (BK001) compares them with the search.
    tuned = PARAMS.section(model).model_dump(mode="json")
    assert {name: described["settings"][name] for name in {"max_epochs", "learning_rate"} & tuned.keys()} == {
        name: tuned[name] for name in {"max_epochs", "learning_rate"} & tuned.keys()
    }
    copied(workspace, model)
    second = read_parent(workspace, model)
    assert (second.nights, second.newest) == (1, first.newest)
    for name, weight in second.full.weights.items():  # the last full fit is handed on
        np.testing.assert_array_equal(weight, first.last.weights[name])
    assert any((weight != first.last.weights[name]).any() for name, weight in second.last.weights.items())


def test_the_epoch_is_chosen_from_weights_that_never_saw_validation_and_the_refit_goes_on_from_what_was_shipped(
    workspace, parent
):
    shipped = np.load(workspace.trained("mf") / "arrays/item_embeddings.npy")
    np.testing.assert_array_equal(parent.shipped.weights["item_embeddings"], shipped)
    assert not np.array_equal(parent.last.weights["item_embeddings"], shipped)
    other = replace(parent.shipped, weights={name: -weight for name, weight in parent.shipped.weights.items()})
    experiment = Experiment(spec("mf"), PARAMS.mf, load_prepared(workspace), PARAMS.seed)
    found = []
    for each in (parent, replace(parent, shipped=other)):
        checkpoints = [Checkpoints(workspace, name, "test") for name in ("full", "warm")]
        rules = WarmStartParams(mode="auto", margin=1)
        found.append(train_auto(experiment, each, rules, PARAMS.split_settings, checkpoints)[1])
        for made in checkpoints:
            made.remove()
    one, two = found
    for name, weight in one.last.weights.items():
        np.testing.assert_array_equal(weight, two.last.weights[name])
    assert any((weight != two.shipped.weights[name]).any() for name, weight in one.shipped.weights.items())


def test_a_parent_that_kept_no_shipped_weights_starts_the_refit_from_its_selected_ones(parent):
    arrays = parent.arrays()
    meta = json.loads(arrays["meta"].tobytes())
    del meta["shipped"]
    kept = {name: array for name, array in arrays.items() if not name.startswith("shipped/")}
    older = Parent.of_arrays(kept | {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    assert older.shipped is older.last
    np.testing.assert_array_equal(older.last.weights["item_embeddings"], parent.last.weights["item_embeddings"])


def test_with_mode_off_nothing_is_kept_and_a_parent_is_not_looked_at(workspace):
    train.run(PARAMS, workspace, "mf")
    copied(workspace, "mf")
    (workspace.parents / "mf.npz").write_text("rubbish")
    train.run(small_split.PARAMS, workspace, "mf")
    assert not workspace.start("mf").exists()
    assert "warm_start" not in json.loads(workspace.training("mf").read_text())


def test_a_model_that_is_fitted_once_takes_no_part(workspace):
    train.run(PARAMS, workspace, "ease")
    assert not workspace.start("ease").exists()


def test_a_warm_fit_that_falls_behind_gives_way_to_a_full_one(workspace, parent, monkeypatch, capsys):
    train.run(small_split.PARAMS, workspace, "mf")
    full = {path.name: path.read_bytes() for path in (workspace.trained("mf") / "arrays").iterdir()}
    scores = {"valid_ndcg@10": 0.2, "valid_ndcg@10_of_last_full_fit": 0.2021}
    monkeypatch.setattr(warm_start, "_compared", lambda *_: scores)
    train.run(PARAMS, workspace, "mf")
    found = lineage(workspace, "mf")
    assert (found["fit"], found["nights"], found["valid_ndcg@10"]) == ("full", 0, 0.2)
    assert "reached ndcg@10 0.2000 on validation, and the last full fit has 0.2021 on the same users" in found["reason"]
    assert f"mf: a full fit. {found['reason']}" in capsys.readouterr().out
    assert full == {path.name: path.read_bytes() for path in (workspace.trained("mf") / "arrays").iterdir()}
    scores["valid_ndcg@10_of_last_full_fit"] = 0.202
    train.run(PARAMS, workspace, "mf")
    assert lineage(workspace, "mf")["fit"] == "warm"


def test_without_validation_the_model_starts_from_the_parent_and_nothing_is_compared(workspace):
    small_split.write_split(workspace, with_valid=False)
    train.run(PARAMS, workspace, "mf")
    copied(workspace, "mf")
    train.run(PARAMS, workspace, "mf")
    found = lineage(workspace, "mf")
    assert (found["fit"], "valid_ndcg@10" in found) == ("warm", False)
    assert workspace.start("mf").exists()


@pytest.mark.parametrize(
    ("nights", "days", "section", "reason"),
    [
        (0, 0, {}, None),
        (5, 6.9, {}, None),
        (6, 0, {}, r"It is due: 0\.0 days of events and 7 trainings since the last full fit"),
        (0, 7, {}, r"It is due: 7\.0 days .* warm_start\.max_days is 7\."),
        (0, 0, {"recency_scale": 3.0, "dim": 5}, r"Settings have changed .*: mf\.dim, mf\.recency_scale\."),
    ],
)
def test_a_full_fit_is_due_after_a_week_and_where_settings_have_changed(workspace, nights, days, section, reason):
    prepared, settings = load_prepared(workspace), PARAMS.mf
    newest = max(prepared.train.timestamps.max(), prepared.valid.timestamps.max())
    section_before, newest_before = settings.model_dump(mode="json"), int(newest - days * DAY)
    old = Parent(None, None, None, section_before, PARAMS.split_settings, nights, newest_before)
    experiment = Experiment(spec("mf"), settings.model_copy(update=section), prepared, 0)
    found = why_full(experiment, old, PARAMS.warm_start, PARAMS.split_settings)
    assert found is None if reason is None else re.match(reason, found)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"split": {"test_share": 0.3, "method": "leave-last-out"}}, "split.method, split.test_share"),
        ({"seed": 8}, "seed"),
        ({"data": {"event_weights": {"view": 1}}}, "data.event_weights"),
    ],
)
def test_another_split_leads_to_a_full_fit_since_the_parent_has_learned_from_what_is_test_now(
    workspace, parent, change, names
):
    values = {
        name: getattr(PARAMS, name).model_copy(update=value) if isinstance(value, dict) else value
        for name, value in change.items()
    }
    train.run(PARAMS.model_copy(update=values), workspace, "mf")
    found = lineage(workspace, "mf")
    assert found["fit"] == "full"
    assert found["reason"] == (
        f"The split has changed since the model in production was trained ({names}): that model may have learned from "
        "events that are test now."
    )


def test_a_parent_that_did_not_keep_how_its_events_were_split_leads_to_a_full_fit(workspace, parent):
    arrays = parent.arrays()
    meta = json.loads(arrays["meta"].tobytes())
    del meta["split_settings"]
    np.savez(workspace.start("mf"), **arrays | {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    copied(workspace, "mf")
    train.run(PARAMS, workspace, "mf")
    found = lineage(workspace, "mf")
    assert found["fit"] == "full"
    assert found["reason"].startswith("The model in production comes from a version that did not record how its events")


@pytest.mark.parametrize("with_valid", [True, False])
def test_weights_that_do_not_fit_lead_to_a_full_fit(workspace, parent, monkeypatch, with_valid):
    small_split.write_split(workspace, with_valid=with_valid)

    def fitting(*arguments, start=None):
        if start is not None:
            raise StartError("The features are others.")
        return build(*arguments)

    monkeypatch.setattr(als, "build", fitting)
    train.run(PARAMS, workspace, "mf")
    found = lineage(workspace, "mf")
    assert (found["fit"], found["reason"]) == ("full", "The features are others.")


def test_a_parent_that_is_not_the_one_that_is_named_is_refused_with_what_to_do(workspace, parent):
    record = json.loads(workspace.parents_record.read_text())
    workspace.parents_record.write_text(json.dumps({"mf": record["mf"] | {"md5": "0b37"}}))
    with pytest.raises(BakeoffError, match=r"its MD5 is not 0b37.*dvc pull parents.dvc"):
        train.run(PARAMS, workspace, "mf")
    (workspace.parents / "mf.npz").unlink()
    with pytest.raises(BakeoffError, match=r"mf.npz, the model that training starts from.*bakeoff parents"):
        train.run(PARAMS, workspace, "mf")
    workspace.parents_record.write_text("[]")
    with pytest.raises(BakeoffError, match=r"warm_start\.mode: off"):
        train.run(PARAMS, workspace, "mf")
