"""What a person sees of `bakeoff run`; a whole run in a new environment is in tests/pipeline/test_wheel.py."""

import io
from pathlib import Path

import pytest
from flow_project import Project, dvc
from prefect import flow, task
from prefect.states import Completed, Failed
from rich.console import Console

from bakeoff.cli import run as command
from bakeoff.core.errors import BakeoffError
from bakeoff.flows.dvc_stages import Outcome

pytestmark = pytest.mark.usefixtures("prefect_server")

DAG = """
stages:
  validate: {cmd: echo 1 > valid, params: [limit], outs: [valid]}
  compare: {cmd: echo 2 > compared, deps: [valid], outs: [compared]}
"""


def shown(is_terminal: bool, outcomes: dict[str, Outcome | None]) -> tuple[str, list[str]]:
    """What is printed of a flow whose stages end like this, None being a failure; and what the verdict came after."""

    @task(task_run_name="{stage}")
    def run(stage: str):
        outcome = outcomes[stage]
        return Failed(message="no") if outcome is None else Completed(name=outcome)

    @flow
    def stages():
        for stage in outcomes:
            run(stage, return_state=True)
        return Completed()

    text, verdicts = io.StringIO(), list[str]()
    console = Console(file=text, force_terminal=is_terminal, width=80, color_system=None)
    lines = command.StageLines(console, lambda: verdicts.append(text.getvalue()))
    with lines.shown(run):
        stages()
    assert lines.has_verdict == bool(verdicts)
    return text.getvalue(), verdicts


def test_each_stage_that_runs_has_a_line_and_the_verdict_comes_after_compare() -> None:
    printed, verdicts = shown(False, {"validate": Outcome.UNCHANGED, "split": Outcome.CACHED, "compare": Outcome.RAN})
    assert printed.splitlines() == ["split: cached, 0 s", "compare: ran, 0 s"]
    assert verdicts == [printed]


def test_bars_in_a_terminal() -> None:
    _, verdicts = shown(True, {"split": Outcome.RAN, "compare": Outcome.RAN})
    last = verdicts[0].rpartition("split")[2]
    assert "━━━━━━━━━━━━━━━━━━━━ 0:00:00 ran" in last
    assert "compare" in last


def test_without_a_comparison_there_is_no_verdict() -> None:
    printed, verdicts = shown(False, {"split": Outcome.RAN, "compare": None})
    assert (printed.splitlines(), verdicts) == (["split: ran, 0 s", "compare: failed, 0 s"], [])


def test_a_lock_that_is_behind_is_found_without_data(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = project(DAG)
    monkeypatch.chdir(workspace)
    Path("params.yaml").write_text("limit: 1\n")
    with pytest.raises(BakeoffError, match=r"not up to date: validate would run, .*\. Run `bakeoff run` and commit it"):
        command.check_lock(evidence=False)
    dvc("repro", "--quiet", cwd=workspace)
    for path in ("valid", "compared"):
        Path(path).unlink()
    command.check_lock(evidence=False)
    Path("params.yaml").write_text("limit: 2\n")
    with pytest.raises(BakeoffError, match=r"not up to date: validate would run, .*\. Run `bakeoff run --evidence`"):
        command.check_lock(evidence=True)


@pytest.mark.parametrize(("events", "epochs", "minutes"), [(3_000, 2, 2), (100_000, 24, 3), (1_000_000, 24, 14)])
def test_the_expected_time_grows_with_events_and_epochs(events: int, epochs: int, minutes: int) -> None:
    assert command.expected_minutes(events, epochs) == minutes
