"""Up, down, status."""

import fcntl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from socket import create_connection
from xmlrpc.client import Fault

import psutil
from rich.console import Console
from ruamel.yaml import YAML

from . import database, supervision
from .api import Api
from .layout import POOL, PROJECT, Layout, Options, StackError
from .processes import check_port, end, free_port, of_stack, sweep
from .run_worker import name as worker_name

PATIENCE = 0.2
STUCK = 300.0
"""Seconds after which a start is given up."""
LIVES = 3
"""How often a program may be started before the start is given up."""
LAST_LINES = 15


def up(layout: Layout, options: Options, console: Console) -> None:
    """Start what does not run, wait until all is healthy, and say where it is.

    Raises:
        StackError: it cannot be started. What this call has started is ended again.
    """
    layout.make()
    with _alone(layout):
        running = supervision.is_running(layout)
        if running:
            _check_same(layout.load() or options, options)
            options = layout.load() or options
        else:
            options = _prepare(layout, options, console)
        try:
            if running:
                _revive(layout)
            else:
                supervision.start(layout, options)
            with console.status("Starting …") as progress:
                _wait(layout, options, progress.update, console)
        except BaseException:
            if not running:
                console.print("Ending what was started …")
                _stop(layout)
            raise
    _tell(layout, options, console, running)


def down(layout: Layout, console: Console) -> None:
    """End every process of the stack, whoever still watches it; data and history stay."""
    if not layout.home.exists():
        console.print("Nothing runs.")
        return
    layout.make()
    with _alone(layout):
        ended = _stop(layout)
    console.print(f"Nothing runs any more; data and history stay in {layout.home}." if ended else "Nothing runs.")


def status(layout: Layout, console: Console) -> int:
    """Print each program, its health and its log; 0 if all is well, 1 if not, 3 if nothing runs."""
    options, programs = layout.load(), supervision.programs(layout)
    if options is None or not programs:
        left = of_stack(layout.home)
        console.print(f"Nothing runs, but {len(left)} abandoned processes: make down" if left else "Nothing runs.")
        return 1 if left else 3
    unhealthy = dict(_unhealthy(layout, options))
    for program in programs:
        problem = unhealthy.get(program["name"])
        sign = "[red]✗[/]" if problem else "[green]✓[/]"
        text = problem or program["description"]
        console.print(f"{sign} {program['name']:<11} {program['statename']:<9} {text}")
        console.print(f"    {program['stdout_logfile']}", style="dim")
    console.print(f"Prefect: {options.url}")
    return 1 if unhealthy else 0


def _prepare(layout: Layout, options: Options, console: Console) -> Options:
    """Clear up after an earlier stack, make the cluster, write the configuration."""
    left = sweep(layout.home) + database.clear(layout)
    if left:
        console.print(f"Ended {left} processes that an earlier stack had left behind.")
    check_port(options.host, options.port, "The Prefect server")
    binaries: Path | None = None
    if options.database == "postgresql":
        binaries = database.find_binaries(layout.data)
        if binaries is None:
            raise StackError("PostgreSQL is not installed any more. Without it: --database sqlite.")
        database.prepare(layout, binaries)
        try:
            check_port(database.HOST, options.database_port, "PostgreSQL")
        except StackError:
            options = replace(options, database_port=0)
        options = replace(options, database_port=options.database_port or free_port())
    layout.save(options)
    supervision.write_configuration(layout, options, binaries)
    return options


def _wait(layout: Layout, options: Options, tell: Callable[[str], None], console: Console) -> None:
    """Until every program is healthy; pool, automation and deployments are put in place on the way."""
    until = time.monotonic() + STUCK
    lives: dict[str, set[int]] = {}
    done: set[str] = set()
    set_up = False
    while True:
        unhealthy = dict(_unhealthy(layout, options))
        for program in (program["name"] for program in supervision.programs(layout)):
            if program not in unhealthy and program not in done:
                done.add(program)
                console.print(f"[green]✓[/] {program}")
        if not set_up and "server" in done:
            tell("Deploying …")
            _set_up(layout, options)
            console.print("[green]✓[/] work pool, automation, deployments")
            set_up = True
        elif set_up and not unhealthy:
            return
        for program in supervision.programs(layout):
            seen = lives.setdefault(program["name"], set())
            seen.add(program["pid"])
            if len(seen - {0}) > LIVES and program["name"] in unhealthy:
                raise StackError(_story(layout, program["name"]))
        if time.monotonic() > until:
            raise StackError(_story(layout, next(iter(unhealthy))))
        tell(f"Waiting for {', '.join(unhealthy)} …")
        time.sleep(PATIENCE)


def _unhealthy(layout: Layout, options: Options) -> Iterator[tuple[str, str]]:
    """Each program that does not do its work, and what is wrong with it."""
    api = Api(f"{options.url}/api")
    healthy = api.healthy()
    online: set[str] = set()
    if healthy and api.exists(f"work_pools/{POOL}"):
        workers = api.post(f"work_pools/{POOL}/workers/filter")
        online = {worker["name"] for worker in workers if worker["status"] == "ONLINE"}
    programs = supervision.programs(layout)
    if not programs:
        yield "supervisord", "does not answer"
    for program in programs:
        name = program["name"]
        if program["statename"] != "RUNNING":
            yield name, f"{program['statename'].lower()} {program['spawnerr'] or ''}".strip()
        elif name == "postgresql" and not _accepts(database.HOST, options.database_port):
            yield name, "takes no connections"
        elif name == "server" and not healthy:
            yield name, "does not answer, or does not reach its database"
        elif name.startswith("worker-") and worker_name(int(name.removeprefix("worker-"))) not in online:
            yield name, "has not reported to the server yet"


def _revive(layout: Layout) -> None:
    """Start again what supervisord has given up, or what was stopped by hand."""
    for program in supervision.programs(layout):
        if program["statename"] in supervision.GIVEN_UP:
            with suppress(Fault):
                supervision.supervisor(layout).startProcess(f"{program['group']}:{program['name']}")


def _story(layout: Layout, program: str) -> str:
    log = layout.logs / f"{program}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:] if log.exists() else []
    return "\n  ".join([f"{program} does not come up. The last lines of {log}:", *lines])


def _set_up(layout: Layout, options: Options) -> None:
    """Pool, automation, deployments: made if missing; deployments are renewed when prefect.yaml has changed."""
    api = Api(f"{options.url}/api")
    if not api.exists(f"work_pools/{POOL}"):
        _prefect(layout, options, "work-pool", "create", POOL, "--type", "process")
    for automation in YAML(typ="safe").load(PROJECT / "stack/automations.yaml")["automations"]:
        if not any(known["name"] == automation["name"] for known in api.post("automations/filter")):
            api.post("automations/", **automation)
    wanted = sha256((PROJECT / "prefect.yaml").read_bytes()).hexdigest()
    known = layout.home / "deployed"
    if known.exists() and known.read_text() == wanted and api.post("deployments/count"):
        return
    _prefect(layout, options, "--no-prompt", "deploy", "--all")
    known.write_text(wanted)


def _prefect(layout: Layout, options: Options, *arguments: str) -> None:
    # Where Prefect finds the variable it writes this path into the deployments: the worker is to fill it in.
    told = {**supervision.environment(layout, options), "NO_COLOR": "1"}
    told.pop("BAKEOFF_HOME", None)
    done = subprocess.run(
        ["prefect", *arguments],
        cwd=PROJECT,
        env=told,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    with (layout.logs / "deploy.log").open("a", encoding="utf-8") as log:
        log.write(done.stdout)
    if done.returncode:
        raise StackError(f"`prefect {' '.join(arguments)}` failed:\n{done.stdout.strip()}")


def _stop(layout: Layout) -> int:
    """End supervisord and all that it started, then all that nobody watches; how many were ended."""
    ended = 0
    with suppress(OSError, Fault):
        pid = supervision.supervisor(layout).getPID()
        supervision.supervisor(layout).shutdown()
        ended = 1
        with suppress(psutil.Error):
            psutil.Process(pid).wait(180)
    ended += sweep(layout.home) + database.clear(layout)
    end(of_stack(layout.home))
    layout.socket.unlink(missing_ok=True)
    return ended


def _check_same(before: Options, now: Options) -> None:
    for field in ("host", "port", "workers", "database"):
        if getattr(before, field) != getattr(now, field):
            raise StackError(
                f"The stack runs with --{field} {getattr(before, field)}: `make down` first, then start it anew."
            )


def _accepts(host: str, port: int) -> bool:
    try:
        with closing(create_connection((host, port), timeout=5)):
            return True
    except OSError:
        return False


def _tell(layout: Layout, options: Options, console: Console, running: bool) -> None:
    stored = "PostgreSQL" if options.database == "postgresql" else "Prefect's embedded SQLite (no PostgreSQL)"
    console.print(f"\nThe stack {'runs already' if running else 'is up'}: [bold]{options.url}[/], history in {stored}.")
    console.print(f"  export PREFECT_API_URL={options.url}/api")
    console.print("  prefect deployment run pipeline/on-demand    # a run now; the nightly one starts by itself")
    console.print("  make status                                  # each program, its health, its log")
    console.print(f"  make down                                    # data and history stay in {layout.home}")


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """One `up` or `down` at a time."""
    with (layout.home / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("Another `up` or `down` is at work on this stack: wait for its end.") from None
        yield
