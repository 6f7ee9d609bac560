"""A server in a process of its own, and requests to it."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from inspect import signature
from pathlib import Path

import httpx

from bakeoff.cli import operations
from bakeoff.ops.registry.history import enter
from bakeoff.ops.server.serve import Options

PATIENCE = 60
"""Seconds after which a server that does not answer counts as dead."""


def serve_options(**given) -> Options:
    """Options of `bakeoff serve`: the given ones, and the defaults of the command."""
    return Options(**{name: each.default for name, each in signature(operations.serve).parameters.items()} | given)


def promote(workspace, model, at):
    enter(workspace.root, model, at, "Action: promote", push=False)


@contextmanager
def running(workspace, log: Path, *arguments):
    """A server, and a client of it; the server ends with the block."""
    with log.open("w") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "bakeoff", "serve", "--port", "0", "--interval", "0.1", *arguments],
            cwd=workspace.root,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        watchdog = threading.Timer(PATIENCE, server.kill)
        watchdog.start()
        line = server.stdout.readline()
        watchdog.cancel()
        assert " answers on " in line, log.read_text()
        with httpx.Client(base_url=line.split(" answers on ")[1].split(";")[0], timeout=PATIENCE) as client:
            yield server, client
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def listed(client, **query):
    response = client.post("/recommend", json=query)
    assert response.status_code == 200, response.text
    return [item["item_id"] for item in response.json()["items"]]


def model(client):
    return client.get("/model").json()


def metric(client, name):
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
