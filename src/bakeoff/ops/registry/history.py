"""The registry: versions of models, and what is and was in production, kept by GTO as tags in Git.

A version is a tag such as `softmax@v1.0.0`; `softmax#prod#2` puts one into production and `mf#prod!#3` takes one out.
DVC reads the same tags for `dvc artifacts get`.
"""

import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from gto import api
from gto.exceptions import GTOException
from scmrepo.exceptions import SCMError
from scmrepo.git import Git

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.models.base import specs
from bakeoff.ops.git import ask, git

PRODUCTION = "prod"
"""GTO's stage of what is served to people."""

REGISTERED, ASSIGNED, UNASSIGNED = "registration", "assignment", "unassignment"
"""GTO's names of the events that matter here."""

REMOTE = "origin"

ROLLBACK = "rollback"
"""The note `Action` of an assignment that went back to an earlier version."""


@dataclass(frozen=True)
class Version:
    """A model as one commit has it; the same version is the same model of the same commit, whatever its number.

    Attributes:
        model: its name.
        number: such as `v2.0.0`; the abbreviated hash where the commit has none.
        commit: the whole hash.
    """

    model: str
    number: str = field(compare=False)
    commit: str

    @property
    def name(self) -> str:
        """`softmax@v2.0.0`, a revision that Git, DVC and GTO understand."""
        return f"{self.model}@{self.number}"


@dataclass(frozen=True)
class Event:
    """A tag of the registry: a version was registered, or went into production, or left it.

    Attributes:
        tag: its name.
        kind: REGISTERED, ASSIGNED or UNASSIGNED.
        version: of which model.
        at: when, in UTC seconds.
        who: the tagger's name.
        message: of the tag.
    """

    tag: str
    kind: str
    version: Version
    at: int
    who: str = ""
    message: str = ""

    def note(self, name: str) -> str | None:
        """The value of a line such as `Action: rollback` in the last paragraph of the message."""
        lines = self.message.strip().rpartition("\n\n")[2].splitlines()
        return next((line.partition(": ")[2] for line in lines if line.startswith(f"{name}: ")), None)


def read_events(root: Path) -> Sequence[Event]:
    """All events of this project's models, oldest first; of stages only those of production.

    A directory without history has no event.

    Raises:
        BakeoffError: GTO can't read the tags.
    """
    refs = ask(root, "for-each-ref", "refs/tags")
    return _read(root.resolve(), refs) if refs else ()


@lru_cache(maxsize=8)
def _read(root: Path, refs: str) -> Sequence[Event]:
    """Events of a repository with these tags. GTO takes 15 ms per version: too long for a server that looks often."""
    tags = {line.partition("refs/tags/")[2] for line in refs.splitlines()}
    with reading(f"The registry in the tags of {root}", "look at `git tag --list`", GTOException, SCMError):
        rows = api.history(str(root))
    found = [
        Event(row["ref"], row["event"], _version(row), int(row["timestamp"].timestamp()), row["author"], row["message"])
        for row in rows
        if row["artifact"] in specs.names()
        and row["ref"] in tags  # not one that was made since, which may be taken back
        and (row["event"], row["stage"]) in ((REGISTERED, None), (ASSIGNED, PRODUCTION), (UNASSIGNED, PRODUCTION))
    ]
    # GTO numbers the assignments of a model: those of one second are ordered by that.
    return sorted(found, key=lambda event: (event.at, api.parse_tag(event.tag).get("counter", 0)))


def _version(row: Mapping[str, str]) -> Version:
    commit, number = row["commit"], row["version"]
    return Version(row["artifact"], commit[:7] if number == commit else number, commit)


def find_version(events: Sequence[Event], name: str) -> Version:
    """The version with this name, such as `softmax@v2.0.0`.

    Raises:
        BakeoffError: there is none; the message lists the last ones.
    """
    registered = {event.version.name: event.version for event in events if event.kind == REGISTERED}
    if name not in registered:
        known = ", ".join(list(registered)[-10:]) or "none yet"
        raise BakeoffError(f"{name!r} is no version of the registry. The last ones are: {known}. See `bakeoff status`.")
    return registered[name]


def assignments(events: Sequence[Event]) -> list[Event]:
    """Everything that went into production, oldest first."""
    return [event for event in events if event.kind == ASSIGNED]


def active(events: Sequence[Event]) -> dict[Version, Event]:
    """What was assigned and not un-assigned since, as GTO sees it; the last assigned comes last."""
    standing: dict[Version, Event] = {}
    for event in events:
        if event.kind != REGISTERED:
            standing.pop(event.version, None)
        if event.kind == ASSIGNED:
            standing[event.version] = event
    return standing


def production(events: Sequence[Event]) -> Event | None:
    """The assignment of what is in production: the last active one; None where nothing is."""
    return next(reversed(active(events).values()), None)


def way_back(events: Sequence[Event]) -> tuple[list[Event], list[Version]]:
    """The assignments that rollbacks walk along, the one in production last; and the versions that they left.

    A promotion adds to the way. A rollback takes what it leaves off it, so that the next one goes on backwards and
    never returns to what was left. A return to what a rollback left takes that rollback back if what it was left for is
    still in production. A version that somebody puts back into production is no longer left.
    """
    way: list[Event] = []
    left: dict[Version, Version] = {}  # with the version that each was left for
    for event in assignments(events):
        version, passed = event.version, [earlier.version for earlier in way]
        if event.note("Action") == ROLLBACK:
            leaves: list[Version] = []
            if version in passed:
                # If it is on the way several times, the last one counts.
                stop = len(passed) - 1 - passed[::-1].index(version)
                way, leaves = way[:stop], passed[stop + 1 :]
            elif passed and left.get(version) != passed[-1]:
                leaves = passed[-1:]
            # What was left for a version that is left in its turn was left for this one: rollbacks in a row are one.
            left = {each: version if target in leaves else target for each, target in left.items()}
            left |= dict.fromkeys(leaves, version)
        elif passed[-1:] == [version]:
            way = way[:-1]
        left.pop(version, None)
        way = [earlier for earlier in way if earlier.version not in left] + [event]
    return way, list(left)


def enter(root: Path, model: str, commit: str, message: str, *, push: bool) -> tuple[Version, Sequence[str]]:
    """Put a model of a commit into production, here and, with `push`, at the remote: both or neither.

    A model that has no version at the commit gets its next one. Whatever else is in production leaves it, the former
    version of the same model too: GTO would put that one back if its successor left. A step that was cut off is
    completed by the next call.

    Tags are dated after every tag there is, and what enters after what leaves: DVC takes the last tag of a stage,
    whichever it is.

    Args:
        root: of the project.
        model: its name.
        commit: that has it, the whole hash.
        message: of the assignment, without its first line.
        push: push the tags of the registry; those that the remote has already are left alone.

    Returns:
        the version that is in production now, and the names of the tags that were made; none where it was there.

    Raises:
        BakeoffError: tags can't be made or pushed; everything is as it was.
    """
    events, wanted = read_events(root), Version(model, "", commit)
    there = [*active(events)]
    leaving = [former for former in there if former != wanted]
    enters = there[-1:] != [wanted] or any(former.model == model for former in leaving)
    registered = [event.version for event in events if event.kind == REGISTERED and event.version.model == model]
    version = next((version for version in reversed(registered) if version == wanted), None)
    at = max([int(time.time()), *(event.at + 1 for event in events)])
    tags = _DatedGit(root, at)
    try:
        with closing(tags):
            if version is None:
                # One major number higher: the lists that people get are others.
                number = {"bump_major": True} if registered else {"version": "v1.0.0"}
                version = Version(model, api.register(tags, model, commit, **number).version, commit)
            # What enters is written first: a call that is cut off in between leaves two versions, and the later counts.
            if enters:
                tags.at = at + 1
                text = f"{version.name} goes into production\n\n{message.strip()}"
                api.assign(tags, model, PRODUCTION, ref=commit, message=text, force=True)
            tags.at = at
            for former in leaving:
                text = f"{former.name} leaves production for {version.name}"
                api.unassign(tags, former.model, ref=former.commit, stage=PRODUCTION, message=text, force=True)
            if push:
                git(root, "push", "--quiet", "--atomic", REMOTE, *(f"refs/tags/{e.tag}" for e in read_events(root)))
    except (BakeoffError, GTOException, SCMError) as error:
        if tags.made:
            git(root, "tag", "--delete", *tags.made)
        raise BakeoffError(
            f"No tag was made or pushed, and production is as it was. {error} If somebody else does the same at this "
            "moment, look at `bakeoff status` and try again."
        ) from None
    return version, tags.made


def whereabouts(tags: Sequence[str], *, pushed: bool) -> str:
    """Where these tags are, and the command that pushes them, in a sentence."""
    if pushed:
        return f"The tags are at {REMOTE}, too."
    return f"The tags are at this clone only: {shlex.join(['git', 'push', '--atomic', REMOTE, *tags])}"


def check_current(root: Path) -> None:
    """Check that no tag of the remote is missing here: without it, another version would seem to be in production.

    Raises:
        BakeoffError: some are missing, or the remote can't be reached.
    """
    patterns = [f"{model}{mark}*" for model in specs.names() for mark in (f"#{PRODUCTION}", "@v")]
    listed = git(root, "ls-remote", "--tags", "--refs", REMOTE, *patterns).splitlines()
    there = {line.partition("refs/tags/")[2] for line in listed}
    missing = sorted(there.difference(git(root, "tag", "--list").splitlines()))
    if missing:
        raise BakeoffError(
            f"{REMOTE} has tags of the registry that {root.resolve()} lacks ({', '.join(missing[-3:])}): run "
            f"`git fetch --tags {REMOTE}`, look at `bakeoff status`, and try again."
        )


class _DatedGit(Git):
    """A repository for GTO whose new tags carry a given second, and which knows what it made.

    GTO and DVC order tags by their second, and GTO takes it from the clock. The order of versions must survive a clock
    that is behind that of another machine.

    Attributes:
        at: UTC second of the next tag.
        made: names of the tags.
    """

    def __init__(self, root: Path, at: int) -> None:
        super().__init__(str(root))
        self.at, self.made = at, list[str]()

    def tag(self, tag: str, target: str = "HEAD", annotated: bool = True, message: str = "") -> None:
        arguments = ("--annotate", "--cleanup=whitespace", f"--message={message}", tag, target)
        git(Path(self.root_dir), "tag", *arguments, variables={"GIT_COMMITTER_DATE": f"{self.at} +0000"})
        self.made.append(tag)
