"""What tests of flows share: commands, and the type of the fixture that makes small DVC projects."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from bakeoff.core import subprocesses

FLOWS = Path(__file__).parents[2] / "flows"
Project = Callable[..., Path]


def call(*command: str, cwd: Path) -> str:
    """Run a command that must succeed and return what it prints."""
    environment = subprocesses.environment(cwd)  # asked each time: tests put commands of their own before all others
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, env=environment).stdout


def dvc(*arguments: str, cwd: Path) -> str:
    """The same with DVC."""
    return call("dvc", *arguments, cwd=cwd)
