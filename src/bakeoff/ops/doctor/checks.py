"""Checks of packages, workspace and services. Each returns a `Finding` or raises; none imports TensorFlow."""

import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import metadata, requires, version
from typing import Any, Literal, get_args

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import environment, run_command
from bakeoff.core.workspace import Workspace, check_own_code, wrong_packages
from bakeoff.data.engine.settings import engine_settings
from bakeoff.ops.git import check_identity, head, order

State = Literal["ok", "warning", "problem", "not applicable"]
"""A warning: a run may go on, and may not do what is expected. A problem: it fails, or its results can't be trusted."""

FIXED = ("prefect", "tensorflow", "tf-keras", "tensorflow-recommenders", "great-expectations", "dvc")
"""Packages that the project is built on; the others come with them or matter less."""

SERVER_SECONDS, DVC_SECONDS, JAVA_SECONDS = 3.0, 15.0, 10.0
"""In which Prefect's server, a command of DVC and Java must answer."""


@dataclass(frozen=True)
class Finding:
    """How a check ended, the value that was found in a line, and a command or what else mends it."""

    state: State
    found: str
    fix: str = ""


ok, warning, problem, not_applicable = (partial(Finding, state) for state in get_args(State))


@dataclass(frozen=True)
class Subject:
    """What is examined: a workspace, and model → its section of params.yaml, or why that can't be read."""

    workspace: Workspace
    sections: Mapping[str, Any] | BakeoffError


def parameters(subject: Subject) -> Finding:
    """params.yaml is there and valid."""
    if isinstance(subject.sections, BakeoffError):
        raise subject.sections
    return ok("params.yaml is valid")


def python(subject: Subject) -> Finding:
    """One of the versions that the package names, for which TensorFlow has wheels."""
    running, named = platform.python_version(), "\n".join(metadata("bakeoff").get_all("Classifier") or [])
    known = re.findall(r":: Python :: (3\.\d+)", named)
    if running.rpartition(".")[0] in known:
        return ok(running)
    return problem(f"{running}, and it must be {', '.join(known)}", "make PYTHON=python3.11 .venv/.ready")


def packages(subject: Subject) -> Finding:
    """What the installed bakeoff requires of the packages that it is built on."""
    needed = [line for line in requires("bakeoff") or [] if re.split(r"[^\w-]", line)[0] in FIXED]
    if wrong := wrong_packages(needed):
        return problem("; ".join(wrong), "make .venv/.ready; in a workspace: pip install -r requirements.txt")
    return ok(", ".join(f"{name} {version(name)}" for name in FIXED))


def keras(subject: Subject) -> Finding:
    """Importing bakeoff sets the variable, unless it is set already."""
    value = os.environ.get("TF_USE_LEGACY_KERAS")
    if value in ("1", "true", "True"):
        return ok(f"TF_USE_LEGACY_KERAS={value}")
    return problem(f"TF_USE_LEGACY_KERAS={value}: TensorFlow Recommenders needs Keras 2", "unset TF_USE_LEGACY_KERAS")


def code(subject: Subject) -> Finding:
    """The code that runs is that of the workspace, where it has any."""
    check_own_code(subject.workspace.root)
    return ok("of this workspace" if (subject.workspace.root / "src/bakeoff").is_dir() else "the installed package")


def git(subject: Subject) -> Finding:
    """A repository with a commit, an identity for new ones, and what is not committed."""
    root = subject.workspace.root
    commit = head(root)
    check_identity(root)
    return ok(f"commit {commit[:8]}, uncommitted changes: {len(order(root, 'status', '--porcelain').splitlines())}")


def dvc(subject: Subject) -> Finding:
    """Initialised, with a lock file."""
    root = subject.workspace.root
    if missing := [name for name in (".dvc", "dvc.yaml") if not (root / name).exists()]:
        return problem(f"{' and '.join(missing)} missing", "cd to a workspace, or make one: bakeoff init DIR")
    if not (root / "dvc.lock").exists():
        return warning("no dvc.lock: no stage has run yet", "bakeoff run")
    return ok(".dvc, dvc.yaml and dvc.lock are there")


def data(subject: Subject) -> Finding:
    """data/ is what data.dvc records."""
    if not (subject.workspace.root / "data.dvc").exists():
        return problem("no data.dvc: there are no data yet", "bakeoff fetch")
    found = _dvc(subject, "status", "--json", "data.dvc")
    if isinstance(found, Finding):
        return found
    if not found:
        return ok("data/ is what data.dvc records")
    what = next((word for word in ("deleted", "modified", "not in cache") if word in json.dumps(found)), "changed")
    fix = "bakeoff fetch --force; or, to keep it, dvc add data" if what == "modified" else "bakeoff fetch"
    return problem(f"data/ is not what data.dvc records: {what}", fix)


def dvc_remote(subject: Subject) -> Finding:
    """A remote is set, answers, and has the data."""
    if not (subject.workspace.root / "data.dvc").exists():
        return not_applicable("there are no data yet")
    if not (name := _run_dvc(subject, "config", "core.remote").stdout.strip()):
        return warning("no default: data and models are on this machine alone", "dvc remote add --default NAME URL")
    found = _dvc(subject, "status", "--cloud", "--remote", name, "--json", "data.dvc")
    if isinstance(found, Finding):
        return found
    return warning(f"{name} lacks the data", "dvc push") if "new" in found.values() else ok(f"{name} has the data")


def locks(subject: Subject) -> Finding:
    """Whether a run is at work here; that a command of DVC is, `data` says."""
    if not (path := subject.workspace.run_lock).exists():
        return not_applicable("no run has been here yet")
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return warning("a run is at work in this workspace", "wait: the next one begins when it has ended")
    return ok("no run is at work")


def prefect(subject: Subject) -> Finding:
    """The server of PREFECT_API_URL or of Prefect's profile answers, to those alone who know the password."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    if not (url := get_current_settings().api.url):
        return not_applicable("no PREFECT_API_URL: `bakeoff run` starts a server of its own")
    try:
        if httpx.get(f"{url}/admin/version", timeout=SERVER_SECONDS).is_success:
            return warning(f"{url} answers without a password", "set PREFECT_SERVER_API_AUTH_STRING, as `make up` does")
        with get_client(sync_client=True, httpx_settings={"timeout": SERVER_SECONDS}) as client:
            return ok(f"{url}, version {client.api_version()}, behind a password")
    except httpx.HTTPStatusError as error:
        fix = "prefect config set PREFECT_API_AUTH_STRING=USER:PASSWORD"
        return problem(f"{url} refuses: HTTP {error.response.status_code}", fix)
    except httpx.HTTPError as error:
        return problem(f"{url} does not answer: {error}", "make up; or unset PREFECT_API_URL, to do without it")


def java(subject: Subject) -> Finding:
    """Only Spark needs it."""
    solver = "" if isinstance(subject.sections, BakeoffError) else subject.sections["mf"].solver
    if engine_settings().engine != "spark" and solver != "mllib":
        return not_applicable("only Spark needs it (BAKEOFF_ENGINE=spark, mf.solver: mllib)")
    command = shutil.which("java", path=f"{os.environ['JAVA_HOME']}/bin" if "JAVA_HOME" in os.environ else None)
    printed = run_command([command, "-version"], timeout=JAVA_SECONDS).stderr if command else "no java"
    if found := re.search(r'version "(17|21)\b', printed):
        return ok(f"{found[1]} ({command})")
    return problem(printed.splitlines()[0], "apt-get install openjdk-21-jre-headless; or set JAVA_HOME")


def _dvc(subject: Subject, *arguments: str) -> dict[str, Any] | Finding:
    """What a command of DVC prints as JSON, or why it does not."""
    # Checks run side by side, and other commands of DVC may be at work: without the option it would give up.
    done, command = _run_dvc(subject, "--wait-for-lock", *arguments), f"dvc {' '.join(arguments)}"
    if not done.returncode:
        return dict(json.loads(done.stdout or "{}"))
    said = re.search(r"^ERROR: (.*)", done.stderr, re.MULTILINE)
    return problem(f"`{command}` fails: {said[1] if said else done.returncode}", f"{command} --verbose")


def _run_dvc(subject: Subject, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = subject.workspace.root
    return run_command(["dvc", *arguments], root, variables=environment(root), timeout=DVC_SECONDS)


CHECKS = (python, packages, keras, code, parameters, git, dvc, data, dvc_remote, locks, prefect, java)
"""In the order in which they are printed."""
