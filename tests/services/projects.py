"""Tiny DVC projects whose stages a test can hold and let go."""

import subprocess
import sys
from pathlib import Path

STAGES = """
stages:
  first:
    cmd: python first.py
    deps: [first.py]
    outs: [first]
  second:
    cmd: python second.py
    deps: [first, second.py]
    outs: [second]
"""
FIRST = """
import os, time
from pathlib import Path
Path("held.new").write_text(str(os.getpid()))
os.replace("held.new", "held")  # whoever sees it can read it
while not Path("go").exists():
    time.sleep(0.05)
Path("first").write_text("first")
"""
SECOND = "open('second', 'w').write(open('first').read() + ' and second')"


def call(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed and return what it prints."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dvc(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    return call(sys.executable, "-m", "dvc", *arguments, cwd=cwd, env=env)


def new_repository(root: Path) -> Path:
    """Git and DVC, and nothing else yet."""
    root.mkdir(parents=True)
    call("git", "init", "--quiet", ".", cwd=root)
    call("git", "config", "user.name", "Test", cwd=root)
    call("git", "config", "user.email", "test@localhost", cwd=root)
    dvc("init", "--quiet", cwd=root)
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    return root


class Held:
    """A project of two stages, of which the first waits until it is let go."""

    def __init__(self, root: Path) -> None:
        self.root = new_repository(root)
        (root / "dvc.yaml").write_text(STAGES)
        (root / "first.py").write_text(FIRST)
        (root / "second.py").write_text(SECOND)

    @property
    def holding(self) -> int | None:
        """The process of the stage that waits; None if none has started."""
        path = self.root / "held"
        return int(path.read_text()) if path.exists() else None

    def let_go(self) -> None:
        """The stage that waits ends, and later ones do not wait."""
        (self.root / "go").touch()

    def change(self) -> None:
        """The first stage is to be run again, and to wait again."""
        (self.root / "go").unlink(missing_ok=True)
        (self.root / "held").unlink(missing_ok=True)
        with (self.root / "first.py").open("a") as code:
            code.write("# changed\n")
