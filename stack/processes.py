"""Processes of the stack, found by a mark in their environment, whoever started or abandoned them."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket

import psutil

from .layout import MARK, StackError

RUN = "PREFECT__FLOW_RUN_ID"
"""Environment variable of a flow run's process, inherited by DVC and by the stages."""


def of_stack(home: Path) -> list[psutil.Process]:
    """Every process that was started for this home; never this one or one above it."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process, mark in _with_variable(MARK) if mark == str(home) and process.pid not in own]


def of_runs() -> dict[str, list[psutil.Process]]:
    """The processes of each flow run on this machine, by the run's id."""
    found: dict[str, list[psutil.Process]] = {}
    for process, run in _with_variable(RUN):
        found.setdefault(run, []).append(process)
    return found


def end(processes: Iterable[psutil.Process], grace: float = 10.0) -> int:
    """End processes: SIGTERM, after `grace` seconds SIGKILL; how many there were."""
    left = list(processes)
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(left, timeout=grace)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=grace)
    return len(left)


def sweep(home: Path) -> int:
    """End all that is left of a stack, children that are born meanwhile included."""
    ended = 0
    until = time.monotonic() + 60
    while (left := of_stack(home)) and time.monotonic() < until:
        ended += end(left)
    return ended


def check_port(host: str, port: int, what: str) -> None:
    """StackError if something else listens on the port, saying what if that can be known."""
    with closing(socket(AF_INET6 if ":" in host else AF_INET)) as probe:
        probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # a server that ended a moment ago is no obstacle
        try:
            probe.bind((host, port))
        except OSError as error:
            holder = _listener(port)
            raise StackError(
                f"{what} cannot listen on {host}:{port}: {holder or error.strerror}. "
                "End that, or choose another port with --port."
            ) from None


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listener(port: int) -> str | None:
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()}) listens there"
    return None


def _with_variable(name: str) -> Iterator[tuple[psutil.Process, str]]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            value = process.environ().get(name)
            if value is not None and process.status() != psutil.STATUS_ZOMBIE:
                yield process, value
