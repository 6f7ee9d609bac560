import shutil
from pathlib import Path

import pytest
from flow_project import FLOWS, Project, call, dvc
from ruamel.yaml import YAML

from bakeoff.core.errors import BakeoffError
from bakeoff.flows.dvc_stages import read_dag
from bakeoff.flows.pipeline import study
from bakeoff.flows.publish import publish_changes

ROOT = """
stages:
  split:
    cmd: python split.py
    deps: [split.py]
    outs: [part]
  compare:
    cmd: python compare.py
    deps: [part, compare.py]
    outs: [reports/index.html: {cache: false}]
"""
STUDY = """
stages:
  sampling:
    wdir: ..
    cmd: python sampling.py
    deps: [part, sampling.py]
    outs:
      - studies/sampling.json: {cache: false}
      - studies/sampling_cost.json: {cache: false}
  page:
    wdir: ..
    cmd: python page.py
    deps: [studies/sampling.json, page.py]
    outs: [reports/sampling.html: {cache: false}]
"""
SPLIT = "open('part', 'w').write('part')"
COMPARE = """
from pathlib import Path
Path("reports").mkdir(exist_ok=True)
Path("reports/index.html").write_text("report")
"""
SAMPLING = """
for name in ("sampling", "sampling_cost"):
    open(f"studies/{name}.json", "w").write("{}")
"""
PAGE = """
from pathlib import Path
Path("reports").mkdir(exist_ok=True)
Path("reports/sampling.html").write_text("page")
"""
SCRIPTS = {"split": SPLIT, "compare": COMPARE, "sampling": SAMPLING, "page": PAGE}
ADDRESS = "studies/dvc.yaml:"


@pytest.fixture
def workspace(project: Project) -> Path:
    root = project(ROOT, **SCRIPTS)
    (root / "studies").mkdir()
    (root / "studies/dvc.yaml").write_text(STUDY)
    return root


def test_the_dag_of_the_study_holds_what_it_rests_on_and_no_report(workspace: Path) -> None:
    assert read_dag(workspace, "studies/dvc.yaml") == {
        "split": frozenset(),
        f"{ADDRESS}sampling": frozenset({"split"}),
        f"{ADDRESS}page": frozenset({f"{ADDRESS}sampling"}),
    }


def test_a_project_without_a_study_is_refused(project: Project) -> None:
    with pytest.raises(BakeoffError, match=r"studies/dvc\.yaml is missing or empty"):
        read_dag(project(ROOT), "studies/dvc.yaml")


def test_the_study_is_no_part_of_a_plain_reproduction(workspace: Path) -> None:
    dvc("repro", "--quiet", cwd=workspace)
    assert (workspace / "reports/index.html").exists()
    assert not (workspace / "studies/sampling.json").exists()
    dvc("status", "--quiet", "dvc.yaml", cwd=workspace)


@pytest.mark.usefixtures("prefect_server")
def test_the_flow_runs_the_study_and_writes_its_page(workspace: Path) -> None:
    state = study(workspace, return_state=True)
    assert state.message == "3 stages: 3 ran, 0 unchanged, 0 cached."
    assert (workspace / "reports/sampling.html").read_text() == "page"
    assert not (workspace / "reports/index.html").exists()


def test_a_clone_has_the_study_without_running_it(workspace: Path, tmp_path: Path) -> None:
    dvc("repro", "--quiet", "dvc.yaml", f"{ADDRESS}page", cwd=workspace)
    call("git", "add", "--all", cwd=workspace)
    call("git", "commit", "--quiet", "--message", "all", cwd=workspace)
    clone = tmp_path / "clone"
    call("git", "clone", "--quiet", str(workspace), str(clone), cwd=tmp_path)
    dvc("repro", "--quiet", cwd=clone)
    assert (clone / "reports/sampling.html").read_text() == "page"
    dvc("status", "--quiet", cwd=clone)


def test_all_that_the_study_makes_lies_in_git() -> None:
    definition = YAML(typ="safe").load(FLOWS.parent / "studies/dvc.yaml")
    outs = [out for stage in definition["stages"].values() for out in stage["outs"]]
    assert all(isinstance(out, dict) and [*out.values()] == [{"cache": False}] for out in outs)
    git = shutil.which("git") or "git"
    for out in outs:
        [path] = out
        ignored = call(git, "status", "--porcelain", "--ignored", "--", path, cwd=FLOWS.parent)
        assert not ignored.startswith("!!"), path


def test_a_run_without_a_version_to_compare_with_is_no_failure(project: Project) -> None:
    workspace = project(ROOT)
    said: list[str] = []
    publish_changes(workspace, said.append)
    assert said[-1].startswith("Not compared with the last version: ")
    assert not (workspace / "reports/revisions.md").exists()
