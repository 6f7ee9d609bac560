"""The chosen values in the text of params.yaml: nothing but the values changes."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node

from bakeoff.core.errors import BakeoffError

_WORD = re.compile(r"[a-z]+(-[a-z]+)*")
_NO_WORDS = {"null", "true", "false", "yes", "no", "on", "off"}
"""What YAML, some version of it, does not read as text."""


def with_chosen(text: str, section: str, values: Mapping[str, Any]) -> str:
    """The file with these values in a section; comments, order and format stay.

    Args:
        text: of params.yaml.
        section: name of the section.
        values: by name within the section; nested names have a dot.

    Raises:
        BakeoffError: a value has no place in the file as it is written.
    """
    for name, value in values.items():
        path = [section, *name.split(".")]
        changed = _with_value(text, path, value)
        if _read(changed, path) != value:
            raise BakeoffError(
                f"{'.'.join(path)} can't be set in params.yaml as it is written: set it to {value} by hand."
            )
        text = changed
    return text


def unified_diff(before: str, after: str, name: str = "params.yaml") -> str:
    """What changed, for review; empty if nothing did."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(lines)


def _with_value(text: str, path: Sequence[str], value: Any) -> str:
    node: Node | None = YAML().compose(StringIO(text))
    for depth, key in enumerate(path):
        entries = {each.value: inner for each, inner in node.value} if isinstance(node, MappingNode) else {}
        if key not in entries:
            return _with_key(text, node, path[depth:], depth, value)
        node = entries[key]
    if node is None or _read(text, path) == value:
        return text  # 6 and 6.0 are the same: the person's spelling stays
    return text[: node.start_mark.index] + _yaml(value) + text[node.end_mark.index :]


def _with_key(text: str, node: Node | None, keys: Sequence[str], depth: int, value: Any) -> str:
    """Keys that are not there yet, as the first of their section, or at the end of the file."""
    indent = " " * (node.value[0][0].start_mark.column if depth and node is not None and node.value else 2 * depth)
    lines = [f"{indent}{'  ' * level}{key}:" for level, key in enumerate(keys)]
    block = "\n".join(lines) + f" {_yaml(value)}\n"
    if not depth or not isinstance(node, MappingNode) or not node.value:
        return f"{text.rstrip()}\n\n{block}"
    start = text.rfind("\n", 0, node.value[0][0].start_mark.index) + 1
    return text[:start] + block + text[start:]


def _read(text: str, path: Sequence[str]) -> Any:
    """The value in a text; KeyError where there is none, or where the text is no YAML."""
    try:
        values = YAML(typ="safe").load(text)
    except YAMLError:
        return KeyError
    for key in path:
        if not isinstance(values, Mapping) or key not in values:
            return KeyError
        values = values[key]
    return values


def _yaml(value: Any) -> str:
    """A value in one line; JSON is YAML, but nobody quotes a word."""
    if isinstance(value, str) and _WORD.fullmatch(value) and value not in _NO_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
