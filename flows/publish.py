"""What people see of a run: artifacts in Prefect with stable keys, made from the files that stages wrote."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import Artifact, create_markdown_artifact, create_table_artifact
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from bakeoff.core.subprocesses import ChildError, Log, run_child
from bakeoff.core.workspace import Workspace
from bakeoff.models.base.specs import specs
from bakeoff.ops.git import git

Row = dict[str, str | float | None]

SHOWN = 30
"""Runs in the table of the last ones."""


def publish_run(workspace: Path, states: Mapping[str, State[float]], log: Log) -> None:
    """Publish the verdict on the data and the timings; if every stage is up to date, the comparison too."""
    publish_validation(workspace)
    timings: list[Row] = [
        {"stage": stage, "outcome": state.name, "seconds": round(state.result(), 1) if state.is_completed() else None}
        for stage, state in states.items()
    ]
    create_table_artifact(timings, key="timings", description="Seconds of each stage")
    if not all(state.is_completed() for state in states.values()):
        return
    verdict = read_json(workspace / "reports/verdict.json")
    publish_file(
        workspace / "reports/comparison.md", "comparison", verdict.get("headline", "Which retriever is better")
    )
    if verdict:
        create_table_artifact(verdict["checks"], key="checks", description=verdict["headline"])
    if "evidence" in states:
        publish_file(workspace / "reports/evidence.md", "evidence", "The textbook's claims")
    metrics = read_json(workspace / "reports/metrics.json")
    if metrics:
        create_table_artifact(metric_rows(metrics), key="metrics", description="Test metrics, all test users")
        publish_changes(workspace, log)


def publish_changes(workspace: Path, log: Log) -> None:
    """Compare with the version in production, or the last commit: reports/revisions.html, and the same as an artifact.

    No stage does this, since the history in Git is no dependency that DVC watches. A failure is logged.
    """
    try:
        run_child(["bakeoff", "compare", "--last"], workspace, log=log, timeout=600)
    except ChildError as error:
        log(f"Not compared with the last version: {error.summary}")
    else:
        publish_file(workspace / "reports/revisions.md", "revisions", "What changed since the last version")


def publish_validation(workspace: Path) -> None:
    """Publish the validation verdict, even a bad one, which reports/validation.json never has."""
    report = read_json(Workspace(workspace).validation_report)
    if report:
        # It loads pandas and Altair, for which no run should wait before its first stage.
        from bakeoff.report.render.pages import validation_markdown

        create_markdown_artifact(
            validation_markdown(report), key="validation", description="Whether the raw data can be used"
        )


def publish_night(clone: Path, ended: str, seconds: float) -> None:
    """Add a row for this night to the table `history`, above those of the nights before.

    Its figures are from the files of its stages; None where there is none.

    Args:
        clone: Where the night left its files.
        ended: Name of its final state. Unless that is Completed, there are no figures of models, which may be older.
        seconds: That it took, by a clock that does not jump.
    """
    data = read_json(Workspace(clone).validation_report).get("tables", {}).get("interactions", {})
    whole = ended == "Completed"
    metrics = read_json(clone / "reports/metrics.json") if whole else {}
    decision = read_json(clone / "reports/decision/decision.json") if whole else {}
    primary = decision.get("primary") or {}
    metric = primary.get("metric", "ndcg@10")
    night: Row = {
        "run": flow_run.name,
        "started": f"{flow_run.scheduled_start_time:%Y-%m-%d %H:%M}",
        "ended": ended,
        "commit": git(clone, "rev-parse", "--short", "HEAD") if (clone / ".git").exists() else None,
        "rows": data.get("rows"),
        "quarantine share": data.get("share"),
        "metric": metric,
        **{name: metrics.get(name, {}).get(metric) for name in ("mf", "softmax", "two_tower")},
        "challenger": (decision.get("challenger") or {}).get("model"),
        "difference": primary.get("difference"),
        "decision": decision.get("outcome"),
        "minutes": round(seconds / 60, 1),
    }
    found: Any = Artifact.get("history")
    rows = [night, *(json.loads(found.data) if found else [])][:SHOWN]
    create_table_artifact(rows, key="history", description=f"The last {SHOWN} nights")


def in_words(decision: Mapping[str, Any]) -> str:
    """The decision in a sentence."""
    challenger = decision["challenger"]["model"]
    if decision["outcome"] == "promote":
        return f"{challenger} may go into production."
    if decision["outcome"] == "unchanged":
        return f"{challenger} is in production already."
    return f"{challenger} does not go into production: {decision['reasons'][0]}"


def metric_rows(metrics: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Rows of {retriever: {metric: number}}; other sections are left out."""
    retrievers = {name: values for name, values in metrics.items() if name in specs()}
    names = dict.fromkeys(metric for values in retrievers.values() for metric in values)
    return [{"metric": metric, **{name: values.get(metric) for name, values in retrievers.items()}} for metric in names]


def publish_file(path: Path, key: str, description: str) -> None:
    """Publish a Markdown file, if it is there."""
    if path.exists():
        create_markdown_artifact(path.read_text(encoding="utf-8"), key=key, description=description)


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty if there is no file."""
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def read_secret(variable: str, block: str) -> str | None:
    """A secret of the worker's environment or, if it is not set there, of a Secret block of the Prefect server."""
    if value := os.environ.get(variable):
        return value
    try:
        stored: Any = Secret.load(block)
    except ValueError:  # there is no such block
        return None
    return str(stored.get())
