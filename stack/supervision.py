"""supervisord: its configuration, and how one talks to it."""

import configparser
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from . import database
from .layout import MARK, PROJECT, Layout, Options, StackError

GIVEN_UP = ("FATAL", "EXITED", "STOPPED", "UNKNOWN")
"""States that a program leaves no more by itself."""


def environment(layout: Layout, options: Options) -> dict[str, str]:
    """What every program of the stack is started with; no secret that was not there before.

    Variables of Prefect that people have set are kept, but for those that would lead to another server.
    """
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        **{name: value for name, value in os.environ.items() if name not in ("PREFECT_PROFILE", "PREFECT_API_KEY")},
        "PATH": commands,
        MARK: str(layout.home),
        "BAKEOFF_HOME": str(PROJECT),
        "PREFECT_HOME": str(layout.prefect_home),
        "PREFECT_API_URL": f"{options.url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # In memory, the default, a restart of the server forgets who holds a slot: a run that goes on would be ended at
        # its next renewal, and the slot of one that is gone would never be given back.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # The shortest that Prefect takes; the automation calls a run crashed after three of them (automations.yaml).
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # Requests are tried again for two minutes: longer than a restart of the server or its database.
        "PREFECT_CLIENT_MAX_RETRIES": os.environ.get("PREFECT_CLIENT_MAX_RETRIES", "6"),
        "PREFECT_WORKER_QUERY_SECONDS": os.environ.get("PREFECT_WORKER_QUERY_SECONDS", "5"),
    }


def write_configuration(layout: Layout, options: Options, binaries: Path | None) -> None:
    """The configuration: every program restarted when it dies, logs rotated, a Unix socket as the only door."""
    me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    sections: dict[str, Mapping[str, object]] = {
        "unix_http_server": {"file": layout.socket, "chmod": "0700"},
        "supervisord": {
            "user": me,
            "directory": layout.home,
            "logfile": layout.logs / "supervisord.log",
            "logfile_maxbytes": "10MB",
            "logfile_backups": 3,
            "pidfile": layout.home / "supervisord.pid",
            "childlogdir": layout.logs,
            "umask": "077",
        },
        "supervisorctl": {"serverurl": f"unix://{layout.socket}"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    if binaries is not None:
        command = database.command(layout, binaries, options.database_port)
        # An environment of its own: it runs as another user, who has no business with this one's secrets.
        clean = ["/usr/bin/env", "-i", "LC_ALL=C.UTF-8", f"{MARK}={layout.home}", *command]
        sections["program:postgresql"] = {
            **_program(layout, "postgresql", clean, priority=10),
            "directory": layout.postgresql,
            "user": database.owner() or me,
            "stopsignal": "INT",  # connections are closed; TERM would wait for them
        }
    server: list[str | Path] = [sys.executable, "-m", "stack.run_server", layout.home]
    sections["program:server"] = _program(layout, "server", server, priority=20)
    worker: list[str | Path] = [sys.executable, "-m", "stack.run_worker", layout.home, "%(process_num)d"]
    sections["program:worker"] = {
        **_program(layout, "worker-%(process_num)d", worker, priority=30),
        "process_name": "worker-%(process_num)d",
        "numprocs": options.workers,
        "numprocs_start": 1,
        "stopwaitsecs": 60,  # a run is ended by its worker, and its stages by the run
    }
    parser = configparser.RawConfigParser()
    for name, values in sections.items():
        parser[name] = {key: str(value) for key, value in values.items()}
    beside = layout.configuration.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write("; Written by `python -m stack up`.\n\n")
        parser.write(file)
    beside.replace(layout.configuration)


def _program(layout: Layout, name: str, command: Sequence[str | Path], priority: int) -> dict[str, object]:
    log = str(layout.logs).replace("%", "%%")
    return {
        "command": " ".join(_quoted(str(part)) for part in command),
        "directory": str(PROJECT).replace("%", "%%"),
        "priority": priority,
        "autorestart": "true",
        "startsecs": 3,
        "startretries": 1000,  # with a pause that grows by a second each time: a full disk may take hours to be seen
        "stopwaitsecs": 30,
        "redirect_stderr": "true",
        "stdout_logfile": f"{log}/{name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 5,
    }


def _quoted(part: str) -> str:
    """As supervisord reads it: its own %, then the shell's quotes; `%(process_num)d` is meant."""
    escaped = part if part == "%(process_num)d" else part.replace("%", "%%")
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def start(layout: Layout, options: Options) -> None:
    """Start supervisord, which starts the rest.

    Raises:
        StackError: it does not start, with what it says.
    """
    layout.socket.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", layout.configuration],
        cwd=PROJECT,
        env=environment(layout, options),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StackError(f"supervisord does not start: {(done.stderr or done.stdout).strip()}")


def supervisor(layout: Layout) -> Any:
    """The methods that supervisord offers."""
    transport = SupervisorTransport(None, None, f"unix://{layout.socket}")
    return ServerProxy("http://127.0.0.1", transport=cast(Any, transport)).supervisor


def is_running(layout: Layout) -> bool:
    """Whether a supervisord of this home answers."""
    try:
        return bool(supervisor(layout).getState())
    except (OSError, Fault):
        return False


def programs(layout: Layout) -> list[dict[str, Any]]:
    """State of each program; none if supervisord does not run."""
    try:
        return cast(list[dict[str, Any]], supervisor(layout).getAllProcessInfo())
    except (OSError, Fault):
        return []
