"""Stages of every dvc.yaml of the project, as commands with their outputs, each after those that it needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dvc_yaml import stages_of

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    """A stage, or one entry of a matrix."""

    name: str
    arguments: list[str]
    outputs: list[str]

    @property
    def compared(self) -> list[str]:
        """Outputs that are the same in every run: all but what is measured."""
        return [out for out in self.outputs if not out.startswith("artifacts/cost/") and "_cost" not in out]


def stages() -> list[Stage]:
    """All of them, in the order of the files, which is one that they can run in."""
    return [stage for file in ("dvc.yaml", "studies/dvc.yaml") for stage in _of(ROOT / file)]


def _of(file: Path) -> Iterator[Stage]:
    for name, definition in stages_of(file):
        listed = [*definition.get("outs", []), *definition.get("metrics", []), *definition.get("plots", [])]
        outputs = [out if isinstance(out, str) else next(iter(out)) for out in listed]
        yield Stage(name, definition["cmd"].split()[1:], outputs)
