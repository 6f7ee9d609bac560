"""A workspace in which the stages run one after the other, each in a process that can be killed."""

import shutil
from pathlib import Path
from typing import Any

import small_project
from dag import Stage
from forking import Program
from ruamel.yaml import YAML
from saboteur import digest, seen

NETWORK = {"max_epochs": 2, "users_per_batch": 64}
LESS = {
    "mf": {"max_epochs": 2},
    "softmax": NETWORK,
    "two_tower": NETWORK,
    "compare": {"resamples": 100},
    "evidence": {"map_items": 10},
}


def hidden(root: Path) -> set[str]:
    """Everything below a directory that is hidden."""
    return {path.relative_to(root).as_posix() for path in root.rglob(".*")}


class StageWalk:
    """What runs stages, and the workspace in which it does."""

    def __init__(self, folder: Path, stages: list[Stage], warm: str) -> None:
        """Fetch the small data set; `warm` is a directory of commands that start at once."""
        self.root = folder / "workspace"
        self.root.mkdir()
        self.stages = stages
        self._scratch = folder
        self._done: set[tuple[str, ...]] = set()
        shutil.copytree(small_project.ROOT / "tuning", self.root / "tuning")
        params = small_project.small_params()
        for section, values in LESS.items():
            params[section] |= values
        YAML().dump(params, self.root / "params.yaml")
        self.files = folder / "files"
        small_project.own_files(self.files)
        self._program = Program(Path(__file__).with_name("stage_program.py"), warm)
        self.run(["fetch", "--from", str(self.files)])

    def attempt(self, arguments: list[str], **options: Any) -> dict[str, Any]:
        """Run `bakeoff` with these arguments; its status, negative where a signal ended it, and what it printed."""
        command: dict[str, Any] = {"workspace": str(self.root), "arguments": arguments, **options}
        answer = self._program.attempt(command)
        if command["workspace"] == str(self.root):
            (self._done.discard if answer["status"] else self._done.add)(tuple(arguments))
        return answer

    def run(self, arguments: list[str], **options: Any) -> None:
        """Run what must succeed."""
        answer = self.attempt(arguments, **options)
        assert answer["status"] == 0, answer["printed"]

    def watch(self, stage: Stage, **options: Any) -> tuple[dict[str, Any], dict[str, set[str | None]]]:
        """Run a stage; how it ended, and by output, every state in which it ever was."""
        log = self._scratch / "seen"
        log.unlink(missing_ok=True)
        answer = self.attempt(stage.arguments, watch=stage.outputs, seen=str(log), **options)
        states: dict[str, set[str | None]] = {name: {self.state(name)} for name in stage.outputs}
        for name, state in seen(log):
            states[name].add(state)
        return answer, states

    def reach(self, stage: Stage) -> None:
        """Have everything that a stage reads."""
        for earlier in filter(stage.needs, self.stages):
            self.have(earlier)

    def have(self, stage: Stage) -> None:
        """Have the outputs of a stage."""
        if tuple(stage.arguments) not in self._done:
            self.reach(stage)
            self.run(stage.arguments)

    def age(self, stage: Stage) -> None:
        """Have an older output wherever a stage will write."""
        self._done.discard(tuple(stage.arguments))
        for name in stage.outputs:
            out = self.root / name
            if out.suffix:
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text("old")
            else:
                for part in ("a", "b/c", "b/d"):
                    (out / part).parent.mkdir(parents=True, exist_ok=True)
                    (out / part).write_text("old")

    def state(self, name: str) -> str | None:
        """Digest of what stands at a path."""
        return digest(self.root / name)

    def copy_inputs(self, folder: Path) -> None:
        """Have what the first stages read in another workspace, too."""
        for name in ("data", "artifacts/split"):
            if (self.root / name).exists():
                shutil.copytree(self.root / name, folder / name)
        shutil.copy(self.root / "params.yaml", folder)

    def finished_or_beside(self, name: str) -> str | None:
        """Digest of what a killed run had made of an output: it stands in its place or, whole, beside it."""
        out = self.root / name
        beside = out.with_name(f".{out.name}.part")
        return digest(beside if beside.exists() else out)

    def leftovers(self) -> set[str]:
        """Everything that is hidden."""
        return hidden(self.root)

    def entries(self, stage: Stage) -> set[str]:
        """What lies beside the outputs of a stage."""
        return {each.name for name in stage.outputs for each in (self.root / name).parent.iterdir()}
