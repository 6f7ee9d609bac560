"""A training that is killed goes on where it stood, to the same bytes as one that ran through."""

import hashlib
import json
import signal
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import small_split

from bakeoff.core.histories import Histories, Queries
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.training import checkpoints
from bakeoff.experiments.training.checkpoints import Checkpoints, TrainingProgress
from bakeoff.experiments.training.runner import Experiment
from bakeoff.models.base.specs import spec
from bakeoff.models.popularity.popularity import PopularityRetriever
from bakeoff.params import Params
from bakeoff.stages import train

PARAMS = Params.model_validate(
    {
        **small_split.PARAMS.model_dump(),
        "mf": {"dim": 4, "max_epochs": 4, "regularization": 0.5},
        "softmax": {**small_split.PARAMS.softmax.model_dump(), "max_epochs": 4, "dropout": 0.3},
    }
)
KILLED = """
import os, signal, sys
from pathlib import Path
from bakeoff.params import Params
from bakeoff.stages import train
from bakeoff.experiments.training import checkpoints
from bakeoff.core.workspace import Workspace

name, phase, epochs = sys.argv[3], sys.argv[4], int(sys.argv[5])
save = checkpoints.Checkpoints.save

def save_and_die(self, progress, trainer, *more):
    save(self, progress, trainer, *more)
    if len(getattr(progress, phase) or []) == epochs:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoints.SECONDS_BETWEEN = 0
checkpoints.Checkpoints.save = save_and_die
params = Params.model_validate_json(sys.argv[1])
train.run(params, Workspace(Path(sys.argv[2])), name)
"""


class Walk:
    """A trainer in NumPy: item weights that wander, so that every epoch counts and validation has a best one."""

    num_parameters = 12

    def __init__(self, queries, dies_at=None):
        self.rng = np.random.default_rng(len(queries.histories.items))
        self.weights = np.zeros(len(small_split.ITEMS))
        self.epochs = 0
        self.dies_at = dies_at

    def run_epoch(self):
        if self.epochs == self.dies_at:
            raise InterruptedError
        self.epochs += 1
        self.weights += self.rng.normal(size=len(self.weights))
        return float(self.weights.sum())

    def retriever(self):
        return PopularityRetriever(self.weights)

    def settings(self):
        return {}

    def notes(self):
        return {}

    def state(self):
        generator = json.dumps(self.rng.bit_generator.state).encode()
        return {
            "weights": self.weights,
            "generator": np.frombuffer(generator, np.uint8),
            "epochs": np.array(self.epochs),
        }

    def restore(self, state):
        self.weights = state["weights"]
        self.epochs = int(state["epochs"])
        self.rng.bit_generator.state = json.loads(state["generator"].tobytes())


@pytest.fixture(autouse=True)
def checkpoint_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0)


@pytest.fixture
def workspace(tmp_path):
    return new_workspace(tmp_path / "workspace")


def new_workspace(root, **split):
    workspace = Workspace(root)
    small_split.write_split(workspace, **split)
    return workspace


def digests(workspace, name):
    """Of weights, tables and the description."""
    paths = [workspace.training(name), *workspace.model(name).rglob("*")]
    return {
        str(path.relative_to(workspace.root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths)
        if path.is_file()
    }


@pytest.fixture
def walk(monkeypatch):
    """Train the walk, which dies after so many epochs of a phase."""

    def run(workspace, dies_in_selection_at=None, dies_in_refit_at=None, params=PARAMS):
        events = {"selection": 3 * len(small_split.WARM)}

        def trainer(self, queries):
            selecting = len(queries.histories.items) == events["selection"]
            return Walk(queries, dies_in_selection_at if selecting else dies_in_refit_at)

        monkeypatch.setattr(Experiment, "trainer", trainer)
        monkeypatch.setattr(Experiment, "max_epochs", 5)
        train.run(params, workspace, "mf")

    return run


def checkpoint(workspace):
    return workspace.root / ".bakeoff/checkpoints/mf/checkpoint.npz"


@pytest.mark.parametrize("name", ["mf", "softmax"])
def test_a_training_killed_in_both_phases_ends_with_the_same_model(name, tmp_path, capsys, warm):
    through, killed = new_workspace(tmp_path / "through"), new_workspace(tmp_path / "killed")
    train.run(PARAMS, through, name)
    for phase, epochs in (("selection", 2), ("refit", 1)):
        command = [f"{warm}/warm-python", "-c", KILLED, PARAMS.model_dump_json(), killed.root, name, phase, str(epochs)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done
        assert not (killed.root / "models").exists()
    assert f"{name}: resuming at epoch 3 of 4 (selection)" in done.stdout
    capsys.readouterr()
    train.run(PARAMS, killed, name)
    assert f"{name}: resuming at epoch " in capsys.readouterr().out
    assert digests(killed, name) == digests(through, name)
    assert list((killed.root / ".bakeoff/checkpoints").iterdir()) == []


@pytest.mark.parametrize("dies", [{"dies_in_selection_at": 1}, {"dies_in_selection_at": 4}, {"dies_in_refit_at": 0}])
def test_wherever_it_dies_the_outcome_is_the_same(dies, workspace, tmp_path, walk):
    other = new_workspace(tmp_path / "other")
    walk(other)
    with pytest.raises(InterruptedError):
        walk(workspace, **dies)
    walk(workspace)
    assert digests(workspace, "mf") == digests(other, "mf")


def test_what_is_done_is_not_done_again(workspace, capsys, walk):
    with pytest.raises(InterruptedError):
        walk(workspace, dies_in_selection_at=3)
    walk(workspace)
    assert "mf: resuming at epoch 4 of 5 (selection)\n" in capsys.readouterr().out


def test_after_the_selection_only_the_refit_is_left(workspace, capsys, walk):
    with pytest.raises(InterruptedError):
        walk(workspace, dies_in_refit_at=0)
    walk(workspace, dies_in_selection_at=0)
    assert "resuming" not in capsys.readouterr().out  # of the refit nothing was done


def test_without_validation_events_the_refit_is_resumed(tmp_path, capsys, walk):
    workspace, other = (new_workspace(tmp_path / name, with_valid=False) for name in ("one", "other"))
    walk(other)
    with pytest.raises(InterruptedError):
        walk(workspace, dies_in_selection_at=2)  # the only phase there is, on the train part alone
    walk(workspace)
    assert "mf: resuming at epoch 3 of 5 (refit)" in capsys.readouterr().out
    assert digests(workspace, "mf") == digests(other, "mf")


def test_time_spent_before_the_kill_counts(workspace, monkeypatch, walk):
    with pytest.raises(InterruptedError):
        walk(workspace, dies_in_selection_at=4)
    with np.load(checkpoint(workspace)) as stored:
        arrays = dict(stored)
    meta = json.loads(arrays["meta"].tobytes()) | {"selection_seconds": 5000.0}
    np.savez(checkpoint(workspace), **arrays | {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    walk(workspace)
    cost = json.loads(workspace.cost("train/mf").read_text(encoding="utf-8"))
    assert 5000 < cost["selection_seconds"] < 5600


def test_a_training_on_the_same_events_whose_lists_may_hold_repeats_is_another(workspace):
    prepared = load_prepared(workspace)
    again = replace(prepared, keeps_repeats=True)
    assert len({checkpoints.fingerprint(each, spec("mf"), {}) for each in (prepared, again)}) == 2


SETTINGS = {"seed": {"seed": 8}, "its own": {"mf": PARAMS.mf.model_copy(update={"dim": 5})}}


@pytest.mark.parametrize("change", [*SETTINGS, "split"])
def test_a_checkpoint_of_another_training_is_removed_and_said_to_be(change, workspace, capsys, walk):
    with pytest.raises(InterruptedError):
        walk(workspace, dies_in_selection_at=3)
    params = PARAMS.model_copy(update=SETTINGS.get(change, {}))
    if change == "split":
        encoding = workspace.vocabulary / "features.json"
        encoding.write_text(encoding.read_text(encoding="utf-8").replace("40.0", "41.0"), encoding="utf-8")
    with pytest.raises(InterruptedError):
        walk(workspace, dies_in_selection_at=0, params=params)
    assert "is of other settings, data or code: it is removed and training starts over" in capsys.readouterr().out
    assert not checkpoint(workspace).exists()


def test_what_is_set_for_other_stages_and_other_machines_stops_no_training_from_going_on(workspace, capsys, walk):
    with pytest.raises(InterruptedError):
        walk(workspace, dies_in_selection_at=3)
    others = {
        "compare": PARAMS.compare.model_copy(update={"resamples": 777}),
        "softmax": PARAMS.softmax.model_copy(update={"dim": 5}),
    }
    walk(workspace, params=PARAMS.model_copy(update=others))
    assert "mf: resuming at epoch 4 of 5 (selection)\n" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "no meta"])
def test_a_damaged_checkpoint_is_removed_and_said_to_be(damage, workspace, capsys, walk):
    with pytest.raises(InterruptedError):
        walk(workspace, dies_in_selection_at=3)
    path = checkpoint(workspace)
    content = path.read_bytes()
    middle = content.index(b"weights") + 200
    if damage == "no meta":
        np.savez(path, weights=np.zeros(3))
    else:
        path.write_bytes(
            {
                "cut": content[: len(content) // 2],
                "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
                "empty": b"",
                "text": b"no archive",
            }[damage]
        )
    walk(workspace)
    printed = capsys.readouterr().out
    assert "is damaged: it is removed and training starts over" in printed
    assert "resuming" not in printed


def test_a_training_leaves_no_checkpoint(workspace, walk):
    walk(workspace)
    assert not (workspace.root / ".bakeoff/checkpoints/mf").exists()


def test_short_trainings_write_none(workspace, monkeypatch, walk):
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 600)
    with pytest.raises(InterruptedError):
        walk(workspace, dies_in_selection_at=4)
    assert not (workspace.root / ".bakeoff").exists()


def test_weights_and_moments_are_copied_only_where_they_are_written(workspace, monkeypatch):
    read = []
    monkeypatch.setattr(Walk, "state", lambda self: read.append(self) or {})
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 600)
    kept = Checkpoints(workspace, "mf", "f")
    trainer = Walk(Queries(Histories(*map(np.zeros, (1, 0, 0))), np.zeros((0, 0)), np.zeros((0, 0))))
    for _ in range(3):
        kept.save(TrainingProgress(selection=[{"epoch": 1}]), trainer)
    assert read == []
    assert not (workspace.root / ".bakeoff").exists()


def test_a_checkpoint_that_is_being_written_does_not_harm_the_last_one(workspace, monkeypatch):
    kept = Checkpoints(workspace, "mf", "f")
    trainer = Walk(Queries(Histories(*map(np.zeros, (1, 0, 0))), np.zeros((0, 0)), np.zeros((0, 0))))
    kept.save(TrainingProgress(selection=[{"epoch": 1}]), trainer)

    def disk_full(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", disk_full)
    with pytest.raises(OSError, match="disk full"):
        kept.save(TrainingProgress(selection=[{"epoch": 1}, {"epoch": 2}]), trainer)
    progress, _ = Checkpoints(workspace, "mf", "f").load()
    assert progress.selection == [{"epoch": 1}]
