"""`bakeoff status`: what is in production, since when, from which data, and how the workspace compares."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bakeoff.core.workspace import Workspace
from bakeoff.ops.promotion.promote import is_about, read_decision
from bakeoff.ops.registry.events import read_events
from bakeoff.ops.registry.files import data_at, json_at, model_md5_at, text_at
from bakeoff.ops.registry.git import check_repository
from bakeoff.ops.registry.history import Assignment, assignments, production
from bakeoff.report import formats
from bakeoff.report.models import model_label

SHOWN = 10
"""Assignments of the history."""

METRICS = ("recall", "coverage", "popularity_lift")
"""SideMetrics beside the primary metric, at its cutoff."""

NOTHING = """Nothing is in production yet. This is how something gets there:
  bakeoff decide          compares the challenger with popularity
  git commit              keeps dvc.lock and reports/decision
  bakeoff promote --push  assigns the stage prod
Has another clone promoted already? Its tags are missing here: git fetch --tags"""


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
    events = read_events(workspace.root)
    standing = production(events)
    entries = assignments(events)[::-1][:SHOWN]
    return {
        "production": None if standing is None else _production(workspace.root, standing),
        "decision": _decision(workspace, standing),
        "history": [_entry(entry) for entry in entries],
    }


def _production(root: Path, standing: Assignment) -> dict[str, Any]:
    commit = standing.version.commit
    data, rows = data_at(root, commit)
    return {
        **_entry(standing),
        "data_md5": data,
        "rows": rows,
        "figures": _figures(root, commit, standing.version.model),
    }


def _entry(assignment: Assignment) -> dict[str, Any]:
    event, version = assignment.event, assignment.version
    return {
        "model": version.model,
        "version": version.number,
        "commit": version.commit,
        "since": datetime.fromtimestamp(event.at, UTC).isoformat().replace("+00:00", "Z"),
        "tag": event.tag,
        "by": event.who,
        "action": event.note("Action") or "by hand",
        "despite": assignment.despite,
    }


def _figures(root: Path, commit: str, model: str) -> dict[str, float]:
    """The primary metric of the commit and a few more, as its report had them; empty where it had none."""
    try:
        params = YAML(typ="safe").load(text_at(root, commit, "params.yaml") or "{}") or {}
    except YAMLError:
        params = {}
    primary = str(params.get("compare", {}).get("primary_metric", "ndcg@10"))
    k = primary.partition("@")[2]
    found = json_at(root, commit, "reports/metrics.json").get(model, {})
    names = dict.fromkeys([primary, *(f"{name}@{k}" for name in METRICS)])
    return {name: found[name] for name in names if found.get(name) is not None}


def _decision(workspace: Workspace, standing: Assignment | None) -> dict[str, Any] | None:
    """The last decision, and whether it still speaks of what is in production."""
    decision = read_decision(workspace)
    if decision is None:
        return None
    challenger = decision["challenger"]
    carried_out = (
        standing is not None
        and standing.version.model == challenger["model"]
        and model_md5_at(workspace.root, standing.version.place) == challenger["md5"]
    )
    state = "carried out" if carried_out else "open" if is_about(decision, standing) else "outdated"
    kept = ("outcome", "challenger", "champion", "primary", "reasons")
    return {"state": state, **{name: decision.get(name) for name in kept}}


def _show(found: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    if found["production"] is None:
        console.print(NOTHING, markup=False)
    else:
        console.print(_facts(found["production"]))
    if found["decision"] is not None:
        for line in _about(found["decision"]):
            console.print(line, markup=False)
    if found["history"]:
        console.print(_history(found["history"]))


def _facts(entry: Mapping[str, Any]) -> Table:
    table = Table(title="In production", title_justify="left", show_header=False)
    rows = {
        "model": f"{model_label(entry['model'])} ({entry['model']})",
        "version": entry["version"],
        "since": f"{_time(entry['since'])}, {entry['action']}" + (f", by {entry['by']}" if entry["by"] else ""),
        **({"despite": entry["despite"]} if entry["despite"] else {}),
        "commit": entry["commit"],
        "data, MD5": entry["data_md5"] or "not recorded",
        "interactions": "not recorded" if entry["rows"] is None else formats.count(entry["rows"]),
        **{name: formats.decimal(value) for name, value in entry["figures"].items()},
    }
    for name, value in rows.items():
        table.add_row(name, _plain(value))
    return table


def _about(decision: Mapping[str, Any]) -> list[str]:
    """What the last decision says, as lines."""
    means = {
        "carried out": "it is in production",
        "open": "beside what is in production",
        "outdated": "beside what is no longer in production: run `bakeoff decide`",
    }[decision["state"]]
    first = f"Last decision: {decision['outcome']}, {decision['challenger']['model']} ({means})."
    return [first, *(f"  {reason}" for reason in decision["reasons"])]


def _history(entries: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("since", "version", "commit", "action", title="What was in production", title_justify="left")
    for entry in entries:
        action = entry["action"] + (f", despite: {entry['despite']}" if entry["despite"] else "")
        name = f"{entry['model']}@{entry['version']}"
        table.add_row(_time(entry["since"]), name, entry["commit"][:7], _plain(action))
    return table


def _time(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
