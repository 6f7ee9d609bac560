"""What the events amount to: what is in production, since when, and what was there before."""

from collections.abc import Sequence
from dataclasses import dataclass

from gto.constants import Action
from gto.versions import SemVer

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.events import ROLLBACK, Event

Place = tuple[str, str]
"""A model and the commit that holds it: what GTO calls a version, whether it has a number or not."""


@dataclass(frozen=True)
class Version:
    """A model as one commit has it.

    Attributes:
        model: its name.
        number: such as `v2.0.0`; the abbreviated hash where the commit has none.
        commit: the whole hash.
    """

    model: str
    number: str
    commit: str

    @property
    def name(self) -> str:
        """`softmax@v2.0.0`, a revision that Git, DVC and GTO understand."""
        return f"{self.model}@{self.number}"

    @property
    def place(self) -> Place:
        """The model and the commit."""
        return self.model, self.commit


@dataclass(frozen=True)
class Assignment:
    """A version that went into production.

    Attributes:
        version: which one.
        event: the tag that put it there.
    """

    version: Version
    event: Event

    @property
    def is_rollback(self) -> bool:
        """Whether it came back instead of being promoted."""
        return self.event.note("Action") == ROLLBACK

    @property
    def despite(self) -> str | None:
        """Why it was promoted although the decision said no; None where nothing was forced."""
        return self.event.note("Despite")


def versions(events: Sequence[Event]) -> list[Version]:
    """Every version that was registered, oldest first."""
    return [Version(e.model, e.version, e.commit) for e in events if e.action is Action.REGISTER]


def version_at(events: Sequence[Event], place: Place) -> Version:
    """The version of a model at a commit; one without a number where none was registered there."""
    model, commit = place
    found = [version for version in versions(events) if version.place == place]
    return found[-1] if found else Version(model, commit[:7], commit)


def find_version(events: Sequence[Event], name: str) -> Version:
    """The version with this name, such as `softmax@v2.0.0`.

    Raises:
        BakeoffError: there is none; those that there are, are named.
    """
    there = {version.name: version for version in versions(events)}
    if name not in there:
        known = ", ".join(list(there)[-10:]) or "none yet"
        raise BakeoffError(f"{name!r} is no version of the registry. The last ones are: {known}. See `bakeoff status`.")
    return there[name]


def next_number(events: Sequence[Event], model: str) -> str:
    """The number of the next version: one major number higher, as the lists that people get are others."""
    numbers = [SemVer.parse(version.number).major for version in versions(events) if version.model == model]
    return f"v{max(numbers, default=0) + 1}.0.0"


def assignments(events: Sequence[Event]) -> list[Assignment]:
    """Everything that went into production, oldest first."""
    return [Assignment(version_at(events, (e.model, e.commit)), e) for e in events if e.action is Action.ASSIGN]


def active(events: Sequence[Event]) -> dict[Place, Assignment]:
    """What was assigned and not un-assigned since, as GTO sees it; the last assigned comes last."""
    standing: dict[Place, Assignment] = {}
    for event in events:
        place = event.model, event.commit
        if event.action is Action.ASSIGN:
            standing.pop(place, None)
            standing[place] = Assignment(version_at(events, place), event)
        elif event.action is Action.UNASSIGN:
            standing.pop(place, None)
    return standing


def production(events: Sequence[Event]) -> Assignment | None:
    """What is in production: of what is assigned, the last; None where nothing is."""
    return next(reversed(active(events).values()), None)


def way_back(events: Sequence[Event]) -> list[Assignment]:
    """What a rollback walks along, the version in production last.

    A promotion adds to it. A rollback cuts off what it left, so that the next one goes on backwards and never returns
    to what was left; one to a version that is not on the way adds it, as a promotion does.
    """
    way, _ = _walk(events)
    return way


def left_by_rollback(events: Sequence[Event]) -> list[Version]:
    """Versions that a rollback took out of production and that nobody has put back since."""
    _, left = _walk(events)
    return list(left.values())


def _walk(events: Sequence[Event]) -> tuple[list[Assignment], dict[Place, Version]]:
    way: list[Assignment] = []
    left: dict[Place, Version] = {}
    for assignment in assignments(events):
        place = assignment.version.place
        places = [earlier.version.place for earlier in way]
        gone: list[Assignment] = []
        if assignment.is_rollback and place in places:
            # Of several places on the way the nearest is meant.
            stop = len(places) - 1 - places[::-1].index(place)
            way, gone = way[:stop], way[stop + 1 :]
        elif assignment.is_rollback:
            # Whoever returns to what a rollback left takes that rollback back: nothing is said against what they leave.
            gone = [] if place in left else way[-1:]
        elif places[-1:] == [place]:
            way = way[:-1]
        left |= {earlier.version.place: earlier.version for earlier in gone}
        left.pop(place, None)
        way.append(assignment)
    return way, left
