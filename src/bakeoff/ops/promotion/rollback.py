"""`bakeoff rollback`: an earlier version goes back into production, by tags alone."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops.registry.events import ROLLBACK, Event, read_events
from bakeoff.ops.registry.files import fetch_model
from bakeoff.ops.registry.git import head
from bakeoff.ops.registry.history import Assignment, Version, find_version, production, way_back
from bakeoff.ops.registry.transition import check_current, enter, reminder


def run(workspace: Workspace, to: str | None = None, *, push: bool = False) -> None:
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
        check_current(root)
    events = read_events(root)
    standing = production(events)
    target = _before(events, standing) if to is None else find_version(events, to)
    if standing is not None and standing.version.place == target.place:
        print(f"{target.name} is in production already: nothing was changed.")
        return
    _check_files(root, target)
    left = "nothing" if standing is None else standing.version.name
    message = f"Back from {left}.\n\nAction: {ROLLBACK}\nFrom: {left}"
    step = enter(root, events, target.place, message, push=push)
    print(f"{target.name} is in production again ({target.commit[:7]}), {left} is not.")
    print(f"The tags are at {'origin, too.' if push else f'this clone only: {reminder(step.tags)}'}")
    if standing is not None:
        print(f"`bakeoff rollback` goes on backwards; `bakeoff rollback --to {left}` takes this one back.")


def _before(events: Sequence[Event], standing: Assignment | None) -> Version:
    """What was in production before what is there now, past what rollbacks left."""
    if standing is None:
        raise BakeoffError(
            "Nothing is in production, so nothing can be left: see `bakeoff status`, or name one by --to."
        )
    way = way_back(events)
    if len(way) < 2:
        raise BakeoffError(
            f"{standing.version.name} is the first on the way back: nothing was in production before it. `bakeoff "
            "status` lists what was; --to VERSION names one."
        )
    return way[-2].version


def _check_files(root: Path, version: Version) -> None:
    """See that the files of a version can be had, by fetching them."""
    with TemporaryDirectory(prefix="bakeoff-rollback-") as folder:
        fetch_model(root, version, Path(folder) / version.model)
