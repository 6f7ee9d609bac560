import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from flow_project import FLOWS, Project, dvc

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import ChildError
from bakeoff.flows.dvc_stages import (
    Outcome,
    needed_for,
    only_run,
    outdated_stages,
    parse_dag,
    read_dag,
    run_stage,
)

STAGES = """
stages:
  prepare:
    cmd: python copy_file.py raw prepared
    deps: [raw, copy_file.py]
    outs: [prepared]
  evaluate:
    matrix: {model: [mf, softmax]}
    cmd: python copy_file.py prepared ${item.model}
    deps: [prepared]
    outs: ["${item.model}"]
  fail:
    cmd: python broken.py
    deps: [prepared]
    outs: [nothing]
"""
COPY = "import shutil, sys, time; print('copying'); time.sleep(0.5); shutil.copy(*sys.argv[1:])"
BROKEN = "raise SystemExit('no such luck')"


@pytest.fixture(scope="module")
def workspace(project: Project) -> Path:
    root = project(STAGES, copy_file=COPY, broken=BROKEN)
    (root / "raw").write_text("raw")
    dvc("add", "--quiet", "raw", cwd=root)
    return root


def run(stage: str, workspace: Path, timeout: float = 30) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    return run_stage(stage, workspace, log=lines.append, timeout=timeout), lines


def test_data_is_no_stage() -> None:
    dot = 'strict digraph {\n"data.dvc";\n"a";\n"b@x";\n"data.dvc" -> "a";\n"a" -> "b@x";\n}\n'
    assert parse_dag(dot) == {"a": frozenset(), "b@x": frozenset({"a"})}


def test_the_dag_is_dvcs_with_a_stage_for_each_matrix_entry(workspace: Path) -> None:
    after_prepare = frozenset({"prepare"})
    assert read_dag(workspace) == {
        "prepare": frozenset(),
        "evaluate@mf": after_prepare,
        "evaluate@softmax": after_prepare,
        "fail": after_prepare,
    }


def test_stages_of_another_file_are_no_part_of_the_dag(project: Project) -> None:
    root = project("stages: {split: {cmd: python split.py, outs: [part]}}")
    (root / "studies").mkdir()
    (root / "studies/dvc.yaml").write_text(
        "stages: {page: {wdir: .., cmd: python page.py, deps: [part], outs: [page]}}"
    )
    assert read_dag(root) == {"split": frozenset()}


def test_what_a_target_needs_is_a_part_of_the_dag_with_every_entry_of_a_foreach() -> None:
    dag = {"a": frozenset[str](), "b@x": frozenset({"a"}), "b@y": frozenset({"a"}), "c": frozenset({"b@x"})}
    assert needed_for(("b",), dag) == {name: dag[name] for name in ("a", "b@x", "b@y")}
    assert needed_for(("c",), dag) == {name: dag[name] for name in ("a", "b@x", "c")}
    assert needed_for(("no such stage",), dag) == dag


def test_the_comparison_needs_nothing_that_is_measured_for_the_claims_and_these_need_all_but_it() -> None:
    dag = read_dag(FLOWS.parent)
    core = {stage.partition("@")[0] for stage in needed_for(("compare",), dag)}
    assert core == {"validate", "split", "train", "evaluate", "compare"}
    assert needed_for(("evidence",), dag).keys() == dag.keys() - {"compare"}


def test_a_directory_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="not inside of a DVC repository"):
        read_dag(tmp_path)


def test_a_project_without_stages_is_refused(empty_project: Path) -> None:
    with pytest.raises(BakeoffError, match="has no stages"):
        read_dag(empty_project)


def test_a_stage_runs_then_is_unchanged_then_comes_from_the_cache(workspace: Path) -> None:
    outcome, lines = run("prepare", workspace)
    assert outcome is Outcome.RAN
    assert "copying" in lines
    assert not [line for line in lines if "git add" in line or "dvc push" in line]
    assert run("prepare", workspace)[0] is Outcome.UNCHANGED
    (workspace / "prepared").unlink()
    (workspace / "dvc.lock").unlink()
    outcome, lines = run("prepare", workspace)
    assert outcome is Outcome.CACHED
    assert "copying" not in lines


def test_without_data_stages_are_named_that_the_lock_lacks_or_that_do_not_fit_it(project: Project) -> None:
    root = project(STAGES, copy_file=COPY, broken=BROKEN)
    (root / "raw").write_text("raw")
    dvc("add", "--quiet", "raw", cwd=root)
    run("prepare", root)
    (root / "raw").unlink()
    assert outdated_stages(["prepare"], root) == []
    assert outdated_stages(["evaluate"], root) == ["evaluate@mf", "evaluate@softmax"]
    (root / "copy_file.py").write_text(f"{COPY}  # anew")
    assert outdated_stages(["prepare"], root) == ["prepare"]
    (root / "dvc.lock").unlink()
    assert outdated_stages(["prepare"], root) == ["prepare"]


def test_a_stage_that_fails_quotes_what_it_printed(workspace: Path) -> None:
    run("prepare", workspace)
    with pytest.raises(ChildError, match="no such luck"):
        run("fail", workspace)


def test_two_stages_run_side_by_side_and_both_are_recorded(workspace: Path) -> None:
    run("prepare", workspace)
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda stage: run(stage, workspace)[0], ["evaluate@mf", "evaluate@softmax"]))
    assert outcomes == [Outcome.RAN, Outcome.RAN]
    lock = (workspace / "dvc.lock").read_text()
    assert "evaluate@mf" in lock
    assert "evaluate@softmax" in lock


def test_a_second_run_in_a_workspace_waits_for_the_first(empty_project: Path) -> None:
    said: list[str] = []
    inside, leave = Event(), Event()

    def first() -> None:
        with only_run(empty_project, said.append):
            inside.set()
            leave.wait(20)
            time.sleep(0.7)
            said.append("first ends")

    with ThreadPoolExecutor() as pool:
        pool.submit(first)
        assert inside.wait(20)
        leave.set()
        with only_run(empty_project, said.append):
            said.append("second begins")
    assert [line.split(" in ")[0] for line in said] == [
        "Another run is at work",
        "first ends",
        "second begins",
    ]
