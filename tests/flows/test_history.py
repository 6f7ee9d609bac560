import json
from pathlib import Path

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from history import as_markdown, publish_history


@flow
def one_night(workspace: Path, ended: str) -> None:
    publish_history(workspace, ended, 150.0)


def write(workspace: Path, path: str, values: object) -> None:
    (workspace / path).parent.mkdir(parents=True, exist_ok=True)
    (workspace / path).write_text(json.dumps(values))


@pytest.mark.usefixtures("prefect_server")
def test_each_night_adds_a_row_and_the_newest_comes_first(tmp_path: Path) -> None:
    (tmp_path / "data.dvc").write_text("outs:\n- md5: 0b37b3cd.dir\n")
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
    header, _, failed, first, second, *_ = str(newest.data).splitlines()
    assert header.startswith("| run | started | ended | data | rows | quarantine share | metric | mf | softmax |")
    assert first.startswith("| with-all | ")
    assert "| Completed | 0b37b3c | 1234 | 1.25% | recall@20 | 0.25 | 0.28 | – | mf | -0.03 | hold | 2.5 |" in first
    assert failed.startswith("| failed | ")
    assert "| Failed | 0b37b3c | 1234 | 1.25% | ndcg@10 | – | – | – | – | – | – | 2.5 |" in failed
    assert second.startswith("| without-any-file | ")
    assert "| 0b37b3c | – | – | ndcg@10 | – | – | – | – | – | – |" in second


def test_a_figure_that_a_run_lacks_is_a_dash_and_bars_are_escaped() -> None:
    assert as_markdown([{"a": 1.0, "b": "x|y"}, {"a": None}]).splitlines() == [
        "| a | b |",
        "|---|---|",
        "| 1 | x\\|y |",
        "| – | – |",
    ]
