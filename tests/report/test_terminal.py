import json
from pathlib import Path
from typing import Any

import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.report.checks import WORDS
from bakeoff.report.render import terminal

BASELINES = {"number": "BK005", "title": "Baselines", "state": "passed", "figure": "Both are better.", "fix": "Go on."}
SESSION = {
    "number": "BK006",
    "title": "Session",
    "state": "qualifies",
    "figure": "Later no lead is shown.",
    "fix": "Run `bakeoff run --evidence`.",
}
VERDICT = {
    "headline": "The softmax DNN is better than MF on NDCG@10",
    "statement": "Over 848 warm users …",
    "checks": [BASELINES, SESSION],
}


def write(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    write(workspace.reports / "verdict.json", VERDICT)
    return workspace


def printed(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> str:
    terminal.print_verdict(workspace)
    return " ".join(capsys.readouterr().out.split())


def explained(workspace: Workspace, number: str, capsys: pytest.CaptureFixture[str]) -> str:
    terminal.print_check(workspace, number)
    return " ".join(capsys.readouterr().out.split())


def test_the_verdict_and_its_figures_are_printed(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    out = printed(workspace, capsys)
    assert out.startswith("The softmax DNN is better than MF on NDCG@10. Over 848 warm users …")


def test_it_takes_a_few_lines(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    terminal.print_verdict(workspace)
    assert len(capsys.readouterr().out.splitlines()) <= 8


def test_the_report_is_named_on_one_line_however_long_its_path(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
):
    terminal.print_verdict(workspace)
    assert f"Report: {workspace.root / 'reports/index.html'}" in capsys.readouterr().out.splitlines()


def test_cost_is_printed_where_it_was_measured(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    assert "Training took" not in printed(workspace, capsys)
    write(workspace.cost("train/mf"), {"cpu_seconds": 5.0})
    write(workspace.cost("train/softmax"), {"cpu_seconds": 20.0})
    assert "Training took 20.0 s of CPU time for the softmax DNN and 5.00 s for MF" in printed(workspace, capsys)
    # of a training on a cluster, this machine's CPU time says nothing
    write(workspace.cost("train/softmax"), {"cpu_seconds": 20.0, "workers": 2})
    assert "Training took" not in printed(workspace, capsys)


def test_a_check_that_did_not_pass_is_printed_with_what_clears_it(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
):
    out = printed(workspace, capsys)
    assert "BK006 qualifies. Session: Later no lead is shown. Run `bakeoff run --evidence`." in out
    assert "Passed: BK005. `bakeoff explain BK005` says what a check means." in out
    assert "Both are better" not in out


def test_control_characters_of_a_record_are_not_sent_to_the_terminal(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
):
    hostile = SESSION | {"figure": "\x1b[2JMF was tuned on elsewhere."}
    write(workspace.reports / "verdict.json", VERDICT | {"checks": [hostile]})
    assert "\x1b" not in printed(workspace, capsys)
    assert "\x1b" not in explained(workspace, "BK006", capsys)


def test_without_a_report_the_error_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(BakeoffError, match=r"verdict\.json does not exist.*bakeoff run"):
        terminal.print_verdict(Workspace(tmp_path))


@pytest.mark.parametrize("values", [{}, {"headline": "MF"}, VERDICT | {"checks": [{"number": "BK001"}]}, []])
def test_a_verdict_of_another_version_is_refused_with_the_way_out(tmp_path: Path, values: Any):
    workspace = Workspace(tmp_path)
    write(workspace.reports / "verdict.json", values)
    with pytest.raises(BakeoffError, match=r"verdict\.json can't be read .*another version wrote it.*bakeoff run"):
        terminal.print_verdict(workspace)
    with pytest.raises(BakeoffError, match=r"verdict\.json can't be read .*another version wrote it.*bakeoff run"):
        terminal.print_check(workspace, "BK001")


@pytest.mark.parametrize("number", ["BK006", "bk006"])
def test_a_check_is_explained_with_its_state_and_what_clears_it(
    workspace: Workspace, number: str, capsys: pytest.CaptureFixture[str]
):
    out = explained(workspace, number, capsys)
    assert out.startswith(f"BK006: Session {' '.join(WORDS['BK006']['meaning'].split())} It can qualify the verdict.")
    assert out.endswith("Here: qualifies. Later no lead is shown. Run `bakeoff run --evidence`.")


def test_of_a_check_that_passed_nothing_is_to_do(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    assert explained(workspace, "BK005", capsys).endswith("Here: passed. Both are better.")


def test_before_a_comparison_a_check_is_explained_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for number in WORDS:
        assert "Here: not judged yet. Run `bakeoff run`." in explained(Workspace(tmp_path), number, capsys)
    assert "Decisive: while it fails, there is no verdict." in explained(Workspace(tmp_path), "BK001", capsys)


@pytest.mark.parametrize("number", ["BK042", "6", ""])
def test_an_unknown_number_is_refused_with_those_that_there_are(workspace: Workspace, number: str):
    with pytest.raises(BakeoffError, match=rf"'{number}' is no check of the verdict: there are BK001, .*, BK009"):
        terminal.print_check(workspace, number)
