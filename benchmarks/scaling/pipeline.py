"""The stages of dvc.yaml as commands, each after those whose outputs it needs."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@dataclass(frozen=True)
class Stage:
    """A stage, or one entry of a `foreach`.

    Attributes:
        name: as DVC calls it, such as `evaluate@mf`.
        command: its words.
        outputs: paths below the workspace.
        after: names of the stages right before it.
    """

    name: str
    command: tuple[str, ...]
    outputs: tuple[str, ...]
    after: tuple[str, ...] = ()


def read_stages(path: Path) -> list[Stage]:
    """All stages of a dvc.yaml in an order in which they can run: that of the file where it is one."""
    found = {name: (values, _outputs(values)) for name, values in _expanded(YAML(typ="safe").load(path)["stages"])}
    before = {
        name: tuple(
            other
            for other, (_, outputs) in found.items()
            if other != name and any(_overlap(dep, out) for dep in _paths(values.get("deps", [])) for out in outputs)
        )
        for name, (values, _) in found.items()
    }
    return [
        Stage(name, tuple(shlex.split(found[name][0]["cmd"])), tuple(found[name][1]), before[name])
        for name in _in_order(before)
    ]


def _in_order(before: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    place = {name: index for index, name in enumerate(before)}
    sorter = TopologicalSorter(before)
    sorter.prepare()
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=place.__getitem__)
        yield ready[0]
        sorter.done(ready.pop(0))


def _expanded(stages: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each stage, and each entry of a `foreach` by itself, with `${key}` and `${item…}` filled in."""
    for name, values in stages.items():
        if "foreach" not in values:
            yield name, values
            continue
        entries = values["foreach"]
        for key, item in entries.items() if isinstance(entries, dict) else ((each, each) for each in entries):
            filled = _replaced(_replaced(values["do"], "${key}", str(key)), "${item}", str(item))
            for inner, value in item.items() if isinstance(item, dict) else ():
                filled = _replaced(filled, f"${{item.{inner}}}", str(value))
            yield f"{name}@{key}", filled


def _replaced(values: Any, old: str, new: str) -> Any:
    if isinstance(values, str):
        return values.replace(old, new)
    if isinstance(values, dict):
        return {_replaced(key, old, new): _replaced(value, old, new) for key, value in values.items()}
    return [_replaced(value, old, new) for value in values] if isinstance(values, list) else values


def _outputs(values: Mapping[str, Any]) -> list[str]:
    return [path for key in ("outs", "metrics", "plots") for path in _paths(values.get(key, []))]


def _paths(listed: list[Any]) -> list[str]:
    return [each if isinstance(each, str) else next(iter(each)) for each in listed]


def _overlap(one: str, other: str) -> bool:
    first, second = Path(one).parts, Path(other).parts
    return first[: len(second)] == second[: len(first)]
