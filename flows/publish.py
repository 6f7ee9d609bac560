"""What people see of a run in Prefect: artifacts with stable keys, made from the files that stages wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from bakeoff.core.workspace import Workspace

Row = dict[str, str | float | None]


def publish_comparison(workspace: Path) -> None:
    """The report for a pull request, as it is (`reports/comparison.md`)."""
    _publish_text(workspace / "reports/comparison.md", "comparison", "Which retriever is better")


def publish_metrics(workspace: Path) -> None:
    """One row per metric, one column per retriever (`reports/metrics.json`)."""
    path = workspace / "reports/metrics.json"
    if path.exists():
        rows = metric_rows(json.loads(path.read_text(encoding="utf-8")))
        create_table_artifact(rows, key="metrics", description="Test metrics, all test users")


def publish_validation(workspace: Path) -> None:
    """The validation verdict, above all when it is a bad one, which reports/validation.json never has."""
    path = Workspace(workspace).validation_report
    if path.exists():
        markdown = validation_markdown(json.loads(path.read_text(encoding="utf-8")))
        create_markdown_artifact(markdown, key="validation", description="Whether the raw data can be used")


def publish_drift(workspace: Path) -> None:
    """How far the data have drifted (`reports/drift/drift.md`), above all when they have."""
    _publish_text(workspace / "reports/drift/drift.md", "drift", "The data beside those in production")


def publish_decision(workspace: Path) -> None:
    """Whether the challenger goes into production, and why (`reports/decision/decision.md`)."""
    _publish_text(workspace / "reports/decision/decision.md", "decision", "Challenger and champion")


def in_words(decision: dict[str, Any], go: bool) -> str:
    """What is decided, in a sentence."""
    challenger = decision["challenger"]["model"]
    if go:
        return f"{challenger} goes into production."
    if decision["outcome"] == "promote":
        return f"{challenger} may go into production, and was not approved."
    if decision["outcome"] == "unchanged":
        return f"{challenger} is in production already."
    return f"{challenger} does not go into production: {decision['reasons'][0]}"


def publish_timings(rows: list[Row]) -> None:
    """How each stage ended and how long it took; the key's earlier versions are the history."""
    create_table_artifact(rows, key="timings", description="Seconds of each stage")


def publish_experiment(rows: list[Row], name: str) -> None:
    """What an experiment changed: one row per metric."""
    create_table_artifact(rows, key="experiment", description=f"Experiment {name} beside the workspace")


def difference_rows(differences: Mapping[str, tuple[float | None, float | None]]) -> list[Row]:
    """One row per metric: the workspace's value, the experiment's, and by how much the latter is larger."""
    return [
        {
            "metric": metric,
            "workspace": before,
            "experiment": after,
            "difference": None if before is None or after is None else after - before,
        }
        for metric, (before, after) in differences.items()
    ]


def metric_rows(metrics: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Turn {retriever: {metric: number}} into rows; a section that holds more than numbers is none."""
    retrievers = {
        name: values
        for name, values in metrics.items()
        if all(isinstance(value, int | float) for value in values.values())
    }
    names = dict.fromkeys(metric for values in retrievers.values() for metric in values)
    return [{"metric": metric, **{name: values.get(metric) for name, values in retrievers.items()}} for metric in names]


def validation_markdown(report: Mapping[str, Any]) -> str:
    """The verdict in Markdown: tables of rows and reasons, then what was expected in vain."""
    lines = [f"# Validation {'passed' if report['success'] else 'failed'}", ""]
    lines += [f"- {_text(message)}" for message in report.get("messages", [])]
    lines += ["", "| table | rows | valid | quarantined | share | reasons |", "|---|--:|--:|--:|--:|---|"]
    for name, table in report.get("tables", {}).items():
        reasons = "; ".join(f"{reason}: {count}" for reason, count in table.get("reasons", {}).items())
        cells = [name, table.get("rows"), table.get("valid"), table.get("quarantined")]
        lines.append(_row([*cells, f"{table.get('share') or 0:.2%}", reasons]))
    unmet = [
        (name, check)
        for name, table in report.get("tables", {}).items()
        for check in table.get("expectations", [])
        if not check["success"]
    ]
    if unmet:
        lines += ["", "| table | not met | severity | rows |", "|---|---|---|--:|"]
        lines += [_row([n, c["expectation"], c["severity"], c["unexpected"]]) for n, c in unmet]
    return "\n".join(lines) + "\n"


def _publish_text(path: Path, key: str, description: str) -> None:
    if path.exists():
        create_markdown_artifact(path.read_text(encoding="utf-8"), key=key, description=description)


def _row(cells: list[Any]) -> str:
    return f"| {' | '.join('–' if cell is None else _text(cell) for cell in cells)} |"


def _text(value: Any) -> str:
    """Text in one line, without what Markdown or HTML would take for markup: files may hold anything."""
    text = " ".join(str(value).splitlines())
    for character in "\\`*|[]<>":
        text = text.replace(character, f"\\{character}")
    return text
