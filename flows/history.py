"""How the runs went, one after another: rows, quarantine, figures and seconds of the last nights, beside each other."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import get_client
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.runtime import flow_run

from bakeoff.core.workspace import Workspace
from logs import data_version
from publish import Row

COMPLETED = "Completed"
SHOWN = 30
"""Runs in the table of the last ones."""


def publish_history(workspace: Path, ended: str, seconds: float) -> None:
    """Publish this run's figures as `night`, and those of the last runs as `history`, the newest first.

    Args:
        workspace: Where the run left its files.
        ended: Name of the state in which it did. Where that is not COMPLETED, there are rows and quarantine of the last
            validation, and no figures of models, which may be an earlier run's.
        seconds: That it took, by a clock that does not jump.
    """
    create_table_artifact([figures(workspace, ended, seconds)], key="night", description="Figures of one run")
    create_markdown_artifact(as_markdown(last_nights()), key="history", description=f"The last {SHOWN} runs")


def figures(workspace: Path, ended: str, seconds: float) -> Row:
    """What one run found: from the files that its stages wrote; None where there is none."""
    validation = _json(Workspace(workspace).validation_report).get("tables", {}).get("interactions", {})
    whole = ended == COMPLETED
    metrics = _json(workspace / "reports/metrics.json") if whole else {}
    decision = _json(workspace / "reports/decision/decision.json") if whole else {}
    primary = decision.get("primary") or {}
    metric = primary.get("metric", "ndcg@10")
    started = flow_run.scheduled_start_time
    return {
        "run": flow_run.name,
        "started": None if started is None else f"{started:%Y-%m-%d %H:%M}",
        "ended": ended,
        "data": (data_version(workspace) or "")[:7] or None,
        "rows": validation.get("rows"),
        "quarantine share": validation.get("share"),
        "metric": metric,
        **{name: metrics.get(name, {}).get(metric) for name in ("mf", "softmax", "two_tower")},
        "challenger": (decision.get("challenger") or {}).get("model"),
        "difference": primary.get("difference"),
        "decision": decision.get("outcome"),
        "minutes": round(seconds / 60, 1),
    }


def last_nights() -> list[Row]:
    """Figures of the last runs, as they were published, the newest first."""
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["night"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=SHOWN)
    return [row for artifact in found for row in json.loads(str(artifact.data))]


def as_markdown(rows: Sequence[Row]) -> str:
    """A table with a column per figure that any of the runs has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(name, row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(name: str, value: str | float | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.2%}" if name.endswith("share") else f"{value:.4g}"
    return str(value).replace("|", "\\|")


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
