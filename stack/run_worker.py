"""Program of the stack: clears up after runs that were killed, then becomes a Prefect worker."""

import datetime
import os
import subprocess
import sys
import time
import urllib.error
from pathlib import Path
from typing import Any

import psutil

from .api import Api
from .layout import POOL, PROJECT, Layout
from .processes import end, of_runs

PATIENCE = 0.5
YOUNG = datetime.timedelta(seconds=60)
"""A run that another worker has just taken may have no process yet."""
MESSAGE = (
    "The process of this run was killed, or the machine went down, before it could say how it ended. "
    "Start it again; what was done is kept."
)


def main() -> None:
    """Wait for the server and the pool, clear up, and become the worker."""
    layout, number = Layout(Path(sys.argv[1])), int(sys.argv[2])
    options = layout.load()
    if options is None:
        sys.exit(f"{layout.options} is missing: start the stack with `make up`.")
    api = Api(f"{options.url}/api")
    while not (api.healthy() and api.exists(f"work_pools/{POOL}")):
        time.sleep(PATIENCE)
    try:
        tell(recover(api, name(number), alone=options.workers == 1))
    except (urllib.error.URLError, OSError, KeyError) as error:
        print(f"Not cleared up after earlier runs, the server will do it later: {error}", flush=True)
    # One run at a time for each worker: runs that wait stay scheduled, and are taken in the order of their times.
    arguments = ["worker", "start", "--pool", POOL, "--name", name(number), "--type", "process", "--limit", "1"]
    os.execv(  # noqa: S606 - no shell is meant
        sys.executable, [sys.executable, "-m", "prefect", *arguments]
    )


def name(number: int) -> str:
    """What a worker of the stack is called."""
    return f"stack-worker-{number}"


def tell(crashed: list[str]) -> None:
    """Send a message about runs that nobody else can tell of, since they died with their worker."""
    if not crashed:
        return
    words = [f"Bakeoff: {', '.join(crashed)} ended as Crashed", f"{MESSAGE} What to do: docs/runbook.md."]
    command = [sys.executable, str(PROJECT / "flows/notify.py"), *words]
    subprocess.run(command, check=False)  # whether it arrives is told in the log; the worker starts in any case


def recover(api: Api, worker: str, alone: bool) -> list[str]:
    """Call runs crashed whose process is gone, and end what it left behind; the names of these runs.

    The server would do that after 90 seconds without a heartbeat (automations.yaml). Here it is known at once, but only
    of this machine: nothing is done while a worker that is not the stack's takes runs from the pool.

    Args:
        api: The server.
        worker: The name of the worker that is about to start.
        alone: Whether it is the only one.
    """
    workers = api.post(f"work_pools/{POOL}/workers/filter")
    if any(not other["name"].startswith("stack-worker-") and other["status"] == "ONLINE" for other in workers):
        return []
    unfinished = api.post(
        "flow_runs/filter",
        flow_runs={"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}},
        work_pools={"name": {"any_": [POOL]}},
    )
    processes = of_runs()
    crashed = []
    for run in unfinished:
        left = processes.get(run["id"], [])
        if is_alive(run, left, alone):
            continue
        end(left)  # stages that go on without their run would write beside the next one
        state = {"type": "CRASHED", "name": "Crashed", "message": MESSAGE}
        api.post(f"flow_runs/{run['id']}/set_state", state=state, force=True)
        print(f"{worker}: run {run['name']} was killed; it is now called crashed.", flush=True)
        crashed.append(str(run["name"]))
    return crashed


def is_alive(run: dict[str, Any], processes: list[psutil.Process], alone: bool) -> bool:
    """Whether the process of the run itself is there; its stages alone are not the run."""
    if run["infrastructure_pid"] is not None:
        return any(str(process.pid) == run["infrastructure_pid"] for process in processes)
    since = datetime.datetime.fromisoformat(run["state"]["timestamp"])
    young = datetime.datetime.now(datetime.UTC) - since < YOUNG
    return bool(processes) or (young and not alone)


if __name__ == "__main__":
    main()
