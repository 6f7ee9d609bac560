"""The stages of dvc.yaml as commands, each after those whose outputs it needs."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from dvc.repo import Repo


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
    """All stages of a dvc.yaml as DVC resolves them, in an order in which they can run: the file's where it is one."""
    with Repo(str(path.parent), uninitialized=True) as repo:
        found = {stage.name: stage for stage in repo.index.stages if stage.path_in_repo == path.name}
    deps = {name: [Path(dep.fs_path) for dep in stage.deps] for name, stage in found.items()}
    outs = {name: [Path(out.fs_path) for out in stage.outs] for name, stage in found.items()}
    before = {
        name: tuple(other for other in found if other != name and _overlap(deps[name], outs[other])) for name in found
    }
    return [
        Stage(name, tuple(shlex.split(found[name].cmd)), tuple(out.def_path for out in found[name].outs), before[name])
        for name in _in_order(before)
    ]


def _overlap(deps: list[Path], outs: list[Path]) -> bool:
    return any(dep.is_relative_to(out) or out.is_relative_to(dep) for dep in deps for out in outs)


def _in_order(before: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    place = {name: index for index, name in enumerate(before)}
    sorter = TopologicalSorter(before)
    sorter.prepare()
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=place.__getitem__)
        yield ready[0]
        sorter.done(ready.pop(0))
