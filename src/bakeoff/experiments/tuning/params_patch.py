"""The chosen values in params.yaml: a round trip by ruamel.yaml keeps comments and order."""

import difflib
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.representer import RoundTripRepresenter


class _ExplicitNull(RoundTripRepresenter):
    """Writes `null`, where ruamel.yaml would leave the value empty."""


_ExplicitNull.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))


def with_chosen(text: str, section: str, values: Mapping[str, Any]) -> str:
    """The file with these values in a section.

    Args:
        text: of params.yaml, valid YAML with a mapping at its root.
        section: name of the section; added at the end if it is missing.
        values: by name within the section; nested names have a dot. A missing key is added as the first of its section.
    """
    yaml = YAML()
    yaml.Representer = _ExplicitNull
    yaml.preserve_quotes = True
    yaml.width = 10**6  # no line is wrapped
    yaml.default_flow_style = None  # new lists in one line
    if indented := re.search(r"^( +)\w", text, re.MULTILINE):
        yaml.indent(mapping=len(indented[1]))
    document = yaml.load(text)
    for name, value in values.items():
        _set(document, [section, *name.split(".")], value, len(document))
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _set(place: CommentedMap, keys: Sequence[str], value: Any, position: int = 0) -> None:
    """Set a value; a missing key is inserted at the position, which is 0 in a section.

    At the end of a section, it would come after the comment above the next section.
    """
    key, *rest = keys
    if key not in place:
        place.insert(position, key, CommentedMap() if rest else value)
    if rest:
        _set(place[key], rest, value)
    elif isinstance(place[key], list) and isinstance(value, list):
        place[key][:] = value  # in place: the comment belongs to the list
    elif place[key] != value:  # 6 and 6.0 are equal: the spelling of the file stays
        place[key] = value


def unified_diff(before: str, after: str, name: str = "params.yaml") -> str:
    """What changed, for review; empty if nothing did."""
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    return "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))
