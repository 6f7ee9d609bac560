"""`bakeoff doctor`: whether environment, workspace and machine are fit for a run; no check imports TensorFlow."""

import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import metadata, requires, version
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakeoff.core.errors import BakeoffError, first_line, visible
from bakeoff.core.subprocesses import environment, read_output, run_command
from bakeoff.core.workspace import Workspace, check_own_code, wrong_packages
from bakeoff.data.engine.settings import engine_settings
from bakeoff.models.ease.spec import peak_bytes
from bakeoff.ops.git import ask, check_identity, head

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "not applicable": "dim"}
State = Literal["ok", "warning", "problem", "not applicable"]
"""A warning: a run may go on, and may not do what is expected. A problem: it fails, or its results can't be trusted."""
FIXED = ("prefect", "tensorflow", "tf-keras", "tensorflow-recommenders", "great-expectations", "dvc")
"""Packages that the project is built on; the others come with them or matter less."""
SERVER_SECONDS, DVC_SECONDS, JAVA_SECONDS = 3.0, 15.0, 10.0
"""In which Prefect's server, a command of DVC and Java must answer."""
FILES = ("params.yaml", "dvc.yaml", "dvc.lock", "data.dvc", "data/interactions.csv")
"""Files whose times are looked at."""
EARLY = 60.0
"""Seconds by which clocks of machines that share files may differ."""
CGROUP = Path("/sys/fs/cgroup/memory.max")
"""Memory that a container may have: bytes, or `max`."""


@dataclass(frozen=True)
class Finding:
    """How a check ended, the value that was found in a line, and a command or what else fixes it."""

    state: State
    found: str
    fix: str = ""


ok, warning, problem, not_applicable = (partial(Finding, state) for state in get_args(State))


@dataclass(frozen=True)
class Subject:
    """What is examined: a workspace, and its params.yaml, as `Params`, or why that can't be read."""

    workspace: Workspace
    params: Any

    @property
    def sections(self) -> Mapping[str, Any]:
        """Settings by model; nothing where params.yaml can't be read."""
        return {} if isinstance(self.params, BakeoffError) else self.params.experiments.models


def parameters(subject: Subject) -> Finding:
    """params.yaml is there and valid, and warm starts don't begin at the same version for ever."""
    params = subject.params
    if isinstance(params, BakeoffError):
        raise params
    if params.warm_start.mode == "auto" and params.promotion.margin == 0:
        return warning(
            "warm_start.mode is auto, and promotion.margin 0 rarely promotes a model that is merely as good: until one "
            "is, every night starts from the same version",
            "set promotion.margin in params.yaml: docs/promotion.md",
        )
    return ok("params.yaml is valid")


def python(subject: Subject) -> Finding:
    """One of the versions that the package names, for which TensorFlow has wheels."""
    running, named = platform.python_version(), metadata("bakeoff").get_all("Classifier") or []
    known = re.findall(r":: Python :: (3\.\d+)", "\n".join(named))
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
    commit, changes = head(root), ask(root, "status", "--porcelain") or ""
    check_identity(root)
    return ok(f"commit {commit[:8]}, uncommitted changes: {len(changes.splitlines())}")


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
    if not (name := read_output(["dvc", "config", "core.remote"], subject.workspace.root)):
        return warning("no default: data and models are on this machine alone", "dvc remote add --default NAME URL")
    found = _dvc(subject, "status", "--cloud", "--remote", name, "--json", "data.dvc")
    if not found:  # no difference: the remote and the cache have the same, which may be nothing
        found = _dvc(subject, "data", "status", "--json", "data")
    if isinstance(found, Finding):
        return found
    if "missing" in found.values() or "not_in_cache" in found:
        return warning(f"neither {name} nor DVC's cache has the data", "bakeoff fetch, then dvc push")
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
    solver = subject.sections["mf"].solver if subject.sections else ""
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
    root, command = subject.workspace.root, f"dvc {' '.join(arguments)}"
    done = run_command(["dvc", "--wait-for-lock", *arguments], root, variables=environment(root), timeout=DVC_SECONDS)
    if not done.returncode:
        return dict(json.loads(done.stdout or "{}"))
    said = re.search(r"^ERROR: (.*)", done.stderr, re.MULTILINE)
    return problem(f"`{command}` fails: {said[1] if said else done.returncode}", f"{command} --verbose")


def memory(subject: Subject) -> Finding:
    """What the largest stage took in earlier runs here, or the estimate for these data, against what is free."""
    costs = [json.loads(path.read_bytes()) for path in subject.workspace.cost("stage").parent.rglob("*.json")]
    measured = max((each.get("peak_memory_bytes", 0) for each in costs), default=0)
    needed = measured or estimate(subject)[0]
    allowed = CGROUP.read_text(encoding="ascii") if CGROUP.exists() else "max"
    free = min(float(psutil.virtual_memory().available), float(allowed.replace("max", "inf")))
    found = f"the largest stage takes {_gib(needed)} ({'measured' if measured else 'estimated'}), {_gib(free)} are free"
    return ok(found) if needed < free else warning(found, "end other programs; or see docs/scale.md, What to set")


def disk(subject: Subject) -> Finding:
    """What a run writes, with DVC's copies, against what is free."""
    needed, free = estimate(subject)[1], shutil.disk_usage(subject.workspace.root).free
    found = f"a run takes {_gib(needed)} (estimated), {_gib(free)} are free"
    return ok(found) if needed < free else problem(found, "dvc gc --workspace; or make room")


def clock(subject: Subject) -> Finding:
    """No file, commit or event is later than now: DVC and splits by time go by the clock."""
    root, events = subject.workspace.root, subject.workspace.validated / "interactions.parquet"
    times = {name: (root / name).stat().st_mtime for name in FILES if (root / name).exists()}
    times["the last commit"] = float(ask(root, "log", "-1", "--format=%ct") or 0)
    if events.exists():
        import duckdb

        times["an event"] = duckdb.read_parquet(str(events)).max("timestamp").fetchall()[0][0] or 0
    ahead = [name for name, at in times.items() if at > time.time() + EARLY]
    shown = f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC"
    if not ahead:
        return ok(f"{shown}; no file, commit or event is later")
    fix = "timedatectl; for events, check data.columns.timestamp_unit"
    return warning(f"{shown}, and later than that: {', '.join(ahead)}", fix)


def estimate(subject: Subject) -> tuple[float, float]:
    """Bytes of memory that the largest stage takes, and of disk that a comparison fills; of its start without data.

    Memory is fitted to benchmarks/results/scale.md and memory.md, and right within a third there: 1.6 GiB for programs
    and blocks, 70 bytes per event, 64 per weight of the item embeddings. On disk are, in the workspace and in DVC's
    cache, the data three times, lists of 100 places per user (one for 40 events), and three models, also exported.
    """
    files = [subject.workspace.data / f"{table}.csv" for table in ("interactions", "items")]
    if not subject.sections or not all(file.exists() for file in files):
        return 1.6 * 2**30, 2.0**27
    events, items = map(rows, files)
    weights = items * max(getattr(section, "dim", 0) for section in subject.sections.values())
    ease = peak_bytes(items) if items <= subject.sections["ease"].max_items else 0
    written = 6 * files[0].stat().st_size + 360 * events + 48 * weights + ease
    return 1.6 * 2**30 + 70 * events + 64 * weights + ease, 2.0**27 + written


def rows(file: Path) -> int:
    """Lines of a text file without the first, by the length of its first thousand."""
    with file.open("rb") as lines:
        first = [len(line) for line in islice(lines, 1000)]
    return round(file.stat().st_size * len(first) / max(sum(first), 1)) - 1


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"


CHECKS: tuple[Callable[[Subject], Finding], ...] = (
    *(python, packages, keras, code, parameters, git, dvc, data, dvc_remote, locks, prefect, java),
    *(disk, memory, clock),
)
"""In the order in which they are printed."""


def run(subject: Subject, *, as_json: bool) -> bool:
    """Print every finding, as a table or as a JSON array; whether there is no problem."""
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        findings = list(pool.map(partial(examine, subject), CHECKS))
    named = [(check.__name__.replace("_", " "), found) for check, found in zip(CHECKS, findings, strict=True)]
    if as_json:
        print(json.dumps([{"check": name, **asdict(found)} for name, found in named], indent=2, ensure_ascii=False))
    else:
        table = Table.grid(padding=(0, 2))
        for name, found in named:
            text = Text(visible(found.found)).append(f"\n→ {visible(found.fix)}" if found.fix else "", style="bold")
            table.add_row(Text(found.state, style=STYLES[found.state]), name, text)
        Console(highlight=False).print(table)
    return all(found.state != "problem" for found in findings)


def examine(subject: Subject, check: Callable[[Subject], Finding]) -> Finding:
    """The finding of a check, which returns it or raises: what breaks one says nothing about the others."""
    try:
        return check(subject)
    except BakeoffError as error:
        found, _, fix = " ".join(str(error).split()).partition(": ")  # the cause, and then what to do
        return problem(found, fix)
    except subprocess.TimeoutExpired as error:
        return warning(f"took longer than {error.timeout:g} s", f"see what holds it up: {' '.join(error.cmd)}")
    except Exception as error:  # noqa: BLE001 - whatever the environment does to a check, it is a finding
        return problem(f"{type(error).__name__}: {first_line(error)}", "make .venv/.ready; or install bakeoff again")
