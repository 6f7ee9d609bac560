"""A project with stages in another work pool, and a worker in a clone that shares nothing with it."""

import os
import shutil
import subprocess
import sys
from hashlib import md5
from pathlib import Path

import psutil
from flow_project import FLOWS, Project, call
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL

REPORT = "artifacts/checks/validation.json"
VERDICT = '{"success": true}'
# `validate` and `train` run in the pool, `split` here; `train` is held until there is a file `go`.
STAGES = f"""
stages:
  validate: {{cmd: python validate.py, deps: [raw, validate.py], outs: [valid, valid.place, {REPORT}]}}
  split: {{cmd: python split.py, deps: [valid, split.py], outs: [split, loose: {{cache: false}}]}}
  train: {{cmd: python held.py split model, deps: [split, loose, held.py], outs: [model]}}
"""
VALIDATE = f"""
import os, pathlib, shutil
report = pathlib.Path("{REPORT}")
report.parent.mkdir(parents=True)
report.write_text('{VERDICT}')
pathlib.Path("valid.place").write_text(os.getcwd())
shutil.copy("raw", "valid")
"""
SPLIT = """
import shutil
shutil.copy("valid", "split")
open("loose", "w").write("loose")
"""
HELD = """
import os, pathlib, shutil, sys, time
hold = os.environ.get("HOLD")
if hold and not pathlib.Path(hold).with_name("go").exists():
    open(f"{hold}.new", "w").write(str(os.getpid()))
    os.replace(f"{hold}.new", hold)  # its readers find it whole
    time.sleep(600)
shutil.copy(*sys.argv[1:])
"""
RAW = "raw"
RAW_MD5 = md5(RAW.encode(), usedforsecurity=False).hexdigest()
RAW_DVC = f"outs:\n- md5: {RAW_MD5}\n  size: {len(RAW)}\n  hash: md5\n  path: raw\n"
DVC_CONFIG = "[core]\n    analytics = false\n    remote = store\n['remote \"store\"']\n    url = "
HANGING = 600.0


class Worker:
    """A process that takes runs from a pool, in a clone of the project."""

    def __init__(self, home: Path, pool: str, server: str, project: Path, **variables: str) -> None:
        self.home = home
        origin = call("git", "remote", "get-url", "origin", cwd=project).strip()
        call("git", "clone", "--quiet", origin, str(home), cwd=project)
        shutil.copytree(FLOWS, home / "flows", ignore=shutil.ignore_patterns("__pycache__"))
        environment = {
            **os.environ,
            **variables,
            "PREFECT_API_URL": server,
            "PREFECT_HOME": str(home.parent / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "BAKEOFF_HOME": str(home),
        }
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        with (home.parent / "log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def close(self) -> None:
        if self.process.poll() is None:
            for process in psutil.Process(self.process.pid).children(recursive=True):
                process.kill()
            self.process.kill()
            self.process.wait(HANGING)


def start(workspace: Path, server: str) -> subprocess.Popen[bytes]:
    """`python flows/pipeline.py`."""
    environment = {**os.environ, "PREFECT_API_URL": server}
    return subprocess.Popen(
        [sys.executable, str(FLOWS / "pipeline.py")],
        cwd=workspace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def new_pool(name: str) -> None:
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))


def deploy(pool: str, entrypoint: str = "flows/remote.py:run_remote_stage", name: str | None = None) -> None:
    """As docs/placement.md says."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", entrypoint]
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()}
    done = subprocess.run(
        [*command, "--name", name or pool, "--pool", pool],
        cwd=FLOWS.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def commit(root: Path) -> None:
    call("git", "add", "--all", cwd=root)
    call("git", "commit", "--quiet", "--message", "all", cwd=root)


def new_project(project: Project, remotes: Path) -> Path:
    """Committed and pushed, with a Git remote and a DVC remote in directories of their own."""
    root = project(STAGES, validate=VALIDATE, split=SPLIT, held=HELD)
    cached = root / ".dvc/cache/files/md5" / RAW_MD5[:2] / RAW_MD5[2:]
    cached.parent.mkdir(parents=True)
    for path, text in ((root / "raw", RAW), (cached, RAW), (root / "raw.dvc", RAW_DVC)):
        path.write_text(text)
    (root / ".dvc/config").write_text(f"{DVC_CONFIG}{remotes / 'dvc'}\n")
    (root / ".gitignore").write_text("/raw\n/valid*\n/split\n/model\n/artifacts\n!/*.py\n__pycache__\n")
    call("git", "init", "--quiet", "--bare", str(remotes / "git"), cwd=root)
    call("git", "remote", "add", "origin", str(remotes / "git"), cwd=root)
    commit(root)
    call("git", "push", "--quiet", "origin", "HEAD", cwd=root)
    return root
