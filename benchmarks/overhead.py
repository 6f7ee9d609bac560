"""What orchestration costs: time of a flow run compared with that of its stages, a queue, and a long history.

Starts the project's own stack (`make up`) in a temporary directory, so the server is up before anything is
measured. Every flow run is a process of its own, as a worker or `python flows/pipeline.py` starts it.
"""

import argparse
import base64
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from harness.pages import Page, show

ROOT = Path(__file__).resolve().parent.parent
SLEEP = 1.0
"""Seconds that each stage of the small DAG takes at least."""
FIXED, PER_STAGE = 5.0, 2.0
"""The bar: seconds of overhead for a run, and for each of its stages."""
REPEATS = 5
TRIES = 30
"""Requests to the server, one per second, before it counts as unavailable; Prefect's own client tries again as well."""
CALM, BUSY_PERCENT = 5, 10.0
"""A server is idle when it has used less than 10 % of a core in each of five seconds."""
STAGE = """
import json, sys, time
begun = time.time()
time.sleep(float(sys.argv[2]))
open(sys.argv[1], "w").write(sys.argv[1])
json.dump(time.time() - begun, open(f"seconds_{sys.argv[1]}", "w"))
"""


def main() -> None:
    """Print the page; with --write, keep its figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, help="a finished workspace, of which a copy is run unchanged")
    parser.add_argument("--port", type=int, default=4290, help="of the server (default: 4290)")
    parser.add_argument("--queued", type=int, default=20, help="runs that are queued at once (default: 20)")
    parser.add_argument("--history", type=int, default=200, help="runs of the past (default: 200)")
    parser.add_argument("--write", type=Path, help="file for the figures: benchmarks/results/overhead.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), arguments.port) as server:
        small = make_project(Path(folder, "small"), 4, SLEEP)
        runs = [
            measured("a chain, all stages run", small, server, own=4),
            measured("the same, unchanged", small, server),
        ]
        if arguments.workspace:
            copy = Path(folder, "copy")
            shutil.copytree(arguments.workspace, copy, symlinks=True)
            runs.append(measured("the given workspace, unchanged", copy, server))
        tiny = make_project(Path(folder, "tiny"), 2, 0)
        run_flow(tiny, server)
        page = {
            "command": f"python benchmarks/overhead.py{' --workspace DIR' if arguments.workspace else ''}",
            "cores": os.cpu_count(),
            "fixed_s": FIXED,
            "per_stage_s": PER_STAGE,
            "runs": runs,
            "history": history(tiny, server, arguments.history),
            "queue": queue(tiny, server, arguments.queued),
        }
    show(page, markdown, arguments.write)


def markdown(page: Page) -> str:
    """The page of these figures."""
    fixed, per_stage, met = page["fixed_s"], page["per_stage_s"], True
    lines = [
        "# What orchestration costs\n",
        f"Made by `{page['command']}`, the server on SQLite and already up. {page['cores']} cores, one run of each.\n",
        "| run | stages | wall, s | stages' own, s | overhead, s | bar, s | CPU, s |\n|---|--:|--:|--:|--:|--:|--:|",
    ]
    for run in page["runs"]:
        overhead, bar = run["wall_s"] - run["own_s"], fixed + per_stage * run["stages"]
        met = met and overhead <= bar
        cells = f"{run['wall_s']:.1f} | {run['own_s']:.1f} | {overhead:.1f} | {bar:.0f} | {run['cpu_s']:.1f}"
        lines.append(f"| {run['name']} | {run['stages']} | {cells} |")
    verdict = "met" if met else "not met"
    lines.append(
        f"\nThe bar is {fixed:g} s for a run and {per_stage:g} s for each of its stages: {verdict}. "
        "`make run` asks DVC first and needs no flow where nothing is stale.\n"
    )
    queued = page["queue"]
    count, seconds = queued["count"], queued["seconds"]
    order = "in the order in which they were asked for" if queued["in_order"] else "NOT in order"
    apart = "one after the other" if queued["apart"] else "OVERLAPPING"
    lines.append(
        f"{count} runs of one workspace, of two stages that are up to date, asked for at once: {queued['completed']} "
        f"completed, {order}, {apart}; {seconds:.0f} s, {seconds / count:.1f} s each.\n"
    )
    past = page["history"]
    repeats = len(past["before"]["start_s"])
    lines += [
        f"| history | to the first stage, s: fastest, median of {repeats} | CPU of run and server, s |\n|---|--:|--:|"
    ]
    for name, starts in (("a few runs", past["before"]), (f"{past['runs']} runs more", past["after"])):
        seconds = starts["start_s"]
        cpu = statistics.median(starts["cpu_s"])
        lines.append(f"| {name} | {min(seconds):.1f}, {statistics.median(seconds):.1f} | {cpu:.2f} |")
    return "\n".join(lines) + "\n"


def measured(name: str, workspace: Path, server: str, own: int = 0) -> dict[str, Any]:
    """A run by `python flows/pipeline.py`, from its process's start to its end; CPU with DVC and stages."""
    used = children_cpu()
    seconds, printed = run_flow(workspace, server)
    used = children_cpu() - used
    spent = sum(json.loads(path.read_text()) for path in workspace.glob("seconds_*")) if own else 0.0
    stages = int(printed.split(" stages:")[0])
    return {"name": name, "stages": stages, "wall_s": seconds, "own_s": spent, "cpu_s": used}


def settle(server: str) -> None:
    """Wait until the server has nothing left to do."""
    process, calm = server_process(server), 0
    while calm < CALM:
        calm = calm + 1 if process.cpu_percent(1.0) < BUSY_PERCENT else 0


def server_process(server: str) -> psutil.Process:
    """The process that listens on the server's port."""
    port = int(server.rsplit(":", 1)[1])
    [pid] = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    return psutil.Process(pid)


def children_cpu() -> float:
    """CPU seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def history(workspace: Path, server: str, count: int) -> dict[str, Any]:
    """Whether a flow starts more slowly after many runs: by the clock, and by CPU, which other work does not touch."""
    before = [start_of_flow(workspace, server) for _ in range(REPEATS)]
    flow = ask(server, "flows/filter", flows={"name": {"any_": ["pipeline"]}})[0]["id"]
    for number in range(count):
        run = ask(server, "flow_runs/", flow_id=flow, name=f"past-{number}", state={"type": "PENDING"})
        for state in ("RUNNING", "COMPLETED"):
            ask(server, f"flow_runs/{run['id']}/set_state", state={"type": state}, force=True)
    settle(server)  # the server may still work on the events of so many runs
    after = [start_of_flow(workspace, server) for _ in range(REPEATS)]
    starts = {}
    for name, found in (("before", before), ("after", after)):
        seconds, used = zip(*found, strict=True)
        starts[name] = {"start_s": list(seconds), "cpu_s": list(used)}
    return {"runs": count} | starts


def queue(workspace: Path, server: str, count: int) -> dict[str, Any]:
    """Runs of one workspace that are requested at once; the worker takes them one by one."""
    deployment = ask(server, "deployments/filter", deployments={"name": {"any_": ["on-demand"]}})[0]["id"]
    begun = time.perf_counter()
    ids = [
        ask(
            server,
            f"deployments/{deployment}/create_flow_run",
            parameters={"workspace": str(workspace)},
            state={"type": "SCHEDULED"},
        )["id"]
        for _ in range(count)
    ]
    while True:
        runs = {run["id"]: run for run in ask(server, "flow_runs/filter", flow_runs={"id": {"any_": ids}})}
        if all(run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") for run in runs.values()):
            break
        time.sleep(0.5)
    seconds = time.perf_counter() - begun
    starts = [runs[id]["start_time"] for id in ids]
    ends = [runs[id]["end_time"] for id in ids]
    return {
        "count": count,
        "completed": sum(run["state"]["type"] == "COMPLETED" for run in runs.values()),
        "in_order": starts == sorted(starts),
        "apart": all(end <= start for end, start in zip(ends, starts[1:], strict=False)),
        "seconds": seconds,
    }


def start_of_flow(workspace: Path, server: str) -> tuple[float, float]:
    """Seconds from the start of a flow's process to that of its first task; CPU of the whole run and the server."""
    begun, process = datetime.now(UTC), server_process(server)
    used = children_cpu() + sum(process.cpu_times()[:2])
    run_flow(workspace, server)
    used = children_cpu() + sum(process.cpu_times()[:2]) - used
    runs = ask(server, "task_runs/filter", sort="EXPECTED_START_TIME_DESC", limit=10)
    starts = [datetime.fromisoformat(run["start_time"]) for run in runs if run["start_time"]]
    return min((start - begun).total_seconds() for start in starts if start > begun), used


def run_flow(workspace: Path, server: str) -> tuple[float, str]:
    """Seconds of a run, and its last line."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, ROOT / "flows/pipeline.py"],
        cwd=workspace,
        env={
            **clean(),
            "PREFECT_API_URL": f"{server}/api",
            "PREFECT_API_AUTH_STRING": os.environ["PREFECT_API_AUTH_STRING"],
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        },
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"the flow failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.perf_counter() - begun, done.stdout.strip().splitlines()[-1]


def make_project(root: Path, stages: int, seconds: float) -> Path:
    """A chain of stages, in Git and DVC."""
    root.mkdir()
    lines = ["stages:"]
    for number in range(stages):
        deps = ["stage.py", *([f"out{number - 1}"] if number else [])]
        lines += [
            f"  out{number}:",
            f"    cmd: python stage.py out{number} {seconds}",
            f"    deps: [{', '.join(deps)}]",
        ]
        lines.append(f"    outs: [out{number}]")
    (root / "dvc.yaml").write_text("\n".join(lines) + "\n")
    (root / "stage.py").write_text(STAGE)
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=root, check=True)
    (root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    return root


@contextmanager
def stack(folder: Path, port: int) -> Iterator[str]:
    """The server's address, from up to down; its password is in PREFECT_API_AUTH_STRING meanwhile."""
    command = ["make", f"BAKEOFF_STACK={folder / 'stack'}", f"PORT={port}"]
    subprocess.run([*command, "up"], cwd=ROOT, env=clean(), check=True, stdout=sys.stderr)
    profile = tomllib.loads((folder / "stack/prefect/profiles.toml").read_text(encoding="utf-8"))
    os.environ["PREFECT_API_AUTH_STRING"] = profile["profiles"]["bakeoff"]["PREFECT_API_AUTH_STRING"]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        subprocess.run([*command, "down"], cwd=ROOT, env=clean(), check=True, stdout=sys.stderr)


def clean() -> dict[str, str]:
    """The environment without settings of another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


def ask(server: str, path: str, **body: object) -> Any:
    """What Prefect's API answers."""
    password = base64.b64encode(os.environ["PREFECT_API_AUTH_STRING"].encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {password}"}
    request = urllib.request.Request(f"{server}/api/{path}", json.dumps(body).encode(), headers)  # noqa: S310 - http
    left = TRIES
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:  # SQLite is locked while the server writes the events of many runs
            left -= 1
            if error.code != 503 or not left:
                raise
            time.sleep(1)


if __name__ == "__main__":
    main()
