import json
import logging
from pathlib import Path

import pytest
from flow_project import Project
from prefect import flow, get_run_logger, task

from logs import KEPT, data_version, structured_log

DATA_DVC = "outs:\n- md5: 0b37b3cd.dir\n  size: 7\n  path: data\n"


@task(name="stage", task_run_name="train_mf")
def one_stage() -> None:
    get_run_logger().info("epoch 1 …")


@flow(name="pipeline", flow_run_name="brave-owl")
def one_run(workspace: Path) -> None:
    with structured_log(workspace, "brave-owl"):
        get_run_logger().warning("begins")
        one_stage()


def lines(workspace: Path) -> list[dict[str, str | None]]:
    (path,) = (workspace / "artifacts/logs").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.usefixtures("prefect_server")
def test_each_line_says_run_stage_and_version_of_the_data(tmp_path: Path, project: Project) -> None:
    (tmp_path / "data.dvc").write_text(DATA_DVC)
    one_run(tmp_path)
    told = {line["message"]: line for line in lines(tmp_path)}
    first, second = told["begins"], told["epoch 1 …"]
    assert (first["level"], first["flow"], first["run"], first["stage"]) == ("WARNING", "pipeline", "brave-owl", None)
    assert (second["run"], second["stage"], second["data"]) == ("brave-owl", "train_mf", "0b37b3cd.dir")
    assert second["run_id"] == first["run_id"] is not None
    assert second["time"].endswith("+00:00")


def test_an_error_keeps_its_trace(tmp_path: Path) -> None:
    with structured_log(tmp_path, "run"):
        try:
            raise ValueError("no such thing")
        except ValueError:
            logging.getLogger("prefect.flow_runs").exception("failed")
    (line,) = lines(tmp_path)
    assert "ValueError: no such thing" in (line["trace"] or "")


def test_nothing_is_written_after_the_run(tmp_path: Path) -> None:
    with structured_log(tmp_path, "run"):
        pass
    logging.getLogger("prefect.flow_runs").warning("another run")
    assert lines(tmp_path) == []


def test_the_oldest_files_go(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts/logs"
    folder.mkdir(parents=True)
    for number in range(KEPT + 5):
        (folder / f"2020{number:04d}-run.jsonl").touch()
    with structured_log(tmp_path, "new"):
        pass
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == KEPT
    assert left[0] == "20200006-run.jsonl"
    assert left[-1].endswith("-new.jsonl")


def test_data_without_a_version_have_none(tmp_path: Path) -> None:
    assert data_version(tmp_path) is None
    (tmp_path / "data.dvc").write_text("outs: []\n")
    assert data_version(tmp_path) is None
    (tmp_path / "data.dvc").write_text(DATA_DVC)
    assert data_version(tmp_path) == "0b37b3cd.dir"
