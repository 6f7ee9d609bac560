"""DVC is killed: what it leaves blocks nobody, nothing half-written counts, and the next run completes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tiny_project import attempt_dvc, begin, dvc, new_project
from waiting import until

from bakeoff.core.subprocesses import ChildError
from bakeoff.flows.dvc_stages import Outcome, only_run, run_stage


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after its first run."""
    root = new_project(tmp_path_factory.mktemp("done") / "project")
    dvc("repro", cwd=root)
    return root


def run(stage: str, project: Path) -> tuple[Outcome, list[str]]:
    """What a flow does about a stage; what it says."""
    said: list[str] = []
    with only_run(project, said.append):
        return run_stage(stage, project, log=said.append, timeout=60), said


def status(project: Path) -> dict[str, object]:
    return json.loads(dvc("status", "--json", cwd=project).splitlines()[-1])  # after what DVC says of dead processes


def test_a_repro_that_is_killed_with_all_its_processes_is_as_if_it_had_not_been(project: Path) -> None:
    (project / "raw").write_text("new" * 9000)
    (project / "wait").touch()
    before = (project / "dvc.lock").read_bytes()
    killed = begin("--wait-for-lock", "repro", "--single-item", "first", cwd=project)
    until((project / "begun").exists)
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    (project / "wait").unlink()
    assert (project / "first").stat().st_size == 13500  # half of it, which is what DVC must not take
    assert (project / "dvc.lock").read_bytes() == before
    assert "first" in status(project)

    assert run("first", project)[0] is Outcome.RAN
    assert (project / "first").read_text() == "new" * 9000
    run("second", project)
    assert status(project) == {}


def test_a_stage_that_the_system_kills_is_told_from_one_that_fails(project: Path) -> None:
    (project / "raw").write_text("newer" * 4000)
    (project / "die").touch()
    with pytest.raises(ChildError) as caught:
        run("first", project)
    assert caught.value.reason == (
        "failed: its process was killed from outside, by the system if memory ran out (`dmesg` says so), or by a "
        "person. Nothing half-written was left; run again"
    )
    (project / "die").unlink()
    assert run("first", project)[0] is Outcome.RAN


RUN = """
from pathlib import Path
from bakeoff.flows.dvc_stages import only_run
from bakeoff.flows.dvc_stages import run_stage
with only_run(Path(), print):
    run_stage('first', Path(), log=print, timeout=60)
"""


def test_what_a_killed_run_left_working_is_waited_for(project: Path) -> None:
    (project / "raw").write_text("slow" * 9000)
    (project / "wait").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.Popen([sys.executable, "-c", RUN], cwd=project, env=environment)
    until((project / "begun").exists)
    killed.kill()
    killed.wait()
    said: list[str] = []
    with ThreadPoolExecutor() as pool:

        def second() -> str:
            with only_run(project, said.append):
                return (project / "first").read_text()

        found = pool.submit(second)
        until(lambda: said)
        assert not found.done()
        (project / "wait").unlink()
        assert found.result() == "slow" * 9000  # nothing writes there any more
    assert said == [f"Another run is at work in {project}: waiting for its end."]
    run("first", project)
    run("second", project)
    assert status(project) == {}


def test_without_either_dvc_writes_its_lock_anew_and_repeats_nothing(project: Path) -> None:
    (project / "dvc.lock").write_text("schema: '2.0'\nsta")
    outcome, said = run("first", project)
    assert said[0] == "A DVC command was killed while it wrote dvc.lock: it is removed, and DVC writes it anew."
    assert outcome is Outcome.CACHED


def test_a_push_that_is_killed_leaves_nothing_half_at_the_remote_and_the_next_completes(project: Path) -> None:
    remote = project.parent / "remote"
    [stage] = [line for line in (project / "dvc.lock").read_text().splitlines() if "md5: " in line][-1:]
    oid = stage.split()[-1]
    target = remote / "files/md5" / oid[:2] / oid[2:]
    assert attempt_dvc("push", cwd=project, kill_at=str(target))["status"] == -signal.SIGKILL
    beside = [path for path in remote.rglob("*") if path.is_file()]
    assert beside != []
    assert not target.exists()
    assert all(path.name.startswith(".") for path in beside)  # hidden, under no name that anybody asks for
    dvc("push", cwd=project)
    assert target.read_bytes() == (project / "second").read_bytes()
    shutil.rmtree(project / ".dvc/cache")
    (project / "second").unlink()
    dvc("pull", "second", cwd=project)
    assert (project / "second").read_bytes() == (project / "raw").read_bytes()
