"""A checkout: its dvc.lock whole before anything reads it, and its own code and packages."""

import asyncio
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from flow_project import Project, call, dvc
from prefect.deployments.steps.core import StepExecutionError, run_steps
from ruamel.yaml import YAML

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import environment
from bakeoff.core.workspace import check_own_code, check_packages
from bakeoff.flows.dvc_stages import is_whole, only_run
from bakeoff.flows.pipeline import pipeline

ROOT = Path(__file__).parents[2]
STAGES = "stages: {copy: {cmd: cp raw copy, deps: [raw], outs: [copy]}}"


@pytest.mark.usefixtures("prefect_server")
def test_a_cut_off_lock_is_repaired_before_the_dag_is_read(project: Project) -> None:
    workspace = project(STAGES)
    (workspace / "raw").write_text("raw")
    dvc("repro", "--quiet", cwd=workspace)
    lock = workspace / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(b"schema: '2.0'\nsta")
    with pytest.raises(subprocess.CalledProcessError):
        dvc("dag", cwd=workspace)
    state = pipeline(workspace, return_state=True)
    assert state.message == "1 stages: 0 ran, 0 unchanged, 1 cached."
    assert lock.read_bytes() == whole


@pytest.mark.usefixtures("prefect_server")
def test_a_stage_runs_the_code_of_its_workspace_and_not_of_the_environment(project: Project) -> None:
    code = "import bakeoff, pathlib; pathlib.Path('where').write_text(bakeoff.__file__)"
    workspace = project("stages: {look: {cmd: python look.py, deps: [look.py], outs: [where]}}", look=code)
    shutil.copytree(ROOT / "src", workspace / "src", ignore=shutil.ignore_patterns("__pycache__"))
    assert pipeline(workspace, return_state=True).is_completed()
    assert (workspace / "where").read_text() == str(workspace / "src/bakeoff/__init__.py")


def test_other_code_than_the_workspaces_is_refused_wherever_it_is_started(tmp_path: Path) -> None:
    ours = tmp_path / "src/bakeoff"
    shutil.copytree(ROOT / "src/bakeoff", ours, ignore=shutil.ignore_patterns("__pycache__"))
    check_own_code(tmp_path)  # a copy with the same content
    (ours / "params.py").write_text((ours / "params.py").read_text() + "# new\n")
    with pytest.raises(BakeoffError, match=r"params\.py differs.*PYTHONPATH="):
        check_own_code(tmp_path)
    command = [sys.executable, "-m", "bakeoff", "params"]
    stale = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    refused = subprocess.run(command, cwd=tmp_path, env=stale, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "is not that of this workspace" in refused.stderr
    shutil.copy(ROOT / "params.yaml", tmp_path)
    assert subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True).returncode == 0


@pytest.mark.usefixtures("prefect_server")
def test_a_deployment_refuses_a_process_that_imports_other_code_than_its_workspaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose image holds a copy of the code, and whose worker does not set PYTHONPATH."""
    pull = YAML(typ="safe").load(ROOT / "prefect.yaml")["pull"]
    monkeypatch.setenv("BAKEOFF_HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)  # and back again after the steps
    (tmp_path / "src/bakeoff").mkdir(parents=True)
    with pytest.raises(StepExecutionError) as refused:
        asyncio.run(run_steps(pull))
    assert "is not that of this workspace" in str(refused.value.__cause__)
    assert Path.cwd() == ROOT
    (tmp_path / "src/bakeoff").rmdir()
    asyncio.run(run_steps(pull))
    assert Path.cwd() == tmp_path


def test_a_workspace_without_code_takes_any(tmp_path: Path) -> None:
    check_own_code(tmp_path)
    assert environment(tmp_path).get("PYTHONPATH") == os.environ.get("PYTHONPATH")


def test_packages_that_differ_from_the_lock_are_named_with_the_fix(tmp_path: Path) -> None:
    check_packages(tmp_path)
    lock = tmp_path / "requirements.lock"
    there = f"numpy=={version('numpy')} \\\n    --hash=sha256:0\n    # via bakeoff\n"
    lock.write_text(there + "pywin32==1 ; sys_platform == 'win32'\n")
    check_packages(tmp_path)
    lock.write_text(there + "no-such-package==1.0 \\\n    --hash=sha256:0\npandas==0.1\n")
    with pytest.raises(BakeoffError, match=r"no-such-package missing instead of ==1\.0; pandas .* make \.venv"):
        check_packages(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 13, 40, 90, 120])
def test_a_lock_that_was_cut_off_is_not_taken_for_a_whole_one(size: int) -> None:
    whole = (
        b"schema: '2.0'\nstages:\n  copy:\n    cmd: cp raw copy\n    deps:\n    - path: raw\n      hash: md5\n"
        b"      md5: bc7b36fe4d2924e49800d9b3dc4a325c\n      size: 3\n"
    )
    assert is_whole(whole)
    assert not is_whole(whole[:size])


def with_results(project: Project) -> Path:
    """A workspace whose dvc.lock is committed."""
    workspace = project(STAGES)
    (workspace / "raw").write_text("raw")
    dvc("repro", "--quiet", cwd=workspace)
    call("git", "add", "--all", cwd=workspace)
    call("git", "commit", "--quiet", "--message", "results", cwd=workspace)
    return workspace


def test_a_lock_comes_from_the_last_commit_where_it_has_one(project: Project) -> None:
    workspace = with_results(project)
    whole = (workspace / "dvc.lock").read_bytes()
    (workspace / "dvc.lock").write_bytes(b"")
    said: list[str] = []
    with only_run(workspace, said.append):
        assert (workspace / "dvc.lock").read_bytes() == whole
    assert said == ["A DVC command was killed while it wrote dvc.lock: it is as in the last commit."]


def test_a_lock_with_the_conflict_markers_of_a_merge_stays_and_the_fix_is_named(project: Project) -> None:
    workspace = with_results(project)
    lock = workspace / "dvc.lock"
    marked = f"<<<<<<< HEAD\n{lock.read_text()}=======\n{lock.read_text()}>>>>>>> theirs\n"
    lock.write_text(marked)
    named = r"conflict markers of a merge: `git checkout HEAD -- dvc\.lock`"
    with pytest.raises(BakeoffError, match=named), only_run(workspace, print):
        pass
    assert lock.read_text() == marked
