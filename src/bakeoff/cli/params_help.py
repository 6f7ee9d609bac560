"""`bakeoff params`: every parameter with its value, its limits and what it means."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakeoff.core.parameters import Frozen
from bakeoff.params import Params

Schema = Mapping[str, Any]
_PLAIN_WIDTH = 200  # where the output is no terminal, lines may be long


@dataclass(frozen=True)
class Described:
    """One parameter, in words."""

    name: str
    """As `dvc exp run -S` takes it: softmax.dim."""
    value: str
    """As YAML writes it."""
    limits: str
    meaning: str


def run(params: Params) -> None:
    """Print a table of all parameters.

    Args:
        params: the values to show.
    """
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    table = Table(title="params.yaml", title_justify="left", show_lines=False)
    for heading, ratio in (("parameter", None), ("value", None), ("must be", None), ("meaning", 1)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    for _, rows in groupby(describe(params), lambda row: row.name.partition(".")[0]):
        table.add_section()
        for row in rows:
            # Text: brackets in values are no markup
            table.add_row(Text(row.name, style="bold"), Text(row.value), Text(row.limits), Text(row.meaning))
    console.print(table)


def describe(params: Params) -> list[Described]:
    """All parameters, in the order of the file."""
    schema = params.model_json_schema()
    return list(_fields(params, schema, schema.get("$defs", {}), ""))


def _fields(params: Frozen, schema: Schema, definitions: Schema, prefix: str) -> Iterator[Described]:
    for name in type(params).model_fields:
        value, field = getattr(params, name), schema["properties"][name]
        if isinstance(value, Frozen):
            yield from _fields(value, definitions[type(value).__name__], definitions, f"{prefix}{name}.")
        else:
            meaning = field.get("description", "").replace("\n", " ")
            yield Described(f"{prefix}{name}", json.dumps(value, ensure_ascii=False), limits(field), meaning)


def limits(schema: Schema) -> str:
    """A JSON schema in words: `integer > 0`, `s | ms | iso`, `text or null`.

    Args:
        schema: of one field.

    Returns:
        what a value must be.
    """
    if "anyOf" in schema:
        return " or ".join(limits(option) for option in schema["anyOf"])
    if options := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " | ".join(str(option) for option in options)
    if schema.get("type") == "array":
        return f"list of {limits(schema.get('items', {}))}"
    if schema.get("type") == "object":
        return f"name: {limits(schema.get('additionalProperties', {}))}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:.12g}" for key, sign in signs.items() if key in schema]
    kind = schema.get("type", "value")
    kind = {"string": "text", "boolean": "true | false"}.get(kind, kind)
    return f"{kind} {', '.join(bounds)}".strip()
