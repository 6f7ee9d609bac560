"""Stages on other machines: two workers in directories of their own, and nothing shared but Git's and DVC's remotes."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread, Timer
from types import SimpleNamespace

import psutil
import pytest
from flow_project import FLOWS, Project, call, dvc
from placed_project import (
    DVC_CONFIG,
    PLACEMENT,
    RAW,
    REPORT,
    VERDICT,
    Worker,
    commit,
    new_pool,
    new_project,
    until,
)
from prefect import flow, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from ruamel.yaml import YAML

import placed_run
from child import ChildError
from clones import sweep
from dvc_stages import Dag, read_dag
from pipeline import pipeline
from placed import deploy
from placed_run import Patience, run_on
from placement import read_placement
from shipment import Parts, Shipment, check_tree, read_files, read_parts, repository_url, shipped


def last_log(workspace: Path) -> list[str]:
    path = max((workspace / "artifacts/logs").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def workspace(project: Project, tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Path:
    """The project, and pools that know how a stage is run."""
    root = new_project(project, tmp_path_factory.mktemp("remotes"))
    for pool in ("near", "far", "idle"):
        new_pool(pool)
        deploy(pool)
    return root


@pytest.fixture(scope="module")
def runs(workspace: Path, prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A run whose worker's machine fails in the middle of a stage, and the next one, where another pool has it."""
    machines = tmp_path_factory.mktemp("machines")
    hold, ended = machines / "hold", Event()
    near = Worker(machines / "near", "near", prefect_server, HOLD=str(hold))
    workers = [near]
    usual = placed_run.SILENT_SECONDS

    def fail() -> None:
        until(lambda: hold.exists() or ended.is_set())
        near.kill()
        placed_run.SILENT_SECONDS = 2.0

    failing = Thread(target=fail)
    failing.start()
    try:
        first = pipeline(workspace, return_state=True)
        said = last_log(workspace)
        ended.set()
        failing.join()
        placed_run.SILENT_SECONDS = usual
        workers.append(Worker(machines / "far", "far", prefect_server))
        (workspace / "params.yaml").write_text(PLACEMENT.replace("POOL", "far"))
        commit(workspace)
        second = pipeline(workspace, return_state=True)
        orphan = psutil.Process(int(hold.read_text()))
        yield SimpleNamespace(first=first, said=said, second=second, near=near, far=workers[1], orphan=orphan)
    finally:
        ended.set()
        placed_run.SILENT_SECONDS = usual
        for worker in workers:
            worker.close()
        sweep(near.clones, print)


def test_a_placed_stage_runs_in_the_other_machines_directory(runs: SimpleNamespace) -> None:
    (line,) = [line for line in runs.said if line.startswith("near: validated in ")]
    assert line.startswith(f"near: validated in {runs.near.clones}/")


def test_it_is_found_cached_and_the_next_stage_goes_on_from_it(runs: SimpleNamespace, workspace: Path) -> None:
    assert "validate is found cached: it ran on near, and a plain `dvc repro` takes that too." in runs.said
    assert (workspace / REPORT).read_text() == VERDICT
    assert f"split in {workspace}" in runs.said
    assert (workspace / "model").read_text() == RAW


def test_a_machine_that_dies_fails_the_run_with_what_to_do(runs: SimpleNamespace) -> None:
    assert runs.first.message == (
        "train was lost on near: its process or its machine ended (Nothing was heard of it for 2 s.). "
        "Run it again: stages that are done are not repeated. Not run: none."
    )


def test_the_next_run_resumes_on_the_pool_that_is_named_then(runs: SimpleNamespace) -> None:
    assert runs.second.message == "3 stages: 0 ran, 2 unchanged, 0 cached, 1 placed."


def test_what_a_killed_run_left_on_its_machine_ends_with_the_next_run_there(runs: SimpleNamespace) -> None:
    said: list[str] = []
    assert runs.orphan.is_running()
    sweep(runs.near.clones, said.append)
    assert not runs.orphan.is_running()
    assert len(said) == 1
    assert [path.name for worker in (runs.near, runs.far) for path in worker.clones.iterdir()] == [".lock", ".lock"]


def test_no_reference_is_left_in_the_git_remote(runs: SimpleNamespace, workspace: Path) -> None:
    assert call("git", "ls-remote", "origin", cwd=workspace) == ""


def test_a_plain_repro_afterwards_runs_nothing(runs: SimpleNamespace, workspace: Path) -> None:
    assert dvc("repro", cwd=workspace).endswith("Data and pipelines are up to date.\n")


def test_a_clone_elsewhere_finds_it_cached(runs: SimpleNamespace, workspace: Path, tmp_path: Path) -> None:
    commit(workspace)
    call("git", "clone", "--quiet", str(workspace), "clone", cwd=tmp_path)
    for here in ("raw", "split"):
        shutil.copy(workspace / here, tmp_path / "clone")
    said = dvc("repro", "--pull", cwd=tmp_path / "clone")
    assert all(f"Pulling data for stage: '{stage}'" in said for stage in ("validate", "train"))
    assert said.endswith("Data and pipelines are up to date.\n")
    assert "Running stage" not in said
    assert (tmp_path / "clone" / REPORT).read_text() == VERDICT


@pytest.fixture
def other(workspace: Path, tmp_path: Path) -> Path:
    """The project as committed at first, where a test may change what it likes."""
    call("git", "clone", "--quiet", str(workspace), "other", cwd=tmp_path)
    return tmp_path / "other"


DAG: Dag = {name: frozenset() for name in ("validate", "split", "train", "evaluate@mf")}


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ("{splitt: near}", r"'splitt', which is no stage of dvc.yaml: did you mean 'split'\?"),
        ("{evaluate: near}", r"did you mean 'evaluate@mf'\?"),
        ("{train: nowhere}", "train to the work pool 'nowhere', and the Prefect server at .* has far, idle, near"),
        ("{train: untold}", r"'untold'.* does not know yet .*: `python flows/placed.py untold`"),
        ("{split: near}", r"split can't be placed\. .* outputs for Git \(loose: `cache: false`\)"),
    ],
)
def test_a_placement_that_cannot_be_is_refused_before_anything_runs(other: Path, placement: str, message: str) -> None:
    if "untold" in placement:
        new_pool("untold")
    (other / "params.yaml").write_text(f"placement: {placement}\n")
    with pytest.raises(ChildError, match=message):
        read_placement(other, DAG)


def test_of_the_projects_own_stages_compare_alone_is_refused_since_git_keeps_what_it_writes(other: Path) -> None:
    shutil.copy(FLOWS.parent / "dvc.yaml", other)
    dag = read_dag(other)
    placeable = read_parts(other, dag.keys() - {"compare"})
    assert {"validate", "split", "train_softmax", "evaluate@mf"} < placeable.keys()
    assert {parts.loose for parts in placeable.values()} == {()}
    (other / "params.yaml").write_text("placement: {compare: near}\n")
    message = (
        r"compare can't be placed\. .* outputs for Git \(.*reports/split.json, .*\), written where the repository is"
    )
    with pytest.raises(ChildError, match=message):
        read_placement(other, dag)


def test_the_flow_fails_with_that_sentence(other: Path) -> None:
    (other / "params.yaml").write_text("placement: {splitt: near}\n")
    state = pipeline(other, return_state=True)
    assert state.is_failed()
    assert "did you mean 'split'?" in state.message


@pytest.mark.parametrize(
    ("changed", "refused"),
    [("held.py", True), ("dvc.yaml", True), ("loose", False), ("notes", False), ("raw.dvc", False)],
)
def test_work_that_a_clone_would_lack_is_refused_and_results_are_not(other: Path, changed: str, refused: bool) -> None:
    parts = read_parts(other, ["train"])["train"]
    with (other / changed).open("a") as file:
        file.write("# changed\n")
    if not refused:
        check_tree(other, parts)
        return
    with pytest.raises(ChildError, match=rf"would not see what is not committed \({changed}\).* Commit it"):
        check_tree(other, parts)


def test_what_is_sent_are_the_lock_of_the_stages_before_and_inputs_without_a_cache(
    runs: SimpleNamespace, workspace: Path
) -> None:
    files = read_files(workspace, read_parts(workspace, ["train"])["train"])
    assert set(files) == {"dvc.lock", "loose"}
    assert set(YAML(typ="safe").load(files["dvc.lock"])["stages"]) == {"split"}


def ship(root: Path, parts: Parts, repository: str) -> None:
    with shipped(root, repository, parts, log=print, timeout=60, stop=Event()):
        pass


def test_a_git_remote_that_is_gone_is_named(other: Path) -> None:
    parts = replace(read_parts(other, ["validate"])["validate"], kept=())
    with pytest.raises(ChildError, match=r"could not be sent to /no/such.git, .* run again: stages that are done"):
        ship(other, parts, "/no/such.git")


def test_a_dvc_remote_that_is_gone_says_where_to_look(other: Path) -> None:
    parts = read_parts(other, ["validate"])["validate"]
    (other / ".dvc/config").write_text(f"{DVC_CONFIG}/dev/null/gone\n")
    call("git", "commit", "--quiet", "--all", "--message", "gone", cwd=other)
    with pytest.raises(ChildError, match=r"inputs could not be sent to DVC's remote: `dvc remote list` says where"):
        ship(other, parts, "/no/such.git")


def test_a_remote_that_is_another_place_for_each_clone_is_refused(other: Path) -> None:
    (other / ".dvc/config").write_text(f"{DVC_CONFIG}../../remote\n")
    with pytest.raises(ChildError, match="remote 'store' is a relative path"):
        read_parts(other, ["validate"])


@pytest.mark.parametrize(("stops", "message"), [(False, "found no worker: none of the pool idle"), (True, "stopped")])
def test_a_run_that_nobody_takes_is_given_up_and_goes_with_its_parent(
    workspace: Path, stops: bool, message: str
) -> None:
    stop, name = Event(), f"parent-{stops}"

    @flow(flow_run_name=name)
    def parent() -> None:
        Timer(0.5, stop.set).start() if stops else None
        nothing = Shipment(repository="/no/such.git", ref="HEAD", revision="0", files={})
        run_on("idle", "validate", nothing, workspace, Patience(600 if stops else 1, 600), log=print, stop=stop)

    with pytest.raises(ChildError, match=message):
        parent()
    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[f"validate of {name}"]))
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(flow_run_filter=wanted)
    assert run.state.is_cancelled()


def test_workers_are_told_no_password(other: Path) -> None:
    assert repository_url(other, "git@store.example:team/bakeoff.git") == "git@store.example:team/bakeoff.git"
    assert repository_url(other, "../store") == str(other.parent / "store")
    with pytest.raises(ChildError, match="holds a password"):
        repository_url(other, "https://someone:secret@store.example/bakeoff.git")
