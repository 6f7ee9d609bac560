"""YAML files of plain values, whose sections pydantic checks."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from bakeoff.core.errors import BakeoffError

MAX_BYTES = 2**16
"""Ten times the shipped params.yaml; parsing this much takes a second or two."""
MAX_DEPTH = 20
"""Sections within sections; params.yaml has three."""
MAX_ALIASES = 10
"""Uses of anchors. Aliases of aliases multiply the values of a small file."""


def read_yaml(data: bytes, source: str) -> Any:
    """Read one YAML 1.2 document with ruamel's safe loader, which refuses duplicate keys and tags of other types.

    Args:
        data: the document, UTF-8.
        source: name of the file, for messages.

    Returns:
        mappings, lists, numbers, texts, true, false and null.

    Raises:
        BakeoffError: it is too large, too deep or repeats too much, or is not YAML; names the line.
    """
    if len(data) > MAX_BYTES:
        raise BakeoffError(f"{source} is larger than {MAX_BYTES:,} bytes: it is not the file that was expected.")
    try:
        text = data.decode("utf-8-sig")
        _refuse_bombs(text, source)
        return YAML(typ="safe", pure=True).load(text)
    # ruamel passes on what the conversion of a number, a date or an escape raises
    except (YAMLError, ValueError, OverflowError, LookupError, TypeError) as error:
        raise BakeoffError(f"{source} is not valid YAML: {_reason(error)}") from None


def _refuse_bombs(text: str, source: str) -> None:
    """Refuse what would take the parser minutes or gigabytes: it follows aliases of aliases, and calls itself."""
    depth = aliases = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        aliases += isinstance(event, AliasEvent)
        if depth > MAX_DEPTH or aliases > MAX_ALIASES:
            excess = f"{MAX_DEPTH} levels within each other" if depth > MAX_DEPTH else f"{MAX_ALIASES} aliases"
            raise BakeoffError(f"{source}, line {event.start_mark.line + 1}: more than {excess}; write the values out.")


def _reason(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        what = ", ".join(part for part in (error.context, error.problem) if part)
        return f"line {error.problem_mark.line + 1}: {what}."
    return f"{error}."
