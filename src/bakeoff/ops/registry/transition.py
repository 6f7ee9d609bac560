"""How a version goes into production: all tags of one step at once, or none."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gto.constants import Action
from gto.tag import name_tag

from bakeoff.core.errors import BakeoffError
from bakeoff.models.base import specs
from bakeoff.ops.registry.events import PRODUCTION, Event, read_events
from bakeoff.ops.registry.git import order
from bakeoff.ops.registry.history import Place, Version, active, next_number, production, versions

REMOTE = "origin"


@dataclass(frozen=True)
class Tag:
    """An annotated tag to be made: its name, commit and message, and the UTC second that it carries."""

    name: str
    commit: str
    message: str
    at: int


@dataclass(frozen=True)
class Step:
    """What puts a version into production: the version, and the tags that are missing; none where it is there."""

    version: Version
    tags: Sequence[Tag]


def plan(events: Sequence[Event], place: Place, message: str, now: int | None = None) -> Step:
    """The tags after which this model of this commit is in production, and nothing else is.

    A model that has no version at the commit gets its next one. Whatever else is in production leaves it, the former
    version of the same model too: GTO would put that one back if its successor left. A step that was cut off is
    completed by planning it anew.

    GTO and DVC order tags by their second. So these are dated after every tag there is, even where another machine's
    clock is ahead, and what enters is dated after what leaves.

    Args:
        events: of the registry.
        place: model and commit.
        message: of the assignment, without its first line.
        now: UTC seconds; the clock if None.
    """
    model, commit = place
    there = [version for version in versions(events) if version.place == place]
    version = there[-1] if there else Version(model, next_number(events, model), commit)
    leaving = [entry.version for key, entry in active(events).items() if key != place]
    standing = production(events)
    enters = standing is None or standing.version.place != place or any(v.model == model for v in leaving)
    at = max([int(time.time()) if now is None else now, *(event.at + 1 for event in events)])
    numbers = _Numbers(events)
    tags = []
    if not there:
        name = name_tag(Action.REGISTER, model, version=version.number, simple=True)
        tags.append(Tag(name, commit, f"Version {version.number} of {model}\n", at))
    # What enters is written first: whoever is cut off in between leaves two versions, of which the later counts.
    leaves = [
        Tag(
            numbers.named(Action.UNASSIGN, former.model),
            former.commit,
            f"{former.name} leaves production for {version.name}\n",
            at,
        )
        for former in leaving
    ]
    if enters:
        subject = f"{version.name} goes into production"
        tags.append(Tag(numbers.named(Action.ASSIGN, model), commit, f"{subject}\n\n{message.strip()}\n", at + 1))
    return Step(version, [*tags, *leaves])


def enter(root: Path, events: Sequence[Event], place: Place, message: str, *, push: bool) -> Step:
    """Put a model of a commit into production, here and, with `push`, at the remote: both or neither.

    Raises:
        BakeoffError: tags can't be made or pushed; everything is as it was.
    """
    step = plan(events, place, message)
    if step.tags:
        create(root, step.tags)
    if push:
        push_tags(root, step.tags)
    return step


def reminder(tags: Sequence[Tag]) -> str:
    """The command that pushes these tags."""
    return shlex.join(["git", "push", "--atomic", REMOTE, *(tag.name for tag in tags)])


def create(root: Path, tags: Sequence[Tag]) -> None:
    """Make the tags: all become visible in one transaction, or none does.

    Raises:
        BakeoffError: one of them exists, Git does not know who you are, or can't write.
    """
    objects = [_write(root, tag) for tag in tags]
    lines = [f"create refs/tags/{tag.name} {made}" for tag, made in zip(tags, objects, strict=True)]
    try:
        order(root, "update-ref", "--stdin", stdin="".join(f"{line}\n" for line in lines))
    except BakeoffError as error:
        raise BakeoffError(
            f"No tag was made, and production is as it was. {error} If somebody else does the same at this moment, "
            "look at `bakeoff status` and try again."
        ) from None


def check_current(root: Path) -> None:
    """See that no tag of the remote is missing here: something else than what is in production would be taken for it.

    Raises:
        BakeoffError: some are, or the remote can't be reached.
    """
    listed = order(root, "ls-remote", "--tags", "--refs", REMOTE).splitlines()
    there = {line.partition("refs/tags/")[2] for line in listed}
    ours = tuple(f"{model}{mark}" for model in specs.names() for mark in (f"#{PRODUCTION}", "@v"))
    missing = sorted(tag for tag in there - set(order(root, "tag", "--list").splitlines()) if tag.startswith(ours))
    if missing:
        raise BakeoffError(
            f"{REMOTE} has tags of the registry that {root.resolve()} lacks ({', '.join(missing[-3:])}): run "
            f"`git fetch --tags {REMOTE}`, look at `bakeoff status`, and try again."
        )


def push_tags(root: Path, made: Sequence[Tag]) -> None:
    """Push the registry's tags to the remote, all or none; those it has already are left alone.

    Where that fails, the tags that were just made are taken away again, so that here and there the same is in
    production, and the next call starts over.

    Raises:
        BakeoffError: the remote refused, or can't be reached.
    """
    names = [f"refs/tags/{event.tag}" for event in read_events(root)]
    try:
        order(root, "push", "--quiet", "--atomic", REMOTE, *names)
    except BakeoffError as error:
        order(root, "update-ref", "--stdin", stdin="".join(f"delete refs/tags/{tag.name}\n" for tag in made))
        raise BakeoffError(f"Nothing was pushed, and production is as it was, here and at {REMOTE}. {error}") from None


class _Numbers:
    """Names of new assignments: GTO numbers those of a model from 1, coming and going alike."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._last: dict[str, int] = {}
        for event in events:
            self._last[event.model] = max(self._last.get(event.model, 0), event.counter)

    def named(self, action: Action, model: str) -> str:
        self._last[model] = self._last.get(model, 0) + 1
        return f"{name_tag(action, model, stage=PRODUCTION, simple=True)}#{self._last[model]}"


def _write(root: Path, tag: Tag) -> str:
    """Write the tag's object, which nobody sees until a name points at it."""
    dated = {"GIT_COMMITTER_DATE": f"{tag.at} +0000"}
    tagger = order(root, "var", "GIT_COMMITTER_IDENT", env=dated).strip()
    text = f"object {tag.commit}\ntype commit\ntag {tag.name}\ntagger {tagger}\n\n{tag.message}"
    return order(root, "mktag", stdin=text).strip()
