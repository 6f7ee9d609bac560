"""Stages in another work pool: a worker in a clone of its own, and nothing shared but Git's and DVC's remotes."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Timer
from types import SimpleNamespace

import pytest
from flow_project import Project, call, dvc
from placed_project import RAW, REPORT, VERDICT, Worker, commit, deploy, new_pool, new_project, start
from prefect import flow, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import WorkPoolStatus
from prefect.states import Pending
from prefect.variables import Variable
from waiting import until

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import ChildError
from bakeoff.flows import remote
from bakeoff.flows.dvc_stages import Dag
from bakeoff.flows.pipeline import pipeline
from bakeoff.flows.remote import VARIABLE, read_inputs, read_placement, run_remotely, snapshot, wait_for_end

DAG: Dag = {name: frozenset() for name in ("validate", "split", "train", "evaluate@mf")}


@pytest.fixture(scope="module")
def workspace(project: Project, tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Path:
    """The project, and a pool that has the deployment."""
    root = new_project(project, tmp_path_factory.mktemp("remotes"))
    for pool in ("near", "idle"):
        new_pool(pool)
        deploy(pool)
    return root


@pytest.fixture(scope="module")
def runs(workspace: Path, prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A run that is stopped while the worker holds a stage, and the next one."""
    machine = tmp_path_factory.mktemp("machine")
    hold = machine / "hold"
    worker = Worker(machine / "near", "near", prefect_server, workspace, HOLD=str(hold))
    try:
        until(lambda: is_ready("near"))
        Variable.set(VARIABLE, {"validate": "near", "train": "near"}, overwrite=True)
        first = start(workspace, prefect_server)
        until(hold.exists)
        (workspace / "notes").write_text("private")
        first.terminate()
        first.communicate()
        until(lambda: not Path(f"/proc/{hold.read_text()}").exists())  # cancelling reaches the stage
        hold.with_name("go").touch()
        second = pipeline(workspace, return_state=True)
        yield SimpleNamespace(first=first.returncode, second=second, worker=worker)
    finally:
        Variable.unset(VARIABLE)
        worker.close()


def is_ready(pool: str) -> bool:
    with get_client(sync_client=True) as client:
        return client.read_work_pool(pool).status.name == "READY"


def test_cancelling_ends_the_stage_on_the_worker(runs: SimpleNamespace) -> None:
    assert runs.first != 0
    wanted = FlowRunFilter(name=FlowRunFilterName(any_=["train"]))
    with get_client(sync_client=True) as client:
        until(
            lambda: (
                {"Cancelled", "Completed"} == {run.state.name for run in client.read_flow_runs(flow_run_filter=wanted)}
            )
        )


def test_the_next_run_goes_on_and_only_the_cancelled_stage_runs(runs: SimpleNamespace, workspace: Path) -> None:
    assert runs.second.message == "3 stages: 0 ran, 2 unchanged, 0 cached, 1 ran elsewhere."
    assert (workspace / REPORT).read_text() == VERDICT
    assert (workspace / "model").read_text() == RAW


def test_the_stage_ran_in_the_workers_directory(runs: SimpleNamespace, workspace: Path) -> None:
    place = (workspace / "valid.place").read_text()
    assert place.startswith(str(runs.worker.home / remote.CLONES))
    assert list((runs.worker.home / remote.CLONES).glob("*/")) == []


def test_nothing_is_left_in_the_git_remote(runs: SimpleNamespace, workspace: Path) -> None:
    assert "refs/bakeoff" not in call("git", "ls-remote", "origin", cwd=workspace)


def test_a_plain_repro_afterwards_runs_nothing(runs: SimpleNamespace, workspace: Path) -> None:
    assert dvc("repro", cwd=workspace).endswith("Data and pipelines are up to date.\n")


def test_a_clone_elsewhere_finds_placed_stages_cached(runs: SimpleNamespace, workspace: Path, tmp_path: Path) -> None:
    commit(workspace)
    call("git", "clone", "--quiet", str(workspace), "clone", cwd=tmp_path)
    for here in ("raw", "split"):
        shutil.copy(workspace / here, tmp_path / "clone")
    said = dvc("repro", "--pull", cwd=tmp_path / "clone")
    assert "Running stage" not in said
    assert (tmp_path / "clone" / REPORT).read_text() == VERDICT


@pytest.fixture
def other(workspace: Path, tmp_path: Path) -> Path:
    """The project as committed at first, where a test may change what it likes."""
    call("git", "clone", "--quiet", str(workspace), "other", cwd=tmp_path)
    return tmp_path / "other"


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ({"splitt": "near"}, r"'splitt', which is not a stage of dvc.yaml: did you mean 'split'\?"),
        ({"evaluate": "near"}, r"did you mean 'evaluate@mf'\?"),
        (
            {"train": "nowhere"},
            r"'nowhere' does not exist, .* server at .* has .*idle.*: `prefect work-pool create",
        ),
        ({"train": "untold"}, r"'untold' has no deployment of stages: `prefect --no-prompt deploy flows/remote\.py"),
        ({"train": "idle"}, r"'idle' has no worker online: `BAKEOFF_HOME=DIRECTORY prefect worker start --pool idle"),
        ({"split": "near"}, r"places split, which writes files .*\(loose: `cache: false`\)"),
        (["train"], r"is \['train'\], not \{"),
    ],
)
def test_a_placement_that_cannot_be_is_refused_before_anything_runs(
    other: Path, placement: object, message: str
) -> None:
    if "untold" in str(placement):
        new_pool("untold")
    Variable.set(VARIABLE, placement, overwrite=True)
    try:
        with pytest.raises(BakeoffError, match=message):
            read_placement(other, DAG)
    finally:
        Variable.unset(VARIABLE)


def test_without_the_variable_everything_runs_here(other: Path) -> None:
    assert read_placement(other, DAG) == {}


def test_what_travels_are_tracked_changes_and_inputs_and_no_other_file(other: Path) -> None:
    (other / "held.py").write_text("# edited\n")
    (other / "loose").write_text("an input that Git does not know")
    (other / "private.txt").write_text("private")
    before = call("git", "status", "--porcelain", cwd=other)
    inputs, kept = read_inputs(other, "train")
    assert (sorted(inputs), kept) == (["held.py", "loose", "split"], ["split"])
    revision = snapshot(other, inputs)
    assert call("git", "status", "--porcelain", cwd=other) == before
    assert call("git", "show", f"{revision}:held.py", cwd=other) == "# edited\n"
    names = call("git", "ls-tree", "--name-only", revision, cwd=other).split()
    assert "loose" in names
    assert "private.txt" not in names


@pytest.mark.parametrize(("stops", "message"), [(False, "idle has no worker"), (True, "was stopped")])
def test_a_run_that_nobody_takes_is_given_up_and_goes_with_its_caller(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, stops: bool, message: str
) -> None:
    stop, begun = Event(), []
    if stops:
        monkeypatch.setattr(remote, "WorkPoolStatus", SimpleNamespace(READY=WorkPoolStatus.NOT_READY))
        monkeypatch.setattr(remote, "_POLL_SECONDS", 600)
        Timer(1, stop.set).start()

    @flow
    def parent() -> None:
        parameters = {"stage": "validate", "revision": "0" * 40, "timeout_seconds": 60}
        run = remote.run_deployment("stage/idle", parameters=parameters, timeout=0)
        begun.append(run.id)
        wait_for_end(run.id, "idle", 60, stop)

    with pytest.raises(ChildError, match=message):
        parent()
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(begun[0]).state.type.name in ("CANCELLED", "CANCELLING")


def test_a_run_whose_worker_died_before_it_started_is_given_up(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WorkPoolStatus", SimpleNamespace(READY=WorkPoolStatus.NOT_READY))
    monkeypatch.setattr(remote, "_GRACE_SECONDS", 0)
    monkeypatch.setattr(remote, "_POLL_SECONDS", 0.1)
    parameters = {"stage": "validate", "revision": "0" * 40, "timeout_seconds": 60}
    run = remote.run_deployment("stage/idle", parameters=parameters, timeout=0, as_subflow=False)
    stop = Event()
    Timer(3, stop.set).start()
    with pytest.raises(ChildError, match="was stopped"):  # nobody has taken it: no time limit holds
        wait_for_end(run.id, "idle", 0.5, stop)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Pending(), force=True)
    stop = Event()
    Timer(20, stop.set).start()
    with pytest.raises(ChildError, match=r"took longer than 0.5 s in the work pool idle, or its machine is gone"):
        wait_for_end(run.id, "idle", 0.5, stop)


def test_a_git_remote_that_says_nothing_fails_the_stage(other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "NETWORK_SECONDS", 0.5)
    monkeypatch.setattr(remote, "take_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(remote, "read_inputs", lambda *_: ([], []))  # nothing that DVC would push
    with socket.create_server(("127.0.0.1", 0)) as silent:
        call("git", "remote", "set-url", "origin", f"http://127.0.0.1:{silent.getsockname()[1]}/repo.git", cwd=other)
        with pytest.raises(ChildError, match=r"`git push` failed in .*\n  took longer than 0.5 s and was ended"):
            run_remotely("validate", other, "near", log=print, timeout=60, stop=Event())


def test_a_result_that_no_other_machine_can_use_is_no_result(
    runs: SimpleNamespace, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the worker's inputs differ: the run ends well, and nothing is found."""
    (other / "raw").write_text("other data")
    dvc("add", "--quiet", "raw", cwd=other)
    ended = SimpleNamespace(is_completed=lambda: True)
    monkeypatch.setattr(remote, "run_deployment", lambda *_, **__: SimpleNamespace(id="0", name="owl"))
    monkeypatch.setattr(remote, "wait_for_end", lambda *_: ended)
    with pytest.raises(ChildError, match="is not found here, so its inputs differed there"):
        run_remotely("validate", other, "near", log=print, timeout=60, stop=Event())
    assert not (other / "valid").exists()
