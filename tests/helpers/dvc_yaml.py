"""The stages of a dvc.yaml as DVC resolves them: each entry of `foreach` by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def stages_of(file: Path) -> Iterator[tuple[str, Any]]:
    """Name, such as `train@mf`, and definition of each stage, with `${key}` and `${item…}` filled in."""
    for name, definition in YAML(typ="safe").load(file)["stages"].items():
        if "foreach" not in definition:
            yield name, definition
            continue
        names = definition["foreach"]
        for key, item in names.items() if isinstance(names, dict) else ((each, each) for each in names):
            inner = item if isinstance(item, dict) else {}
            values = {"key": key, "item": item, **{f"item.{each}": value for each, value in inner.items()}}
            yield f"{name}@{key}", filled(definition["do"], values)


def filled(value: Any, values: dict[str, Any]) -> Any:
    """A template with its places filled in."""
    if isinstance(value, dict):
        return {filled(key, values): filled(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, values) for each in value]
    for place, text in values.items():
        value = value.replace(f"${{{place}}}", str(text)) if isinstance(value, str) else value
    return value
