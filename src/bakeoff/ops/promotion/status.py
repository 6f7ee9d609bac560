"""`bakeoff status`: what is in production, since when, from which data, and how the workspace compares."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bakeoff.core.parameters import read_yaml
from bakeoff.core.workspace import Workspace
from bakeoff.ops.git import check_repository
from bakeoff.ops.promotion.promote import is_current, read_decision
from bakeoff.ops.registry import files, history
from bakeoff.report import formats
from bakeoff.report.models import model_label

SHOWN = 10
"""Assignments of the history."""

METRICS = ("recall", "coverage", "popularity_lift")
"""Figures in addition to the primary metric, at its cutoff."""

NOTHING = """Nothing is in production yet. This is how something gets there:
  bakeoff decide          compares the challenger with popularity
  git commit              keeps dvc.lock and reports/decision
  bakeoff promote --push  assigns the stage prod
Has another clone promoted already? Its tags are missing here: git fetch --tags"""

STATES = {
    "carried out": "it is in production",
    "open": "compared with what is in production",
    "outdated": "compared with what is no longer in production: run `bakeoff decide`",
}
"""States of the last decision, for people."""


def run(workspace: Workspace, *, as_json: bool = False) -> None:
    """Print it, as tables for people or as one JSON object for programs.

    Raises:
        BakeoffError: no Git repository, or a decision that can't be read.
    """
    check_repository(workspace.root)
    found = status(workspace)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(found)


def status(workspace: Workspace) -> dict[str, Any]:
    """What is in production (null: nothing), the last decision (null: none), and the last assignments, newest first."""
    events = history.read_events(workspace.root)
    standing = history.production(events)
    return {
        "production": None if standing is None else {**_entry(standing), **_content(workspace.root, standing.version)},
        "decision": _decision(workspace, standing),
        "history": [_entry(event) for event in history.assignments(events)[: -SHOWN - 1 : -1]],
    }


def _content(root: Path, version: history.Version) -> dict[str, Any]:
    """Data and figures of a version: the primary metric and a few more, as its report had them."""
    commit = version.commit
    data, rows = files.data_at(root, commit)
    text = files.text_at(root, commit, "params.yaml") or "{}"
    params = read_yaml(text.encode(), f"params.yaml of {commit[:7]}") or {}
    primary = str(params.get("compare", {}).get("primary_metric", "ndcg@10"))
    figures = files.json_at(root, commit, "reports/metrics.json").get(version.model, {})
    names = dict.fromkeys([primary, *(f"{name}@{primary.partition('@')[2]}" for name in METRICS)])
    shown = {name: figures[name] for name in names if figures.get(name) is not None}
    return {"data_md5": data, "rows": rows, "figures": shown}


def _entry(event: history.Event) -> dict[str, Any]:
    return {
        "model": event.version.model,
        "version": event.version.number,
        "commit": event.version.commit,
        "since": f"{datetime.fromtimestamp(event.at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "tag": event.tag,
        "by": event.who,
        "action": event.note("Action") or "by hand",
        "despite": event.note("Despite"),
    }


def _decision(workspace: Workspace, standing: history.Event | None) -> dict[str, Any] | None:
    """The last decision, and whether it is still about what is in production."""
    decision = read_decision(workspace)
    if decision is None:
        return None
    state = "open" if is_current(decision, standing) else "outdated"
    if standing is not None:
        found = standing.version.model, files.model_md5_at(workspace.root, standing.version.place)
        if found == (decision["challenger"]["model"], decision["challenger"]["md5"]):
            state = "carried out"
    kept = ("outcome", "challenger", "champion", "primary", "reasons")
    return {"state": state, **{name: decision.get(name) for name in kept}}


def _show(found: Mapping[str, Any]) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(NOTHING if found["production"] is None else _facts(found["production"]))
    if decision := found["decision"]:
        about = f"{decision['outcome']}, {decision['challenger']['model']} ({STATES[decision['state']]})."
        console.print("\n  ".join([f"Last decision: {about}", *decision["reasons"]]))
    if found["history"]:
        table = Table("since", "version", "commit", "action", title="What was in production", title_justify="left")
        for entry in found["history"]:
            name, despite = f"{entry['model']}@{entry['version']}", entry["despite"]
            action = entry["action"] + (f", despite: {despite}" if despite else "")
            table.add_row(_time(entry["since"]), name, entry["commit"][:7], action)
        console.print(table)


def _facts(entry: Mapping[str, Any]) -> Table:
    by = f", by {entry['by']}" if entry["by"] else ""
    rows = {
        "model": f"{model_label(entry['model'])} ({entry['model']})",
        "version": entry["version"],
        "since": f"{_time(entry['since'])}, {entry['action']}{by}",
        "despite": entry["despite"],
        "commit": entry["commit"],
        "data, MD5": entry["data_md5"] or "not recorded",
        "interactions": "not recorded" if entry["rows"] is None else formats.count(entry["rows"]),
        **{name: formats.decimal(value) for name, value in entry["figures"].items()},
    }
    table = Table(title="In production", title_justify="left", show_header=False)
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    return table


def _time(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"
