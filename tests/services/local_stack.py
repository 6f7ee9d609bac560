"""The project's own stack (`make up`), in a temporary directory and on a port of its own."""

import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psutil
from waiting import until

REPOSITORY = Path(__file__).parents[2]


class LocalStack:
    """A stack that may be up or down.

    Attributes:
        given: environment variables that flows get, with secrets in them.
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self.given = given or {}
        self.home = Path(tempfile.mkdtemp(prefix="stack-")).resolve()
        self.profile = self.home / "prefect/profiles.toml"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api"

    @property
    def environment(self) -> dict[str, str]:
        """As a person's shell has it, with what flows are given; the worker asks for work every second."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MAKE"))}
        return {
            **kept,
            **self.given,
            "BAKEOFF_STACK": str(self.home),
            "PREFECT_API_URL": "http://127.0.0.1:9/api",  # of another server, to which nothing may go
            "PREFECT_API_AUTH_STRING": "another:password",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.2",
        }

    @property
    def client(self) -> dict[str, str]:
        """That of somebody who uses the server from a terminal, as `make up` says."""
        other = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
        kept = {name: value for name, value in self.environment.items() if name not in other}
        return {**kept, "PREFECT_HOME": f"{self.home}/prefect", "PREFECT_CLIENT_MAX_RETRIES": "6"}

    @property
    def password(self) -> str:
        """User and password of the API, as `user:password`."""
        return tomllib.loads(self.profile.read_text())["profiles"]["bakeoff"]["PREFECT_API_AUTH_STRING"]

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        """`make up`, `down` or `status`; the environment is not made anew."""
        command = ["make", "--old-file=.venv/.ready", target, f"PORT={self.port}"]
        return subprocess.run(command, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True)

    def up(self) -> str:
        done = self.make("up")
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout

    def down(self) -> str:
        done = self.make("down")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace")[-3000:] for path in sorted((self.home / "logs").glob("*")))

    def ask(self, path: str, body: object = None, method: str = "POST") -> Any:
        """What Prefect's API answers."""
        secret = base64.b64encode(self.password.encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/{path}",
            data=json.dumps(body or {}).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Basic {secret}"},
            method=method,
        )
        answer = until(lambda: self._answer(request), f"{path} is not answered")
        return json.loads(answer)

    def _answer(self, request: urllib.request.Request) -> bytes | None:
        """None where SQLite was busy (503), on which Prefect's own clients try again too."""
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read() or b"null"
        except HTTPError as error:
            if error.code != 503:
                raise
            return None

    def is_healthy(self) -> bool:
        try:
            self.ask("flow_runs/count")
        except OSError:
            return False
        return True

    def deployment(self, name: str) -> dict[str, Any]:
        (found,) = self.ask("deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        return found

    def submit(self, workspace: Path, deployment: str = "on-demand", **parameters: object) -> str:
        """Ask for a run of a deployment; its id."""
        body = {"parameters": {"workspace": str(workspace), **parameters}, "state": {"type": "SCHEDULED"}}
        return self.ask(f"deployments/{self.deployment(deployment)['id']}/create_flow_run", body)["id"]

    def task_states(self, id: str, task: str) -> set[str]:
        """Names of the states in which runs of a task are, of this run of a flow. One just created has none yet: the
        server records tasks from events, first the run, then its state."""
        found = self.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [id]}}})
        return {each["state"]["name"] for each in found if each["state"] and each["name"].startswith(task)}

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
        """The process of `server` or `worker`, as supervisord started it."""
        (found,) = (process for process in self.processes() if f"prefect {name} start" in " ".join(process.cmdline()))
        return found

    def processes(self) -> list[psutil.Process]:
        """Everything that belongs to it: what inherited the environment variable with its directory."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
            return alive and process.environ().get("BAKEOFF_STACK") == str(self.home)
        except psutil.Error:
            return False

    def listeners(self) -> set[tuple[str, int]]:
        """Addresses that its processes listen on."""
        pids = {process.pid for process in self.processes()}
        return {
            (connection.laddr.ip, connection.laddr.port)
            for connection in psutil.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN and connection.pid in pids
        }

    def lose_power(self) -> None:
        """Every process ends at once, and nothing is cleared up."""
        for process in self.processes():
            process.kill()
        until(lambda: not self.processes(), "a killed process goes on")


@contextmanager
def local_stack(given: Mapping[str, str] | None = None) -> Iterator[LocalStack]:
    """A stack from up to down and removal."""
    stack = LocalStack(given)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        shutil.rmtree(stack.home)
