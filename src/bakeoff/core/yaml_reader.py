"""YAML that may come from anybody: read within limits of size, depth and repetition, and refused with its line."""

from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    ScalarEvent,
)
from ruamel.yaml.nodes import ScalarNode

from bakeoff.core.errors import BakeoffError

MAX_BYTES = 2**16
"""Ten times the shipped file; parsing this much takes a second or two."""
MAX_DEPTH = 20
"""Sections within sections; there are three."""
MAX_VALUES = 10_000
"""Keys and values, those that aliases repeat counted each time; there are some 400."""
MAX_SCALAR = 1_000
"""Characters of a single key or value."""


class _Constructor(SafeConstructor):
    """Builds plain values; what looks like a date must be quoted, since readers of YAML make a date of it."""

    def refuse_date(self, node: ScalarNode) -> None:
        """Raise, with the place."""
        raise ConstructorError(None, None, f"write {node.value} in quotation marks", node.start_mark)


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.refuse_date)


def read_yaml(data: bytes, source: str) -> Any:
    """Read one YAML 1.2 document of plain values.

    Args:
        data: the document, UTF-8.
        source: how messages call it.

    Returns:
        what it holds: mappings, lists, numbers, texts, true, false and null. Lists and mappings that aliases repeat
        are the same objects.

    Raises:
        BakeoffError: it is too large or too deep, repeats too much, has a tag, or is not YAML; names the line.
    """
    if len(data) > MAX_BYTES:
        raise BakeoffError(f"{source} is larger than {MAX_BYTES:,} bytes: it is not the file that was expected.")
    try:
        text = data.decode("utf-8-sig")
        _check(YAML(typ="safe", pure=True).parse(text), source)
        yaml = YAML(typ="safe", pure=True)
        yaml.Constructor = _Constructor
        return yaml.load(text)
    # ruamel raises whatever the conversion of an escape or a number raises
    except (YAMLError, ValueError, OverflowError, LookupError) as error:
        raise BakeoffError(f"{source} is not valid YAML: {_reason(error)}") from None


def _check(events: Iterator[Event], source: str) -> None:
    """See that what the events build is small, whatever aliases repeat."""
    tally = _Tally()
    for event in events:
        where = f"{source}, line {event.start_mark.line + 1}"
        if problem := _problem(event, tally):
            raise BakeoffError(f"{where}: {problem}.")
        tally.count(event)
        if len(tally.open) > MAX_DEPTH:
            raise BakeoffError(f"{where}: more than {MAX_DEPTH} levels within each other.")
        if tally.total > MAX_VALUES:
            raise BakeoffError(f"{where}: more than {MAX_VALUES:,} values, those that aliases repeat included.")


class _Tally:
    """How many values there are so far, within which collections, and how many each anchor stands for."""

    def __init__(self) -> None:
        self.total = 0
        self.open: list[tuple[str | None, int]] = []  # the anchor of each, and the values before it
        self.anchors: set[str] = set()
        self.sizes: dict[str, int] = {}

    def count(self, event: Event) -> None:
        """Add what an event stands for."""
        if isinstance(event, AliasEvent):
            self.total += self.sizes[event.anchor]
        elif isinstance(event, ScalarEvent | CollectionStartEvent):
            self.open.append((event.anchor, self.total))
            self.total += 1
            self.anchors |= {event.anchor} - {None}
        if isinstance(event, ScalarEvent | CollectionEndEvent):
            anchor, before = self.open.pop()
            if anchor is not None:
                self.sizes[anchor] = self.total - before


def _problem(event: Any, tally: _Tally) -> str | None:
    if isinstance(event, DocumentStartEvent) and event.version not in (None, (1, 2)):
        return "it must be YAML 1.2, in which 0o17 is a number and `no` is a word"
    if isinstance(event, AliasEvent) and event.anchor not in tally.sizes:
        return f"*{event.anchor} stands for nothing that is complete there"
    if isinstance(event, ScalarEvent | CollectionStartEvent):
        if event.anchor in tally.anchors:
            return f"&{event.anchor} stands for something else already"
        if event.tag not in (None, "!"):
            return f"the tag {event.tag} has no place here, where values are plain"
    if isinstance(event, ScalarEvent) and len(event.value) > MAX_SCALAR:
        return f"a value of {len(event.value):,} characters; none is longer than {MAX_SCALAR:,}"
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        what = ", ".join(part for part in (error.context, error.problem) if part)
        return f"line {error.problem_mark.line + 1}: {what}."
    return f"{error}."
