"""A project with stages on other machines, and workers in directories that share nothing with it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import psutil
from flow_project import FLOWS, Project, call
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate

REPORT = "artifacts/checks/validation.json"
VERDICT = '{"success": true}'
# `validate` is placed on the pool `near`, `split` runs here, and `train` is on `near` too, where it is held.
STAGES = f"""
stages:
  validate: {{cmd: python validate.py, deps: [raw, validate.py], outs: [valid, {REPORT}]}}
  split: {{cmd: python split.py, deps: [valid, split.py], outs: [split, loose: {{cache: false}}]}}
  train: {{cmd: python held.py split model, deps: [split, loose, held.py], outs: [model]}}
"""
VALIDATE = f"""
import os, pathlib, shutil, sys
print("validated in", os.getcwd())
report = pathlib.Path("{REPORT}")
report.parent.mkdir(parents=True)
report.write_text(os.environ.get("VERDICT", '{VERDICT}'))
if "VERDICT" in os.environ:
    sys.exit(os.environ.get("ERROR", "error: too many rows went to quarantine"))
shutil.copy("raw", "valid")
"""
SPLIT = """
import os, shutil
print("split in", os.getcwd())
shutil.copy("valid", "split")
open("loose", "w").write("loose")
"""
HELD = """
import os, shutil, sys, time
if hold := os.environ.get("HOLD"):
    open(f"{hold}.new", "w").write(str(os.getpid()))
    os.replace(f"{hold}.new", hold)  # whoever sees it can read it
    time.sleep(600)
shutil.copy(*sys.argv[1:])
"""
PLACEMENT = "placement: {validate: near, train: POOL}\nplaced: {worker_seconds: 600}\n"
RAW = "raw"
RAW_MD5 = md5(RAW.encode(), usedforsecurity=False).hexdigest()
RAW_DVC = f"outs:\n- md5: {RAW_MD5}\n  size: {len(RAW)}\n  hash: md5\n  path: raw\n"
DVC_CONFIG = "[core]\n    analytics = false\n    remote = store\n['remote \"store\"']\n    url = "
HANGING = 600.0


class Worker:
    """A process that takes runs from a pool, in a directory that has the flows and nothing else of the project."""

    def __init__(self, root: Path, pool: str, server: str, **variables: str) -> None:
        self.home = root
        if not root.exists():
            shutil.copytree(FLOWS, root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
        environment = {
            **os.environ,
            **variables,
            "PREFECT_API_URL": server,
            "PREFECT_HOME": str(root / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "BAKEOFF_HOME": str(root),
        }
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        with (root / "log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def clones(self) -> Path:
        return self.home / ".dvc/tmp/placed"

    def kill(self) -> None:
        """As a crash of its machine does it, but for the stage, which goes on."""
        worker = psutil.Process(self.process.pid)
        for process in (worker, *worker.children()):
            process.send_signal(signal.SIGKILL)
        self.process.wait(HANGING)

    def close(self) -> None:
        if self.process.poll() is None:
            for process in psutil.Process(self.process.pid).children(recursive=True):
                process.kill()
            self.process.kill()
            self.process.wait(HANGING)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + HANGING
    while not condition():
        assert time.monotonic() < deadline, "this never came"
        time.sleep(0.05)


def new_pool(name: str) -> None:
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))


def commit(root: Path) -> None:
    call("git", "add", "--all", cwd=root)
    call("git", "commit", "--quiet", "--message", "all", cwd=root)


def new_project(project: Project, remotes: Path) -> Path:
    """Committed, with a Git remote and a DVC remote in directories of their own."""
    root = project(STAGES, validate=VALIDATE, split=SPLIT, held=HELD)
    cached = root / ".dvc/cache/files/md5" / RAW_MD5[:2] / RAW_MD5[2:]
    cached.parent.mkdir(parents=True)
    for path, text in ((root / "raw", RAW), (cached, RAW), (root / "raw.dvc", RAW_DVC)):
        path.write_text(text)
    (root / "params.yaml").write_text(PLACEMENT.replace("POOL", "near"))
    (root / ".dvc/config").write_text(f"{DVC_CONFIG}{remotes / 'dvc'}\n")
    (root / ".gitignore").write_text("/raw\n/valid\n/split\n/model\n/artifacts\n")
    call("git", "init", "--quiet", "--bare", str(remotes / "git"), cwd=root)
    call("git", "remote", "add", "origin", str(remotes / "git"), cwd=root)
    commit(root)
    return root
