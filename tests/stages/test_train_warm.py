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
from bakeoff.experiments.training import checkpoints, shipped, warm_start
from bakeoff.experiments.training.checkpoints import Checkpoints
from bakeoff.experiments.training.params import WarmStartParams
from bakeoff.experiments.training.runner import Experiment, run_epochs
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


def read_parent_of(workspace, model):
    """What the model left to the next training."""
    with np.load(workspace.start(model)) as stored:
        return Parent.of_arrays(dict(stored))


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
        "reason": "There is no model to start from: `bakeoff parents` copies those in production.",
        "parent": None,
        "nights": 0,
    }
    full = json.loads(workspace.training(model).read_text())["curve"]
    named = copied(workspace, model)
    first = read_parent(workspace, model)
    assert first.full is first.last
    train.run(PARAMS.model_copy(update={"warm_start": WarmStartParams(mode="auto", margin=1)}), workspace, model)
    found = lineage(workspace, model)
    assert (found["fit"], found["reason"], found["parent"], found["nights"]) == ("warm", None, named, 1)
    assert 0 < found["valid_ndcg@10"] <= 1
    # The guard judges the last full fit by the weights of its epoch, on the same validation here.
    assert found["valid_ndcg@10_of_last_full_fit"] == pytest.approx(max(row["valid_ndcg@10"] for row in full), abs=1e-6)
    described = json.loads(workspace.training(model).read_text())
    assert [len(described[curve]) for curve in ("curve", "refit_curve")] == [1, 1]
    # Those of a full fit, as they were tuned: the check of the verdict (BK001) compares them with the search.
    tuned = PARAMS.section(model).model_dump(mode="json")
    assert {name: described["settings"][name] for name in {"max_epochs", "learning_rate"} & tuned.keys()} == {
        name: tuned[name] for name in {"max_epochs", "learning_rate"} & tuned.keys()
    }
    copied(workspace, model)
    second = read_parent(workspace, model)
    assert (second.nights, second.epoch, second.newest) == (1, first.epoch, first.newest)
    np.testing.assert_equal(second.full.weights, first.last.weights)  # the last full fit is handed on
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
    np.testing.assert_equal(one.last.weights, two.last.weights)
    assert any((weight != two.shipped.weights[name]).any() for name, weight in one.shipped.weights.items())


def known_as(workspace, model, **changed):
    """Make what the model left its parent, with other values beside its weights; None: such a value is missing."""
    with np.load(workspace.start(model)) as stored:
        arrays = dict(stored)
    meta = json.loads(arrays["meta"].tobytes()) | changed
    meta = {name: value for name, value in meta.items() if value is not None}
    np.savez(workspace.start(model), **arrays | {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    copied(workspace, model)


def scratch_every(trainings):
    rules = WarmStartParams(mode="auto", epoch_share=0.5, refit_every=trainings, margin=1)
    return PARAMS.model_copy(update={"warm_start": rules})


def fitted(workspace, model, epochs, start=None):
    """Curve and weights of a training on train and validation whose learning rate decays within these epochs."""
    section = getattr(PARAMS, model).model_copy(update={"max_epochs": epochs})
    experiment = Experiment(spec(model), section, load_prepared(workspace), PARAMS.seed, start=start)
    trainer = experiment.trainer(experiment.queries(experiment.prepared.known()))
    trainer.keeps_weights = True
    return run_epochs(trainer, epochs).curve, trainer.weights()


@pytest.mark.parametrize("model", ["mf", "softmax"])
@pytest.mark.parametrize("mode", ["off", "auto"])
def test_the_learning_rate_of_a_refit_decays_within_the_chosen_epochs(workspace, model, mode, monkeypatch):
    monkeypatch.setattr(shipped, "best_row", lambda curve: curve[min(len(curve), 2) - 1])
    section = getattr(PARAMS, model).model_copy(update={"max_epochs": 4})
    params = PARAMS.model_copy(update={model: section, "warm_start": WarmStartParams(mode=mode)})
    train.run(params, workspace, model)
    described = json.loads(workspace.training(model).read_text())
    curve, weights = fitted(workspace, model, 2)
    assert (described["selected_epoch"], described["refit_curve"]) == (2, curve)
    assert described["settings"]["max_epochs"] == 4  # as they were tuned
    if mode == "auto":
        np.testing.assert_equal(read_parent_of(workspace, model).shipped.weights, weights)


def test_where_all_iterations_are_one_epoch_the_refit_has_all_of_them(workspace):
    asked = []

    def recorded(prepared, queries, section, seed):
        asked.append(section.max_epochs)
        return build(prepared, queries, section, seed)

    experiment = Experiment(spec("mf"), PARAMS.mf, load_prepared(workspace), PARAMS.seed, build=recorded, epochs=1)
    trained = shipped.train_shipped(experiment, Checkpoints(workspace, "mf", "test"))
    assert (len(trained.description["curve"]), len(trained.description["refit_curve"])) == (1, 1)
    assert asked == [PARAMS.mf.max_epochs] * 2
    assert trained.description["settings"]["max_epochs"] == PARAMS.mf.max_epochs


@pytest.mark.parametrize("model", ["mf", "softmax"])
def test_every_second_training_refits_from_scratch_for_the_epochs_of_the_last_full_fit(workspace, model):
    train.run(PARAMS, workspace, model)
    assert json.loads(workspace.training(model).read_text())["selected_epoch"] == read_parent_of(workspace, model).epoch
    known_as(workspace, model, epoch=1)
    curve, weights = fitted(workspace, model, 1)
    found = []
    for _ in range(4):
        train.run(scratch_every(2), workspace, model)
        described = json.loads(workspace.training(model).read_text())
        found.append(described["warm_start"])
        if found[-1]["from_scratch"]:
            left = read_parent_of(workspace, model)
            assert described["refit_curve"] == curve
            np.testing.assert_equal(left.shipped.weights, weights)
            # The choice of the epoch went on from the night before.
            assert any((weight != weights[name]).any() for name, weight in left.last.weights.items())
        tuned = PARAMS.section(model).model_dump(mode="json")
        named = {"max_epochs", "learning_rate"} & described["settings"].keys()
        assert {name: described["settings"][name] for name in named} == {name: tuned[name] for name in named}
        copied(workspace, model)
    assert [(each["fit"], each["nights"]) for each in found] == [("warm", number) for number in (1, 2, 3, 4)]
    assert [each["from_scratch"] for each in found] == [False, True, False, True]


def test_the_refit_after_one_from_scratch_goes_on_from_its_weights(workspace, parent):
    known_as(workspace, "mf", nights=1, epoch=2)
    train.run(scratch_every(2), workspace, "mf")
    assert lineage(workspace, "mf")["from_scratch"]
    scratch = read_parent_of(workspace, "mf")
    known_as(workspace, "mf", nights=2)
    train.run(scratch_every(2), workspace, "mf")
    after = read_parent_of(workspace, "mf")
    epochs = json.loads(workspace.training("mf").read_text())["selected_epoch"]
    np.testing.assert_equal(after.shipped.weights, fitted(workspace, "mf", epochs, scratch.shipped)[1])


def test_a_refit_from_scratch_that_was_killed_goes_on(workspace, parent, monkeypatch):
    known_as(workspace, "mf", nights=1, epoch=3)
    curve, weights = fitted(workspace, "mf", 3)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    save, calls = checkpoints.Checkpoints.save, []

    def killed(self, progress, *arguments, **named):
        save(self, progress, *arguments, **named)
        calls.append(len(progress.refit))
        if len(progress.refit) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.Checkpoints, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train.run(scratch_every(2), workspace, "mf")
    monkeypatch.setattr(checkpoints.Checkpoints, "save", save)
    assert calls[-1] == 2
    train.run(scratch_every(2), workspace, "mf")
    described = json.loads(workspace.training("mf").read_text())
    assert (described["refit_curve"], described["warm_start"]["from_scratch"]) == (curve, True)
    np.testing.assert_equal(read_parent_of(workspace, "mf").shipped.weights, weights)


def test_without_validation_a_refit_from_scratch_has_all_epochs(workspace):
    small_split.write_split(workspace, with_valid=False)
    train.run(PARAMS, workspace, "mf")
    copied(workspace, "mf")
    train.run(scratch_every(1), workspace, "mf")
    described = json.loads(workspace.training("mf").read_text())
    assert described["warm_start"]["from_scratch"]
    assert len(described["refit_curve"]) == PARAMS.mf.max_epochs


@pytest.mark.parametrize("name", ["nights", "newest", "settings", "split_settings", "epoch", "shipped"])
def test_a_parent_that_lacks_something_is_refused(workspace, parent, name):
    known_as(workspace, "mf", **{name: None})
    with pytest.raises(BakeoffError, match=r"the model that training starts from, can't be read.*bakeoff parents"):
        train.run(PARAMS, workspace, "mf")


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
    old = Parent(None, None, None, section_before, PARAMS.split_settings, nights, 1, newest_before)
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
