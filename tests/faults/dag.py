"""Stages of every dvc.yaml of the project, as commands with their outputs, each after those that it needs."""

from dataclasses import dataclass
from pathlib import Path

from dvc_yaml import stages_of

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    """A stage, or one entry of a matrix."""

    name: str
    arguments: list[str]
    inputs: list[str]
    outputs: list[str]

    def needs(self, other: "Stage") -> bool:
        """Whether it reads an output of the other one, or of a directory in it."""
        return any(
            Path(each).is_relative_to(out) or Path(out).is_relative_to(each)
            for each in self.inputs
            for out in other.outputs
        )

    @property
    def compared(self) -> list[str]:
        """Outputs that are the same in every run: all but what is measured."""
        return [out for out in self.outputs if not out.startswith("artifacts/cost/") and "_cost" not in out]


def stages() -> list[Stage]:
    """All of them, in the order of the files, which is one that they can run in."""
    return [
        Stage(name, command.split()[1:], inputs, outputs)
        for file in ("dvc.yaml", "studies/dvc.yaml")
        for name, command, inputs, outputs in stages_of(ROOT, file)
    ]
