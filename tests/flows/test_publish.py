"""Artifacts, and the table of the last nights, on a real server."""

import json
from pathlib import Path

import pytest
from prefect import flow, get_client
from prefect.blocks.system import Secret
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from bakeoff.flows.publish import (
    in_words,
    metric_rows,
    publish_night,
    read_secret,
)
from bakeoff.report.render.pages import validation_markdown

VALIDATION = {
    "success": False,
    "messages": ["interactions: 2 of 10 rows are bad"],
    "tables": {
        "interactions": {
            "rows": 10,
            "valid": 8,
            "quarantined": 2,
            "share": 0.2,
            "reasons": {"empty | blank id": 2},
            "expectations": [
                {"expectation": "ids are there", "severity": "critical", "success": False, "unexpected": 2},
                {"expectation": "ratings fit", "severity": "warning", "success": True, "unexpected": 0},
            ],
        }
    },
}


def test_a_metric_is_a_row_and_a_retriever_a_column() -> None:
    metrics = {
        "mf": {"ndcg@10": 0.2, "recall@10": 0.3},
        "softmax": {"ndcg@10": 0.25},
        "difference": {"softmax_vs_mf": {"ndcg@10": {"mean": 0.05}}},
    }
    assert metric_rows(metrics) == [
        {"metric": "ndcg@10", "mf": 0.2, "softmax": 0.25},
        {"metric": "recall@10", "mf": 0.3, "softmax": None},
    ]


def test_a_bad_verdict_says_what_was_found() -> None:
    lines = validation_markdown(VALIDATION).splitlines()
    assert lines[0] == "# Validation failed"
    assert "- interactions: 2 of 10 rows are bad" in lines
    assert r"| interactions | 10 | 8 | 2 | 20.00% | empty \| blank id: 2 |" in lines
    assert "| interactions | ids are there | critical | 2 |" in lines
    assert "ratings fit" not in "".join(lines)


def test_a_structural_fault_without_tables_is_a_verdict_too() -> None:
    assert "- no such file" in validation_markdown({"success": False, "messages": ["no such file"]})


def test_a_good_verdict_lists_nothing_that_was_not_met() -> None:
    text = validation_markdown({"success": True, "tables": {}})
    assert text.startswith("# Validation passed")
    assert "not met" not in text


DECISION = {"outcome": "promote", "challenger": {"model": "mf", "md5": "abc"}, "reasons": ["not better"]}


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("promote", "mf may go into production."),
        ("unchanged", "mf is in production already."),
        ("hold", "mf does not go into production: not better"),
    ],
)
def test_the_decision_is_a_sentence(outcome: str, words: str) -> None:
    assert in_words(DECISION | {"outcome": outcome}) == words


@flow
def one_night(clone: Path, ended: str) -> None:
    publish_night(clone, ended, 150.0)


def write(clone: Path, path: str, values: object) -> None:
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text(json.dumps(values))


@pytest.mark.usefixtures("prefect_server")
def test_each_night_adds_a_row_and_the_newest_comes_first(tmp_path: Path) -> None:
    one_night.with_options(flow_run_name="without-any-file")(tmp_path, "Completed")
    write(tmp_path, "artifacts/checks/validation.json", {"tables": {"interactions": {"rows": 1234, "share": 0.0125}}})
    write(tmp_path, "reports/metrics.json", {"mf": {"recall@20": 0.25}, "softmax": {"recall@20": 0.28}})
    decision = {
        "outcome": "hold",
        "challenger": {"model": "mf"},
        "primary": {"metric": "recall@20", "difference": -0.03},
    }
    write(tmp_path, "reports/decision/decision.json", decision)
    one_night.with_options(flow_run_name="with-all")(tmp_path, "Completed")
    one_night.with_options(flow_run_name="failed")(tmp_path, "Failed")
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["history"]))
    with get_client(sync_client=True) as client:
        newest, *_ = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC)
    failed, whole, empty, *_ = json.loads(str(newest.data))
    assert [row["run"] for row in (failed, whole, empty)] == ["failed", "with-all", "without-any-file"]
    figures = ("rows", "quarantine share", "metric", "mf", "softmax", "two_tower", "challenger", "difference")
    assert [whole[name] for name in figures] == [1234, 0.0125, "recall@20", 0.25, 0.28, None, "mf", -0.03]
    assert (whole["decision"], whole["minutes"]) == ("hold", 2.5)
    assert [failed[name] for name in figures] == [1234, 0.0125, "ndcg@10", None, None, None, None, None]
    assert empty["rows"] is None


@pytest.mark.usefixtures("prefect_server")
def test_a_secret_comes_from_the_environment_first_then_from_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    Secret(value="on the server").save("test-secret")
    monkeypatch.delenv("A_SECRET", raising=False)
    assert read_secret("A_SECRET", "test-secret") == "on the server"
    assert read_secret("A_SECRET", "no-such-block") is None
    monkeypatch.setenv("A_SECRET", "here")
    assert read_secret("A_SECRET", "test-secret") == "here"
