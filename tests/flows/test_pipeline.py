import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from uuid import UUID

import pytest
from flow_project import FLOWS, Project, dvc
from prefect import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterName,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ParameterTypeError

from bakeoff.flows.pipeline import pipeline

# validate → left → left_end → compare, validate → right@a, right@b → compare; left may be broken.
# The two on the right wait for each other's beginning, so they end only if they run side by side.
STAGES = """
stages:
  validate:
    cmd: python validate.py
    deps: [validate.py]
    outs: [artifacts/checks/validation.json]
  left:
    cmd: python left.py
    deps: [artifacts/checks/validation.json, left.py]
    outs: [left]
  left_end:
    cmd: python left_end.py
    deps: [left]
    outs: [left_end]
  right:
    matrix: {side: [a, b]}
    cmd: python right.py ${item.side}
    deps: [artifacts/checks/validation.json]
    outs: ["right_${item.side}"]
  compare:
    cmd: python compare.py
    deps: [left_end, right_a, right_b]
    outs:
      - reports/comparison.md: {cache: false}
      - reports/metrics.json: {cache: false}
      - reports/verdict.json: {cache: false}
  evidence:
    cmd: python evidence.py
    deps: [left_end]
    outs: [reports/evidence.md: {cache: false}]
"""
VALIDATE = """
from pathlib import Path
Path("artifacts/checks").mkdir(parents=True)
Path("artifacts/checks/validation.json").write_text('{"success": true, "tables": {}}')
"""
LEFT_END = "open('left_end', 'w').write('end')"
RIGHT = """
import pathlib, sys, time
pathlib.Path(f"started_{sys.argv[1]}").touch()
until = time.monotonic() + 30
while len(list(pathlib.Path().glob("started_*"))) < 2:
    if time.monotonic() > until:
        raise SystemExit("the other one did not start while this one ran")
    time.sleep(0.05)
pathlib.Path(f"right_{sys.argv[1]}").write_text("end")
"""
COMPARE = """
from pathlib import Path
Path("reports").mkdir(exist_ok=True)
Path("reports/comparison.md").write_text("# mf wins")
Path("reports/metrics.json").write_text('{"mf": {"ndcg@10": 0.5}}')
Path("reports/verdict.json").write_text('{"headline": "No verdict yet", "checks": [{"number": "BK001"}]}')
"""
LEFT = "open('left', 'w').write('left')"
EVIDENCE = "open('reports/evidence.md', 'w').write('# claims')"
SCRIPTS = {"validate": VALIDATE, "left_end": LEFT_END, "right": RIGHT, "compare": COMPARE, "evidence": EVIDENCE}
BROKEN = "raise SystemExit('left is broken')"

pytestmark = pytest.mark.usefixtures("prefect_server")


def artifacts(flow_run_id: UUID) -> dict[str, str]:
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return {artifact.key: artifact.data for artifact in client.read_artifacts(artifact_filter=wanted)}


@dataclass
class Run:
    """A finished run of the command: what it printed, and what the API knows of it."""

    workspace: Path
    printed: str
    status: int

    @cached_property
    def flow_run(self) -> FlowRun:
        name = re.search(r"Beginning flow run '([^']+)'", self.printed)
        assert name, self.printed
        wanted = FlowRunFilter(name=FlowRunFilterName(any_=[name[1]]))
        with get_client(sync_client=True) as client:
            return client.read_flow_runs(flow_run_filter=wanted)[0]

    def tasks(self) -> dict[str, str]:
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[self.flow_run.id])))
        return {run.name: run.state.name for run in runs}

    def logs_hold(self, text: str, patience: float = 15) -> bool:
        """Logs are sent in the background: asked for until they are there."""
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self.flow_run.id]))
        until = time.monotonic() + patience
        with get_client(sync_client=True) as client:
            while time.monotonic() < until:
                if any(text in log.message for log in client.read_logs(wanted)):
                    return True
                time.sleep(0.3)
        return False


def start(workspace: Path, server: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(FLOWS / "pipeline.py")],
        cwd=workspace,
        env={**os.environ, "PREFECT_API_URL": server},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.fixture(scope="module")
def good(project: Project, prefect_server: str) -> tuple[Path, State[None]]:
    workspace = project(STAGES, left=LEFT, **SCRIPTS)
    return workspace, pipeline(workspace, return_state=True)


@pytest.fixture(scope="module")
def broken(project: Project, prefect_server: str) -> Run:
    """The command in a project where validate is up to date and left is broken."""
    workspace = project(STAGES, left=BROKEN, **SCRIPTS)
    dvc("repro", "--quiet", "validate", cwd=workspace)
    (workspace / "reports").mkdir()
    (workspace / "reports/comparison.md").write_text("# of an earlier run")
    process = start(workspace, prefect_server)
    printed, _ = process.communicate(timeout=180)
    return Run(workspace, printed, process.returncode)


def test_a_run_says_what_became_of_its_stages(good: tuple[Path, State[None]]) -> None:
    state = good[1]
    assert state.is_completed()
    assert state.message == "6 stages: 6 ran, 0 unchanged, 0 cached."


def test_independent_stages_run_side_by_side(good: tuple[Path, State[None]]) -> None:
    workspace = good[0]
    assert (workspace / "right_a").exists()
    assert (workspace / "right_b").exists()


def test_evidence_is_run_and_published_on_request_alone(good: tuple[Path, State[None]]) -> None:
    workspace = good[0]
    assert not (workspace / "reports/evidence.md").exists()
    state = pipeline(workspace, evidence=True, return_state=True)
    assert state.message == "7 stages: 1 ran, 6 unchanged, 0 cached."
    assert artifacts(state.state_details.flow_run_id)["evidence"] == "# claims"


def test_comparison_metrics_and_verdict_are_published(good: tuple[Path, State[None]]) -> None:
    published = artifacts(good[1].state_details.flow_run_id)
    assert published["comparison"] == "# mf wins"
    assert json.loads(published["checks"]) == [{"number": "BK001"}]
    assert json.loads(published["metrics"]) == [{"metric": "ndcg@10", "mf": 0.5}]
    assert published["validation"].startswith("# Validation passed")


def test_a_failed_stage_fails_the_flow(broken: Run) -> None:
    assert broken.flow_run.state.is_failed()
    assert broken.flow_run.state.message == "left failed. Not run: left_end, compare."


def test_nothing_after_a_failed_stage_is_run_and_the_other_branch_is_finished(
    broken: Run,
) -> None:
    assert broken.tasks() == {
        "validate": "Unchanged",
        "left": "Failed",
        "left_end": "NotReady",
        "right@a": "Ran",
        "right@b": "Ran",
        "compare": "NotReady",
    }
    assert (broken.workspace / "right_b").exists()
    assert not (broken.workspace / "left_end").exists()


def test_a_stage_with_nothing_new_is_shown_as_unchanged(broken: Run) -> None:
    assert broken.tasks()["validate"] == "Unchanged"


def test_a_failed_run_publishes_its_verdict_but_no_earlier_comparison(broken: Run) -> None:
    assert set(artifacts(broken.flow_run.id)) == {"validation", "timings"}


def test_how_long_each_stage_took_is_published_also_of_a_failed_run(broken: Run) -> None:
    rows = {row["stage"]: row for row in json.loads(artifacts(broken.flow_run.id)["timings"])}
    assert rows["right@a"]["outcome"] == "Ran"
    assert rows["right@a"]["seconds"] > 0
    assert (rows["left"]["outcome"], rows["left"]["seconds"]) == ("Failed", None)
    assert (rows["compare"]["outcome"], rows["compare"]["seconds"]) == ("NotReady", None)


def test_what_a_stage_prints_is_in_the_log_of_the_run(broken: Run) -> None:
    assert broken.logs_hold("left is broken")


def test_a_stage_that_takes_too_long_fails_the_flow(project: Project) -> None:
    stages = "stages: {slow: {cmd: python -c 'import time;time.sleep(60)', outs: [slow]}}"
    state = pipeline(project(stages), stage_timeout_seconds=3, return_state=True)
    assert state.message == "slow took longer than 3 s and was ended. Not run: none."


def test_a_directory_that_is_no_project_fails_the_flow(tmp_path: Path) -> None:
    state = pipeline(tmp_path, return_state=True)
    assert state.is_failed()
    assert "not inside of a DVC repository" in str(state.result(raise_on_failure=False))


@pytest.mark.parametrize("wrong", [{"stage_timeout_seconds": 0}, {"workspace": "/no/such/directory"}])
def test_parameters_are_checked_before_anything_runs(wrong: dict[str, object]) -> None:
    state = pipeline(**wrong, return_state=True)
    with pytest.raises(ParameterTypeError, match=next(iter(wrong))):
        state.result()


def test_the_command_ends_with_status_1_and_the_last_lines_of_the_stage(broken: Run) -> None:
    message = broken.printed[broken.printed.index("error: left failed. Its last lines:") :]
    assert broken.status == 1
    assert "\n  left is broken\n" in message
    assert "Not run: left_end, compare." in message
    assert "Traceback" not in broken.printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_stage_behind(
    project: Project, prefect_server: str, number: signal.Signals
) -> None:
    code = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    workspace = project("stages: {slow: {cmd: python slow.py, outs: [slow]}}", slow=code)
    process = start(workspace, prefect_server)
    while not (workspace / "pid").exists():  # how long that takes says nothing
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    time.sleep(0.3)
    process.send_signal(number)
    process.communicate(timeout=300)
    assert process.returncode != 0
    assert not Path(f"/proc/{(workspace / 'pid').read_text()}").exists()
