"""The registry's events, read off the tags of one repository: versions that were registered, stages that were assigned.

Names are GTO's (`softmax@v1.0.0`, `softmax#prod#2`, `mf#prod!#3`) and are made and read by GTO's own functions, those
that DVC uses for `dvc artifacts get`. The tags themselves are read through Git, all of them by one command.
"""

from dataclasses import dataclass
from pathlib import Path

from gto.constants import Action
from gto.tag import parse_name

from bakeoff.models.base import specs
from bakeoff.ops.registry.git import ask

PRODUCTION = "prod"
"""GTO's stage of what is served to people."""

PROMOTE, ROLLBACK = "promote", "rollback"
"""What led to an assignment."""

_FIELDS = ("refname:strip=2", "creatordate:unix", "*objectname", "objectname", "taggername", "contents")


@dataclass(frozen=True)
class Event:
    """One tag.

    Attributes:
        tag: its name.
        action: GTO's: a version was registered, a stage assigned or un-assigned.
        model: which one it is about.
        commit: what the tag points at.
        at: when, in UTC seconds.
        counter: number of the assignment; 0 for a version.
        version: such as `v1.0.0`; empty for a stage.
        who: the tagger's name; empty for a tag without one.
        message: of the tag.
    """

    tag: str
    action: Action
    model: str
    commit: str
    at: int
    counter: int = 0
    version: str = ""
    who: str = ""
    message: str = ""

    def note(self, name: str) -> str | None:
        """What the last paragraph of the message says under this name, as in `Action: rollback`."""
        lines = self.message.strip().rpartition("\n\n")[2].splitlines()
        return next((line.partition(": ")[2] for line in lines if line.startswith(f"{name}: ")), None)


def read_events(root: Path) -> list[Event]:
    """All events of this project's models, oldest first; of stages those of production only.

    Tags of one second are ordered by the number of the assignment. A directory without history has no event.
    """
    form = "".join(f"%({field})%00" for field in _FIELDS)
    values = (ask(root, "for-each-ref", f"--format={form}", "refs/tags") or "").split("\0")
    size = len(_FIELDS)
    rows = [values[start : start + size] for start in range(0, len(values) - size + 1, size)]
    events = [event for row in rows if (event := _event([row[0].lstrip("\n"), *row[1:]])) is not None]
    return sorted(events, key=lambda event: (event.at, event.counter))


def _event(row: list[str]) -> Event | None:
    """One tag as an event; None for a tag that is not one of the registry's."""
    tag, at, target, itself, who, message = row
    named = parse_name(tag, raise_on_fail=False)
    action = named.get("action")
    if named.get("name") not in specs.names() or action not in (Action.REGISTER, Action.ASSIGN, Action.UNASSIGN):
        return None
    if action is not Action.REGISTER and named["stage"] != PRODUCTION:
        return None
    return Event(
        tag=tag,
        action=action,
        model=named["name"],
        commit=target or itself,
        at=int(at or 0),
        counter=int(named.get("counter", 0)),
        version=named.get("version", ""),
        who=who,
        message=message,
    )
