"""Projects of one or two stages in Git and DVC, and what a person would type in them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from forking import Program

SLOW = """
import os, shutil, sys, time
source, target, *half = sys.argv[1:]
content = open(source).read()
with open(target, 'w') as file:
    file.write(content[: len(content) // 2])
    file.flush()
    if os.path.exists('wait'):
        open('begun', 'w').close()
    while os.path.exists('wait'):
        time.sleep(0.02)
    if os.path.exists('die'):
        os.kill(os.getpid(), 9)
    file.write(content[len(content) // 2 :])
"""
"""A stage that writes its output in place, and stops halfway where a file says so."""

STAGES = """
stages:
  first: {cmd: python slow.py raw first, deps: [raw, slow.py], outs: [first]}
  second: {cmd: python slow.py first second, deps: [first, slow.py], outs: [second]}
"""


CONFIG = """
[core]
    analytics = false
    remote = there
['remote "there"']
    url = ../../remote
    verify = true
"""


_dvc: list[Program] = []


def set_up(warm: str) -> None:
    """Have DVC's commands start at once; `warm` is the directory of such commands."""
    _dvc[:] = [Program(Path(__file__).with_name("dvc_program.py"), warm)]


def call(*command: str, cwd: Path) -> str:
    """What a command prints that must succeed."""
    done = attempt(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout
    return done.stdout


def attempt(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command that may fail; both its outputs in one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )


def attempt_dvc(*arguments: str, cwd: Path, **sabotage: object) -> dict[str, Any]:
    """DVC's command, which may fail or be killed: `status` and what it `printed`."""
    return _dvc[0].attempt({"workspace": str(cwd), "arguments": arguments, **sabotage})


def dvc(*arguments: str, cwd: Path) -> str:
    """What DVC prints."""
    done = attempt_dvc(*arguments, cwd=cwd)
    assert done["status"] == 0, done["printed"]
    return str(done["printed"])


def git(*arguments: str, cwd: Path) -> str:
    """What Git prints."""
    return call("git", *arguments, cwd=cwd)


def begin(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    """Start DVC in a session of its own, and go on."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=cwd,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def new_project(root: Path, stages: str = STAGES, commit: bool = True) -> Path:
    """A project whose stages wait halfway as long as there is a file `wait`."""
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").write_text(CONFIG)
    (root / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (root / ".gitignore").write_text("/wait\n/begun\n/die\n")
    (root / "dvc.yaml").write_text(stages)
    (root / "slow.py").write_text(SLOW)
    (root / "raw").write_text("0123456789" * 2000)
    git("init", "--quiet", ".", cwd=root)
    git("config", "user.name", "Test", cwd=root)
    git("config", "user.email", "test@localhost", cwd=root)
    if commit:
        git("add", "--all", cwd=root)
        git("commit", "--quiet", "--message", "first", cwd=root)
    return root
