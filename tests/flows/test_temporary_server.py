"""The temporary server of `python flows/pipeline.py`: on loopback, for its own flow alone, which it outlives."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flow_project import FLOWS, Project

ASK = """
import httpx, psutil
from prefect.client.orchestration import get_client
from bakeoff.flows.pipeline import private_server

with private_server():
    client = get_client(sync_client=True)
    own = client.request("POST", "/flow_runs/count").status_code
    address = str(client.api_url)
    other = httpx.post(f"{address}flow_runs/count", headers={"Origin": "https://example.com"})
    servers = psutil.Process().children(recursive=True)
    listening = {place.laddr.ip for server in servers for place in server.net_connections() if place.status == "LISTEN"}
print(own, other.status_code, other.headers.get("Access-Control-Allow-Origin"), *listening)
"""


def environment() -> dict[str, str]:
    """Of a process that has no server yet."""
    paths = os.pathsep.join([str(FLOWS), os.environ.get("PYTHONPATH", "")])
    others = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    return {**others, "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120", "PYTHONPATH": paths}


@pytest.mark.server
def test_a_temporary_server_answers_nobody_else() -> None:
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.stdout.split() == ["200", "401", "None", "127.0.0.1"], done.stdout + done.stderr


def test_a_server_that_does_not_answer_is_named() -> None:
    code = "from bakeoff.flows.pipeline import private_server\nwith private_server(): pass"
    variables = environment() | {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert "BakeoffError: Prefect's server at http://127.0.0.1:9/api can't be used" in done.stderr
    assert "`make up` starts it" in done.stderr


@pytest.mark.server
def test_an_interrupt_at_the_terminal_ends_stages_and_server_and_the_server_has_heard_of_it(project: Project) -> None:
    code = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    workspace = project("stages: {slow: {cmd: python slow.py, outs: [slow]}}", slow=code)
    process = subprocess.Popen(
        [sys.executable, str(FLOWS / "pipeline.py")],
        cwd=workspace,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not (workspace / "pid").exists():  # how long that takes says nothing
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the command
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Finished in state Crashed" in printed
    assert "\nerror: Interrupted. Stages that had ended are kept: the same command continues.\n" in printed
    assert "Traceback" not in printed
    assert not Path(f"/proc/{(workspace / 'pid').read_text()}").exists()
