"""Real processes on loopback learn what one does; one that is killed ends both, and the next run goes on."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import dying_machine
import dying_worker
import numpy as np
import pytest
import town_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.experiments import workers
from bakeoff.models.base.tensorflow import tf
from bakeoff.params import Params


def settings(**values):
    workers = {"processes": 2, "start_seconds": 120} | values
    return Params.model_validate({**town_split.PARAMS.model_dump(), "workers": workers})


TWO = settings(divide_items_from=1)
"""Each has half of the items' vectors."""


def read(workspace, model="softmax"):
    """What a training left."""
    folder = workspace.model(model)
    checkpoint = str(folder / "saved_model/variables/variables")
    names = [name for name, _ in tf.train.list_variables(checkpoint)]
    arrays = {name: np.asarray(tf.train.load_variable(checkpoint, name)) for name in names}
    return SimpleNamespace(
        training=json.loads((folder / "training.json").read_text()),
        cost=json.loads(workspace.cost(f"train_{model}").read_text()),
        weights={name: array for name, array in arrays.items() if array.dtype == np.float32},
    )


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What one process learns."""
    workspace = Workspace(tmp_path_factory.mktemp("one"))
    town_split.write(workspace)
    workers.run(town_split.PARAMS, workspace, "softmax")
    return read(workspace)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two learn, of which one was killed; what was said then."""
    workspace = Workspace(tmp_path_factory.mktemp("two"))
    town_split.write(workspace)
    with pytest.raises(BakeoffError) as caught:
        workers.run_here(TWO, workspace, "softmax", dying_worker.serve_and_die)
    [checkpoint] = (workspace.root / ".bakeoff/checkpoints/softmax").iterdir()
    standing = mark(checkpoint)
    left = (workspace.root / "models").exists()
    workers.run(TWO, workspace, "softmax")
    return SimpleNamespace(**vars(read(workspace)), said=str(caught.value), standing=standing, left_a_model=left)


def mark(checkpoint):
    """What a checkpoint says, with a mark on its first epoch: who starts over does not come by it."""
    with np.load(checkpoint) as stored:
        arrays = dict(stored)
    standing = json.loads(arrays["meta"].tobytes())
    standing["selection"][0]["mark"] = "of the checkpoint"
    arrays["meta"] = np.frombuffer(json.dumps(standing).encode(), np.uint8)
    with checkpoint.open("wb") as file:
        np.savez(file, **arrays)
    return standing


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
    """What one process learns of items and their features, and two machines, each with all items, of which one dies."""
    alone, *machines = (Workspace(tmp_path_factory.mktemp(name)) for name in ("alone", "first", "second"))
    for workspace in (alone, *machines):
        town_split.write(workspace, groups=True)
    workers.run(town_split.PARAMS, alone, "two_tower")
    died = on_machines(machines, "two_tower", DYING, status=1)
    [checkpoint] = (machines[0].root / ".bakeoff/checkpoints/two_tower").iterdir()
    standing = mark(checkpoint)
    left_a_model = any((workspace.root / "models").exists() for workspace in machines)
    told = on_machines(machines, "two_tower", WORKING)
    found = [read(workspace, "two_tower") for workspace in (alone, machines[0])]
    return SimpleNamespace(
        alone=found[0],
        together=found[1],
        died=died,
        standing=standing,
        left_a_model=left_a_model,
        told=told,
        left=(machines[1].root / "models").exists(),
    )


WORKING = [str(Path(sys.executable).with_name("bakeoff"))]
DYING = [sys.executable, dying_machine.__file__]


def on_machines(workspaces, model, program, status=0):
    """`bakeoff worker` in a directory for each of several machines; what each printed."""
    # the second model takes the port after the one that is named
    named = [f"127.0.0.1:{port - workers.TOGETHER.index(model)}" for port in workers.free_ports(len(workspaces))]
    command = [*program, "worker", model, "--hosts", ",".join(named), "--index"]
    with ExitStack() as stack:
        started = []
        for index, workspace in enumerate(workspaces):
            workspace.params.write_text(json.dumps(settings().model_dump(mode="json")))
            output = stack.enter_context((workspace.root / "told.txt").open("w"))
            process = subprocess.Popen([*command, str(index)], cwd=workspace.root, stdout=output, stderr=output)
            stack.callback(process.wait)
            stack.callback(process.kill)  # nothing to one that has ended
            started.append(process)
        statuses = [process.wait() for process in started]
    told = [(workspace.root / "told.txt").read_text() for workspace in workspaces]
    assert statuses == [status] * len(workspaces), told
    return told


def test_a_worker_that_is_killed_ends_the_others_with_an_error_that_names_it(two):
    assert two.said == (
        "worker 1 of 2 was ended by signal 9 (SIGKILL: by the system where memory ran out, or by a person) while it "
        "trained softmax. Run the same again: training goes on at its last checkpoint."
    )
    assert not two.left_a_model


def test_the_next_run_goes_on_where_the_last_checkpoint_stands(two):
    done = dying_worker.DIES_IN_EPOCH - 1
    assert len(two.standing["selection"]) == done
    assert two.training["curve"][:done] == two.standing["selection"]
    assert two.training["curve"][0]["mark"] == "of the checkpoint"


def test_two_workers_have_the_losses_of_one_process(one, two):
    for part in ("curve", "refit_curve"):
        losses = [[row["loss"] for row in each.training[part]] for each in (one, two)]
        assert losses[1] == pytest.approx(losses[0], abs=1e-4), part
    assert len(one.training["curve"]) == town_split.PARAMS.softmax.max_epochs
    assert one.training["selected_epoch"] == two.training["selected_epoch"]


def test_two_machines_learn_two_towers_as_one_process_does(towers):
    one, two = towers.alone, towers.together
    losses = [[row["loss"] for row in each.training["curve"]] for each in (one, two)]
    assert len(losses[0]) == town_split.PARAMS.two_tower.max_epochs
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert list(one.weights) == list(two.weights)
    for name, array in one.weights.items():
        np.testing.assert_allclose(two.weights[name], array, atol=1e-4, err_msg=name)


def test_a_machine_that_dies_ends_the_other_with_an_error_that_names_it(towers):
    assert towers.died[0].splitlines()[-1] == (
        "error: worker 0 of 2 lost worker 1 while it trained two_tower. Run the same again: training goes on at its "
        "last checkpoint."
    )
    assert "error: worker 1 of 2 was ended by signal 9" in towers.died[1]
    assert not towers.left_a_model


def test_two_machines_go_on_where_the_last_checkpoint_stands(towers):
    assert len(towers.standing["selection"]) == town_split.PARAMS.two_tower.max_epochs
    assert towers.together.training["curve"] == towers.standing["selection"]
    assert towers.together.training["curve"][0]["mark"] == "of the checkpoint"


def test_the_model_is_with_the_first_machine_and_the_others_say_so(towers):
    assert "the model is with worker 0, at 127.0.0.1:" in towers.told[1]
    assert not towers.left


def test_two_workers_end_with_the_weights_of_one_process(one, two):
    assert list(one.weights) == list(two.weights)
    assert sum(array.size for array in one.weights.values()) > 1000
    for name, array in one.weights.items():
        np.testing.assert_allclose(two.weights[name], array, atol=1e-4, err_msg=name)


def test_notes_settings_and_size_are_those_of_one_process(one, two):
    assert two.training["num_parameters"] == one.training["num_parameters"]
    assert two.training["settings"] == one.training["settings"]
    assert two.training["notes"] == pytest.approx(one.training["notes"], abs=1e-4)


def test_the_cost_tells_who_worked_and_how_long_input_was_waited_for(one, two):
    assert two.cost["workers"] == 2
    assert two.cost["workers_cpu_seconds"] > two.cost["cpu_seconds"]
    assert "workers" not in one.cost
    assert 0 < one.cost["input_wait_share"] < 1
    assert 0 < two.cost["input_wait_share"] < 1


def test_the_cause_is_told_although_the_one_that_is_lost_was_missed_first(tmp_path):
    with pytest.raises(BakeoffError, match="worker 1 of 2 found no room"):
        workers.run_here(TWO, Workspace(tmp_path), "softmax", dying_worker.serve_and_miss)


def test_who_is_lost_is_told_although_another_ended_well(tmp_path):
    with pytest.raises(workers.LostError, match="worker 0 of 2 lost worker 1"):
        workers.run_here(TWO, Workspace(tmp_path), "softmax", dying_worker.serve_and_miss_only)


def test_a_worker_that_waits_for_others_in_vain_says_for_whom(tmp_path):
    params = Params.model_validate({"workers": {"start_seconds": 0.1}})
    with pytest.raises(BakeoffError, match=r"worker 0 of 2 waited 0\.1 s for the others \(far:2222\): start `bakeoff"):
        workers.run_one(params, Workspace(tmp_path), "softmax", 0, ["127.0.0.1:2222", "far:2222"])


@pytest.mark.parametrize(
    ("model", "index", "hosts", "message"),
    [
        ("mf", 0, ["a:1", "b:1"], "'mf' is trained by one process: several train softmax or two_tower"),
        ("softmax", 2, ["a:1", "b:1"], "There is no worker 2: .* names 2, counted from 0"),
        ("softmax", 0, [], "There is no worker 0: .* names 0"),
        ("softmax", 0, ["a:1"], "hosts names a:1 alone"),
        ("softmax", 0, ["a:1", "a:1"], "hosts names a:1 twice"),
        ("softmax", 0, ["a:1", "b"], "must be host:port"),
        ("softmax", 0, ["a:1", "b:65535"], "must be host:port"),
    ],
)
def test_what_cannot_be_a_team_is_refused(model, index, hosts, message, tmp_path):
    with pytest.raises(BakeoffError, match=message):
        workers.run_one(Params(), Workspace(tmp_path), model, index, hosts)
