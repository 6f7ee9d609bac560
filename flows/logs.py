"""The log of a run as lines of JSON, one file per run: for machines that collect logs, and for the morning after."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEPT = 60
"""Files; the oldest go first."""


def data_version(workspace: Path) -> str | None:
    """The hash of data/ as data.dvc records it now; None where it is not under version control."""
    # Read for every line of the log: a YAML parser would take longer than all the rest.
    try:
        found = re.search(r"^- md5: (\S+)$", (workspace / "data.dvc").read_text(encoding="utf-8"), re.MULTILINE)
    except FileNotFoundError:
        return None
    return found[1] if found else None


class _Lines(logging.Formatter):
    """One JSON object per line: time, level, flow, run, stage, data, message, and a trace where there is one."""

    def __init__(self, workspace: Path) -> None:
        super().__init__()
        self._workspace = workspace

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "flow": getattr(record, "flow_name", None),
            "run": getattr(record, "flow_run_name", None),
            "run_id": getattr(record, "flow_run_id", None),
            "stage": getattr(record, "task_run_name", None),
            "data": data_version(self._workspace),
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


@contextmanager
def structured_log(workspace: Path, run: str) -> Iterator[Path]:
    """Write what this process logs about runs to `artifacts/logs/<time>-<run>.jsonl` as well.

    Args:
        workspace: Directory of dvc.yaml.
        run: Name of the flow run.
    """
    folder = workspace / "artifacts/logs"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.jsonl"))[: 1 - KEPT]:
        old.unlink(missing_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{run}.jsonl"
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_Lines(workspace))
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield path
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
