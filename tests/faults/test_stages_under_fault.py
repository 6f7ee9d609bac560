"""Stages are killed, one for each way to write outputs; each output is the old one, the new one or not there.

Some are on a full disk. One module, since all of it shares what the stages before have made.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from dag import Stage, stages
from saboteur import digest
from small_disk import MEBIBYTES, nearly_full, small_disk
from stage_walk import StageWalk, hidden
from tiny_project import dvc, new_project

STAGES = stages()
NAMES = ("validate", "split", "train@mf", "train@softmax", "evaluate@softmax", "export@softmax", "compare")
"""Tables, tables of several parts, arrays, weights, lists, a SavedModel, pages."""
KILLED = [stage for stage in STAGES if stage.name in NAMES]
KILLED_AT = {
    "validate": "artifacts/checks/validation.json",
    "split": "artifacts/split",
    "compare": "reports/cards",
}
"""The output that a stage writes last of those that are the same in every run, where it is not its first."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory, warm: str) -> StageWalk:
    return StageWalk(tmp_path_factory.mktemp("walk"), STAGES, warm)


def kill_at(stage: Stage) -> str:
    return KILLED_AT.get(stage.name, stage.outputs[0])


@pytest.mark.parametrize("stage", KILLED, ids=lambda stage: stage.name)
def test_a_killed_stage_leaves_no_half_output_and_its_next_run_completes(walk: StageWalk, stage: Stage) -> None:
    walk.reach(stage)
    walk.age(stage)
    before = walk.entries(stage)
    old = {name: walk.state(name) for name in stage.outputs}

    killed, states = walk.watch(stage, kill_at=kill_at(stage))
    assert killed["status"] == -signal.SIGKILL, killed["printed"]
    left = walk.entries(stage) - before
    assert [name for name in left if not (name.startswith(".") and name.endswith(".part"))] == []
    made = {name: walk.finished_or_beside(name) for name in stage.compared}
    between = {name: walk.state(name) for name in stage.outputs}

    again, later = walk.watch(stage)
    assert again["status"] == 0, again["printed"]
    new = {name: walk.state(name) for name in stage.outputs}
    for name in stage.outputs:
        assert states[name] <= {None, old[name], new[name]}
        assert later[name] <= {None, between[name], new[name]}
    assert {name: new[name] for name in stage.compared} == made
    assert walk.leftovers() == set()


@pytest.mark.parametrize("name", ["validate", "split"])
def test_a_stage_that_is_killed_within_a_file_leaves_no_half_output(walk: StageWalk, name: str) -> None:
    [stage] = [each for each in STAGES if each.name == name]
    walk.reach(stage)
    walk.age(stage)
    old = {out: walk.state(out) for out in stage.outputs}
    first = Path(stage.outputs[0])
    killed = walk.attempt(stage.arguments, largest_file=1000, within=f"{first.parent}/.{first.name}.part")
    assert killed["status"] == -signal.SIGXFSZ, killed["printed"]
    halves = [path for left in walk.root.rglob(".*.part") for path in (left, *left.rglob("*")) if path.is_file()]
    assert max(path.stat().st_size for path in halves) == 1000
    for out in stage.compared:
        assert walk.state(out) in (old[out], walk.finished_or_beside(out))
    walk.run(stage.arguments)
    assert walk.leftovers() == set()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("small") / "disk") as folder:
        yield folder


FULL = (
    f"The disk is full: {{path}} could not be written. 0 of the {MEBIBYTES} MiB of the file system of {{folder}} are "
    "free. Nothing half-written was left. Make room and run the same again (`du -sh .dvc/cache artifacts models` shows "
    "what takes it; `dvc push --all-commits` and then `dvc gc --workspace` removes older versions from the cache).\n"
)


def test_validation_on_a_full_disk_leaves_nothing_half_and_completes_when_there_is_room(
    walk: StageWalk, disk: Path
) -> None:
    root = disk / "validate"
    walk.copy_inputs(root)
    with nearly_full(disk, free=16384):
        failed = walk.attempt(["validate"], workspace=str(root))
        assert failed["status"] == 1
        folder = root / "artifacts"
        assert failed["printed"] == "error: " + FULL.format(path="artifacts/quarantine", folder=folder)
        assert hidden(root) == set()
        assert not (folder / "checks").exists()
        assert not (root / "reports").exists()
    walk.run(["validate"], workspace=str(root))
    [stage] = [each for each in STAGES if each.name == "validate"]
    walk.have(stage)
    assert [digest(root / out) for out in stage.outputs] == [walk.state(out) for out in stage.outputs]


def test_training_on_a_full_disk_goes_on_without_checkpoints_and_leaves_no_half_model(
    walk: StageWalk, disk: Path
) -> None:
    [stage] = [each for each in STAGES if each.name == "train@mf"]
    walk.have(stage)
    root = disk / "train"
    walk.copy_inputs(root)
    with nearly_full(disk, free=0):
        failed = walk.attempt(stage.arguments, workspace=str(root), checkpoint_seconds=0)
        assert failed["status"] == 1
        lines = [line for line in failed["printed"].splitlines() if line.startswith(("mf:", "error:"))]
        without = "mf: without a checkpoint, a training that is killed starts over. The disk is full: "
        assert all(line.startswith(without) for line in lines[:-1])
        assert len(lines) > 1
        assert lines[-1].startswith("error: The disk is full: models/mf/trained could not be written. 0 of the ")
        assert hidden(root) <= {".bakeoff"}
        assert not (root / "models/mf/trained").exists()
    walk.run(stage.arguments, workspace=str(root))
    assert digest(root / "models/mf/trained") == walk.state("models/mf/trained")


@pytest.mark.parametrize(
    "sabotage", [{"largest_file": 2000}, {"kill_at": "data"}, {"kill_before": "add"}], ids=lambda each: next(iter(each))
)
def test_a_fetch_that_is_killed_is_ended_by_the_next(
    walk: StageWalk, tmp_path: Path, sabotage: dict[str, object]
) -> None:
    root = new_project(tmp_path / "project", "stages: {}", commit=False)
    (root / "params.yaml").write_text((walk.root / "params.yaml").read_text())
    killed = walk.attempt(["fetch", "--from", str(walk.files)], workspace=str(root), **sabotage)
    assert killed["status"] in (-signal.SIGKILL, -signal.SIGXFSZ), killed["printed"]
    assert digest(root / "data") in (None, walk.state("data"))
    again = walk.attempt(["fetch", "--from", str(walk.files)], workspace=str(root))
    assert again["status"] == 0, again["printed"]
    assert digest(root / "data") == walk.state("data")
    assert {name for name in hidden(root) if name.startswith(".data")} == set()
    assert "up to date" in dvc("status", cwd=root)
