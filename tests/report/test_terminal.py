import json
from pathlib import Path
from typing import Any

import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.report.render import terminal as verdict

FIGURES = {
    "softmax": 0.25,
    "mf": 0.2,
    "popularity": 0.12,
    "difference": 0.05,
    "low": 0.04,
    "high": 0.06,
    "p": 0.0001,
    "confidence": 0.95,
    "num_users": 848,
    "detectable": 0.012,
    "softmax_above_popularity": 1,
    "mf_above_popularity": 1,
}


def write(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    write(workspace.reports / "metrics.json", {"verdict": {"ndcg@10": FIGURES}})
    return workspace


def printed(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> str:
    verdict.print_verdict(workspace)
    return " ".join(capsys.readouterr().out.split())


def test_the_verdict_and_its_figures_are_printed(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    out = printed(workspace, capsys)
    assert "The softmax DNN is better than MF on NDCG@10." in out
    assert "0.2500 and MF 0.2000: a difference of +0.0500" in out


def test_it_takes_a_few_lines(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    verdict.print_verdict(workspace)
    assert len(capsys.readouterr().out.splitlines()) <= 8


def test_the_report_is_named_on_one_line_however_long_its_path(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
):
    verdict.print_verdict(workspace)
    assert f"Report: {workspace.root / 'reports/index.html'}" in capsys.readouterr().out.splitlines()


def test_cost_is_printed_where_it_was_measured(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    assert "Training took" not in printed(workspace, capsys)
    write(workspace.cost("train/mf"), {"wall_seconds": 5.0})
    write(workspace.cost("train/softmax"), {"wall_seconds": 20.0})
    assert "Training took 20.0 s for the softmax DNN and 5.00 s for MF" in printed(workspace, capsys)


def test_a_span_of_time_that_contradicts_is_printed(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    span = {"num_users": 203, "softmax": 0.07, "mf": 0.13, "low": -0.08, "high": -0.04, "p": 0.001}
    values = {"verdict": {"ndcg@10": FIGURES}, "time_since_last_event": {"later": span}}
    write(workspace.reports / "metrics.json", values)
    assert "Note: It depends on time: on test events more than a day" in printed(workspace, capsys)


def test_a_baseline_that_is_not_beaten_is_printed(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    figures = {"mean": 0.25, "baseline_mean": 0.26, "difference": -0.01, "low": -0.02, "high": 0.01, "p": 0.4}
    values = {"verdict": {"ndcg@10": FIGURES}, "best_baseline": {"ease": {"softmax": figures}}}
    write(workspace.reports / "metrics.json", values)
    assert "Note: The softmax DNN is not shown to be better than EASE" in printed(workspace, capsys)


def test_without_a_report_the_error_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(BakeoffError, match=r"metrics\.json does not exist.*make run"):
        verdict.print_verdict(Workspace(tmp_path))


@pytest.mark.parametrize("values", [{}, {"verdict": {}}, {"verdict": {"ndcg@10": {"mean": 1}}}, []])
def test_figures_of_another_version_are_refused_with_the_way_out(tmp_path: Path, values: Any):
    workspace = Workspace(tmp_path)
    write(workspace.reports / "metrics.json", values)
    with pytest.raises(BakeoffError, match=r"holds no verdict.*make run"):
        verdict.print_verdict(workspace)
