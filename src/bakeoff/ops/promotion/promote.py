"""What is in production: `bakeoff promote` and `bakeoff rollback` change it by tags, `bakeoff status` shows it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs
from bakeoff.ops.git import check_repository, head
from bakeoff.ops.promotion.decision import DecisionOutcome
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


def promote(workspace: Workspace, model: str | None = None, *, despite: str | None = None, push: bool = False) -> None:
    """Register the challenger's next version and assign it to production, if the decision says so.

    All tags are made, or none. A second call finds everything done and says so; one after a call that was cut off does
    the rest. Where the decision says no, its reasons are printed and nothing changes.

    Args:
        workspace: inside a Git repository whose HEAD holds the challenger's dvc.lock.
        model: instead of the challenger; needs `despite`.
        despite: why the model goes into production although the decision does not say so; kept in the tag.
        push: push the tags to `origin` as well.

    Raises:
        BakeoffError: there is no decision, it is about another model than HEAD holds or compared with what is no
            longer in production, or tags can't be made or pushed.
    """
    root = workspace.root
    commit = head(root)
    _check_options(model, despite)
    if push:
        history.check_current(root)
    events = history.read_events(root)
    decision = None if model is not None else read_decision(workspace)
    if model is None and decision is None:
        raise BakeoffError(f"{workspace.decision} holds no decision: run `bakeoff decide` first.")
    name = model or str(decision and decision["challenger"]["model"])
    md5 = files.model_md5(root, commit, name)
    if md5 is None:
        raise BakeoffError(f"HEAD ({commit[:7]}) records no models/{name} in {files.LOCK}: run `dvc repro`, commit.")
    standing = history.production(events)
    if standing and standing.version.model == name and files.model_md5(root, standing.version.commit, name) == md5:
        # A call that was cut off is completed where it began.
        commit = standing.version.commit
    elif decision is not None:
        _check_decision(decision, md5, standing)
        left = files.taken_back(root, events, name, md5)
        if not _agrees(decision, left, despite):
            return
    reasons = ["Named by hand, without a decision."] if decision is None else decision["reasons"]
    notes = "Action: promote" if despite is None else f"Action: promote\nDespite: {' '.join(despite.split())}"
    message = "\n".join(f"- {reason}" for reason in reasons) + f"\n\n{notes}"
    version, tags = history.enter(root, name, commit, message, push=push)
    if not tags:
        print(f"{version.name} is in production already ({commit[:7]}).")
        return
    print(f"{version.name} is in production ({commit[:7]}): {', '.join(tags)}.")
    print(history.whereabouts(tags, pushed=push))


def rollback(workspace: Workspace, to: str | None = None, *, push: bool = False) -> None:
    """Put back what was in production before, whatever model it is of; nothing is trained.

    A rollback after a rollback goes on backwards: what was left is not returned to, unless it is named.

    Args:
        workspace: inside a Git repository.
        to: a version such as `softmax@v2.0.0`; None: what was in production before.
        push: push the tags to `origin` as well.

    Raises:
        BakeoffError: there is nothing before, no such version, its files can't be had, or tags can't be made or pushed.
    """
    root = workspace.root
    head(root)
    if push:
        history.check_current(root)
    events = history.read_events(root)
    standing = history.production(events)
    target = _version_before(events, standing) if to is None else history.find_version(events, to)
    left = "nothing" if standing is None else standing.version.name
    message = f"Back from {left}.\n\nAction: {history.ROLLBACK}\nFrom: {left}"
    with files.fetched(root, target):  # refuses where the files can't be had
        _, tags = history.enter(root, target.model, target.commit, message, push=push)
    if standing is not None and standing.version == target:  # an earlier call may have been cut off before its push
        print(f"{target.name} is in production already{', at origin too' if push else ': nothing was changed'}.")
        return
    print(f"{target.name} is in production again ({target.commit[:7]}), {left} is not.")
    print(history.whereabouts(tags, pushed=push))
    if standing is not None:
        print(f"`bakeoff rollback` goes on backwards; `bakeoff rollback --to {left}` takes this one back.")


def show_status(workspace: Workspace, *, as_json: bool = False) -> None:
    """Print it, as tables for people or as one JSON object for programs.

    Raises:
        BakeoffError: no Git repository, or a decision that can't be read.
    """
    check_repository(workspace.root)
    found = status(workspace)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
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
    data, rows = files.data_at(root, version.commit)
    metrics = files.json_at(root, version.commit, "reports/metrics.json")
    primary, figures = next(iter(metrics.get("verdict") or {}), "ndcg@10"), metrics.get(version.model, {})
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
        model, md5 = decision["challenger"]["model"], decision["challenger"]["md5"]
        if model == standing.version.model and md5 == files.model_md5(workspace.root, standing.version.commit, model):
            state = "carried out"
    kept = ("outcome", "challenger", "champion", "primary", "reasons")
    return {"state": state, **{name: decision.get(name) for name in kept}}


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


def read_decision(workspace: Workspace) -> Mapping[str, Any] | None:
    """The content of decision.json; None where nothing was decided yet.

    Raises:
        BakeoffError: it can't be read.
    """
    path = workspace.decision / "decision.json"
    if not path.exists():
        return None
    with reading(path, "run `bakeoff decide` again", ValueError, LookupError, TypeError):
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = found["outcome"], found["challenger"]["model"], found["challenger"]["md5"], found["champion"]
    return found


def is_current(decision: Mapping[str, Any], standing: history.Event | None) -> bool:
    """Whether the decision compared with what is in production."""
    champion = decision["champion"]
    before = champion and history.Version(champion["model"], "", champion["commit"])
    return bool(before == (standing and standing.version))


def _check_options(model: str | None, despite: str | None) -> None:
    if model is not None:
        specs.check_model(model)
    if despite is not None and not despite.strip():
        raise BakeoffError('--despite "" gives no reason: say in a sentence why, the tag keeps it.')
    if model is not None and despite is None:
        raise BakeoffError(f"--model {model} goes past the decision: say why with --despite REASON.")


def _check_decision(decision: Mapping[str, Any], md5: str, standing: history.Event | None) -> None:
    """Check that the decision is about this model and about what is in production."""
    challenger, champion = decision["challenger"], decision["champion"]
    if challenger["md5"] != md5:
        raise BakeoffError(
            f"The decision is about models/{challenger['model']} with the MD5 {challenger['md5']}, and HEAD "
            f"records {md5}: commit {files.LOCK} and reports/decision first, or run `bakeoff decide` again."
        )
    if not is_current(decision, standing):
        before = "nothing" if champion is None else f"{champion['model']}@{champion['version']}"
        there = "nothing" if standing is None else standing.version.name
        raise BakeoffError(f"The decision compared with {before}; production has {there}: run `bakeoff decide` again.")


def _agrees(decision: Mapping[str, Any], left: str | None, despite: str | None) -> bool:
    """Whether the model goes into production; where it does not, prints why.

    Raises:
        BakeoffError: `--despite` is not needed.
    """
    is_promoted = decision["outcome"] == DecisionOutcome.PROMOTE
    if is_promoted and left is None and despite is not None:
        raise BakeoffError("The decision says promote: leave --despite out.")
    if (is_promoted and left is None) or despite is not None:
        return True
    print(f"Production stays as it is. The decision says {decision['outcome']}:")
    if is_promoted:
        print(f"  A rollback took {left}, which has the same bytes, out of production since.")
    for reason in decision["reasons"]:
        print(f"  {reason}")
    print('To put it into production all the same: bakeoff promote --despite "REASON"')
    return False


def _version_before(events: Sequence[history.Event], standing: history.Event | None) -> history.Version:
    """What was in production before what is there now, past what rollbacks left."""
    if standing is None:
        raise BakeoffError("Nothing is in production: see `bakeoff status`, or name a version by --to.")
    way, _ = history.way_back(events)
    if len(way) < 2:
        raise BakeoffError(
            f"{standing.version.name} is the first on the way back: nothing was in production before it. `bakeoff "
            "status` lists what was; --to VERSION names one."
        )
    return way[-2].version
