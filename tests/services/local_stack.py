"""The project's own stack (`python -m stack`), in a temporary home and on ports of its own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).parents[2]
_HANGING = 240.0


def until(condition: Callable[[], Any], problem: str) -> Any:
    """What the condition returns once it is true; how long that takes says nothing."""
    give_up = time.monotonic() + _HANGING
    while not (value := condition()):
        assert time.monotonic() < give_up, problem
        time.sleep(0.1)
    return value


class LocalStack:
    """A stack that may be up or down.

    Attributes:
        given: environment variables that flows get, with secrets in them.
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self.given = given or {}
        self.home = Path(tempfile.mkdtemp(prefix="stack-")).resolve()
        self.home.chmod(0o755)  # PostgreSQL runs as another user, who must get through
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def environment(self) -> dict[str, str]:
        """As a person's shell has it, with what flows are given; the worker asks for work every second."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return {
            **kept,
            **self.given,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_CLIENT_MAX_RETRIES": "6",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.2",
        }

    @property
    def client(self) -> dict[str, str]:
        """That of somebody who uses the server from a terminal."""
        address = {"PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api", "PREFECT_HOME": f"{self.home}/client"}
        return {**self.environment, **address}

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m stack …` on this home."""
        command = [sys.executable, "-m", "stack", "--home", str(self.home), *arguments]
        return subprocess.run(command, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True)

    def up(self, *options: str) -> str:
        done = self.call("up", "--port", str(self.port), *options)
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout

    def down(self) -> str:
        done = self.call("down")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace")[-3000:] for path in sorted((self.home / "logs").glob("*")))

    def ask(self, path: str, body: object = None, method: str = "POST") -> Any:
        """What Prefect's API answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            data=json.dumps(body or {}).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")

    def is_healthy(self) -> bool:
        try:
            self.ask("flow_runs/count")
        except OSError:
            return False
        return True

    def submit(self, workspace: Path, deployment: str = "on-demand", **parameters: object) -> str:
        """Ask for a run of a deployment; its id."""
        (found,) = self.ask("deployments/filter", {"deployments": {"name": {"any_": [deployment]}}})
        body = {"parameters": {"workspace": str(workspace), **parameters}, "state": {"type": "SCHEDULED"}}
        return self.ask(f"deployments/{found['id']}/create_flow_run", body)["id"]

    def task_states(self, id: str, task: str) -> set[str]:
        """Names of the states in which runs of a task are, of this run of a flow."""
        found = self.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [id]}}})
        return {each["state"]["name"] for each in found if each["name"].startswith(task)}

    def run(self, id: str) -> dict[str, Any]:
        (run,) = self.ask("flow_runs/filter", {"flow_runs": {"id": {"any_": [id]}}})
        return run

    def has_ended(self, id: str) -> bool:
        return self.run(id)["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

    def ended(self, id: str) -> dict[str, Any]:
        """The run, once it has ended."""
        until(lambda: self.has_ended(id), f"{id} does not end:\n{self.logs()}")
        return self.run(id)

    def program(self, name: str) -> psutil.Process:
        """The process of `postgresql`, `server` or `worker-1`, as supervisord started it."""
        part = {"server": "prefect server start", "worker-1": "prefect worker start"}.get(
            name, f"postgres -D {self.home}"
        )
        (found,) = (process for process in self.processes() if part in " ".join(process.cmdline()))
        return found

    def processes(self) -> list[psutil.Process]:
        """Everything that belongs to it: below its supervisord, or marked with its home."""
        found = {}
        for process in psutil.process_iter():
            try:
                marked = process.environ().get("BAKEOFF_STACK") == str(self.home)
                if marked or str(self.home) in " ".join(process.cmdline()):
                    found[process.pid] = process
                    found |= {child.pid: child for child in process.children(recursive=True)}
            except psutil.Error:
                continue
        found.pop(os.getpid(), None)
        return [process for process in found.values() if process.is_running()]

    def listeners(self) -> set[tuple[str, int]]:
        """Addresses that its processes listen on."""
        pids = {process.pid for process in self.processes()}
        return {
            (connection.laddr.ip, connection.laddr.port)
            for connection in psutil.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN and connection.pid in pids
        }


@contextmanager
def local_stack(*options: str, given: Mapping[str, str] | None = None) -> Iterator[LocalStack]:
    """A stack from up to down and removal."""
    stack = LocalStack(given)
    try:
        stack.up(*options)
        yield stack
    finally:
        stack.down()
        shutil.rmtree(stack.home)
