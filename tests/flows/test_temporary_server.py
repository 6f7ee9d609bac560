"""The temporary server of `python flows/pipeline.py`: it listens on loopback, for its own flow alone."""

import os
import subprocess
import sys

import pytest
from flow_project import FLOWS

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


@pytest.mark.server
def test_a_temporary_server_answers_nobody_else() -> None:
    paths = os.pathsep.join([str(FLOWS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120", "PYTHONPATH": paths}
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["200", "401", "None", "127.0.0.1"], done.stdout + done.stderr
