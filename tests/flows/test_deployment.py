"""The repository's own prefect.yaml on a real server with a real worker, as the README has people run it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flow_project import FLOWS, Project

STAGES = """
stages:
  compare:
    cmd: python compare.py
    outs: [reports/comparison.md: {cache: false}, reports/metrics.json: {cache: false}]
"""
COMPARE = """
from pathlib import Path
Path("reports").mkdir(exist_ok=True)
Path("reports/comparison.md").write_text("# softmax wins")
Path("reports/metrics.json").write_text('{"softmax": {"ndcg@10": 0.25}}')
"""
REPOSITORY = FLOWS.parent

pytestmark = pytest.mark.server


@dataclass
class Server:
    """A Prefect server of its own, with a home of its own."""

    home: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
        }

    def prefect(self, *arguments: str, **variables: str) -> str:
        answer = subprocess.run(
            ["prefect", *arguments],
            cwd=REPOSITORY,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        assert answer.returncode == 0, answer.stdout
        return answer.stdout

    def ask(self, path: str, **query: object) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            data=json.dumps(query).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/health", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Server(tmp_path_factory.mktemp("prefect"), free.getsockname()[1])
    with (server.home / "server.log").open("w") as log:
        process = subprocess.Popen(
            ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(server.port)],
            cwd=REPOSITORY,
            env=server.environment,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + 120
        while not server.is_up():
            assert process.poll() is None, (server.home / "server.log").read_text()
            assert time.monotonic() < until, "the server does not come up"
            time.sleep(0.3)
        server.prefect("work-pool", "create", "bakeoff", "--type", "process")
        server.prefect("--no-prompt", "deploy", "--all")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_the_nightly_deployment_is_scheduled_and_runs_one_at_a_time(server: Server) -> None:
    (nightly,) = [d for d in server.ask("deployments/filter") if d["name"] == "nightly"]
    (schedule,) = nightly["schedules"]
    assert schedule["active"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 3 * * *", "UTC")
    assert nightly["global_concurrency_limit"]["limit"] == 1


def test_no_path_of_the_deploying_machine_is_deployed(server: Server) -> None:
    deployments = server.ask("deployments/filter")
    assert {d["name"] for d in deployments} == {"nightly", "on-demand", "what-if", "study"}
    assert str(REPOSITORY) not in json.dumps(deployments)


def test_a_worker_runs_the_on_demand_deployment_in_a_workspace(server: Server, project: Project) -> None:
    workspace = project(STAGES, compare=COMPARE)
    server.prefect("deployment", "run", "pipeline/on-demand", "--param", f"workspace={json.dumps(str(workspace))}")
    log = server.prefect("worker", "start", "--pool", "bakeoff", "--run-once", BAKEOFF_HOME=str(REPOSITORY))
    (run,) = server.ask(
        "flow_runs/filter",
        flow_runs={"parent_task_run_id": None, "state": {"type": {"not_any_": ["SCHEDULED"]}}},
    )
    assert (run["state"]["type"], run["state"]["message"]) == (
        "COMPLETED",
        "1 stages: 1 ran, 0 unchanged, 0 cached.",
    ), log
    artifacts = {a["key"]: a["data"] for a in server.ask("artifacts/filter")}
    assert artifacts["comparison"] == "# softmax wins"
    assert json.loads(artifacts["metrics"]) == [{"metric": "ndcg@10", "softmax": 0.25}]
    assert (workspace / "reports/comparison.md").exists()


def test_a_wrong_parameter_is_refused_before_there_is_a_run(server: Server) -> None:
    (on_demand,) = [d for d in server.ask("deployments/filter") if d["name"] == "on-demand"]
    with pytest.raises(urllib.error.HTTPError, match=r"409|422"):
        server.ask(f"deployments/{on_demand['id']}/create_flow_run", parameters={"stage_timeout_seconds": -1})
