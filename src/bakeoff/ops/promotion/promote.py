"""`bakeoff promote`: what the last decision says, as tags of GTO on the commit HEAD."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs
from bakeoff.ops.promotion.decision import DecisionOutcome
from bakeoff.ops.registry.events import PROMOTE, Event, read_events
from bakeoff.ops.registry.files import LOCK, model_md5_at, taken_back
from bakeoff.ops.registry.git import head
from bakeoff.ops.registry.history import Assignment, production
from bakeoff.ops.registry.transition import check_current, enter, reminder


@dataclass(frozen=True)
class _Wanted:
    """What is to go into production.

    Attributes:
        model: its name.
        reasons: for the tag.
        decision: decision.json; None where a person names the model.
    """

    model: str
    reasons: Sequence[str]
    decision: Mapping[str, Any] | None = None


def run(workspace: Workspace, model: str | None = None, *, despite: str | None = None, push: bool = False) -> None:
    """Register the challenger's next version and assign it to production, if the decision says so.

    All tags become visible together. A second call finds everything done and says so; one after a call that was cut
    off does the rest. Where the decision says no, its reasons are printed and nothing changes.

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
    _check(model, despite)
    if push:
        check_current(root)
    events = read_events(root)
    wanted = _wanted(workspace, model)
    md5 = model_md5_at(root, (wanted.model, commit))
    if md5 is None:
        raise BakeoffError(f"HEAD ({commit[:7]}) records no models/{wanted.model} in {LOCK}: run `dvc repro`, commit.")
    standing = production(events)
    if standing and standing.version.model == wanted.model and model_md5_at(root, standing.version.place) == md5:
        # What a call that was cut off left undone is done where it began.
        commit = standing.version.commit
    elif not _go(root, events, wanted, md5, standing, despite):
        return
    step = enter(root, events, (wanted.model, commit), _message(wanted.reasons, despite), push=push)
    if not step.tags:
        print(f"{step.version.name} is in production already ({commit[:7]}).")
        return
    print(f"{step.version.name} is in production ({commit[:7]}): {', '.join(tag.name for tag in step.tags)}.")
    print(f"The tags are at {'origin, too.' if push else f'this clone only: {reminder(step.tags)}'}")


def read_decision(workspace: Workspace) -> Mapping[str, Any] | None:
    """What decision.json holds; None where nothing was decided yet.

    Raises:
        BakeoffError: it can't be read.
    """
    path = workspace.decision / "decision.json"
    if not path.exists():
        return None
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = found["outcome"], found["challenger"]["model"], found["challenger"]["md5"], found["champion"]
    except (ValueError, LookupError, TypeError) as error:
        raise BakeoffError(f"{path} can't be read ({error}): run `bakeoff decide` again.") from None
    return found


def is_about(decision: Mapping[str, Any], standing: Assignment | None) -> bool:
    """Whether the decision compared with what is in production."""
    champion = decision["champion"]
    if champion is None or standing is None:
        return champion is None and standing is None
    return (champion["model"], champion["commit"]) == standing.version.place


def _check(model: str | None, despite: str | None) -> None:
    if model is not None:
        specs.check_model(model)
    if despite is not None and not despite.strip():
        raise BakeoffError('--despite "" gives no reason: say in a sentence why, the tag keeps it.')
    if model is not None and despite is None:
        raise BakeoffError(f"--model {model} goes past the decision: say why with --despite REASON.")


def _wanted(workspace: Workspace, model: str | None) -> _Wanted:
    if model is not None:
        return _Wanted(model, ["Named by hand; no decision was asked."])
    decision = read_decision(workspace)
    if decision is None:
        raise BakeoffError(f"{workspace.decision} holds no decision: run `bakeoff decide` first.")
    return _Wanted(decision["challenger"]["model"], decision["reasons"], decision)


def _go(
    root: Path, events: Sequence[Event], wanted: _Wanted, md5: str, standing: Assignment | None, despite: str | None
) -> bool:
    """Whether the model goes into production; where the decision says no, prints why.

    Raises:
        BakeoffError: the decision does not speak of this model, of what is in production, or needs no `--despite`.
    """
    decision = wanted.decision
    if decision is None:
        return True
    if decision["challenger"]["md5"] != md5:
        raise BakeoffError(
            f"The decision is about models/{wanted.model} with the MD5 {decision['challenger']['md5']}, and HEAD "
            f"records {md5}: commit {LOCK} and reports/decision first, or run `bakeoff decide` again."
        )
    if not is_about(decision, standing):
        there = "nothing" if standing is None else standing.version.name
        raise BakeoffError(
            f"The decision compared with {_named(decision['champion'])}, and {there} is in production now: run "
            "`bakeoff decide` again."
        )
    left = taken_back(root, events, wanted.model, md5)
    yes = decision["outcome"] == DecisionOutcome.PROMOTE and left is None
    if yes and despite is not None:
        raise BakeoffError("The decision says promote: leave --despite out.")
    if yes or despite is not None:
        return True
    print(f"Production stays as it is. The decision says {decision['outcome']}:")
    if decision["outcome"] == DecisionOutcome.PROMOTE:
        print(f"  A rollback took {left}, which has the same bytes, out of production since.")
    for reason in wanted.reasons:
        print(f"  {reason}")
    print('To put it into production all the same: bakeoff promote --despite "REASON"')
    return False


def _message(reasons: Sequence[str], despite: str | None) -> str:
    notes = [f"Action: {PROMOTE}"] + ([] if despite is None else [f"Despite: {' '.join(despite.split())}"])
    return "\n".join(f"- {reason}" for reason in reasons) + "\n\n" + "\n".join(notes)


def _named(champion: Mapping[str, Any] | None) -> str:
    return "nothing" if champion is None else f"{champion['model']}@{champion['version']}"
