"""A `bakeoff` command that forks a process which has loaded all libraries: the same stages, without their starts.

A program too: the server, given the path of its socket.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULES = (
    "numba great_expectations sklearn.manifold dvc.api bakeoff.cli "
    "bakeoff.validation.inspector bakeoff.validation.tables "
    "bakeoff.models.exported bakeoff.stages.unbiasedness bakeoff.stages.train_ease bakeoff.stages.train_popularity "
    "bakeoff.stages.train_recent_popularity bakeoff.stages.train_two_tower bakeoff.stages.validate "
    "bakeoff.stages.split bakeoff.stages.evaluate bakeoff.stages.variants bakeoff.stages.planted "
    "bakeoff.stages.serving bakeoff.stages.rerank bakeoff.stages.items bakeoff.stages.compare bakeoff.stages.growth "
    "bakeoff.stages.fetch bakeoff.drift.judging bakeoff.stages.drift bakeoff.stages.decide bakeoff.stages.promote"
)
CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(told).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(told)
    sys.exit(int.from_bytes(server.recv(1), "big"))
"""


@contextmanager
def warm_stages(folder: Path) -> Iterator[str]:
    """A directory for PATH, in which `bakeoff` is such a command; it works as long as this context.

    Args:
        folder: an empty one, with a short name: a socket lies in it.
    """
    path = folder / "socket"
    client = folder / "bakeoff"
    client.write_text(CLIENT.format(python=sys.executable, path=str(path)))
    client.chmod(0o755)
    server = subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == b"ready\n", "the server of warm stages did not start"
        yield str(folder)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def load() -> None:
    """Import what stages import, and run nothing of TensorFlow: its threads would not be there in a child."""
    import importlib

    import tensorflow

    import bakeoff  # noqa: F401 - settings of TensorFlow, which must stand before it is imported

    devices = tensorflow.config.list_logical_devices
    tensorflow.config.list_logical_devices = list
    for name in MODULES.split():
        importlib.import_module(name)
    tensorflow.config.list_logical_devices = devices


def serve(listener: socket.socket) -> None:
    """Answer one command after the other, each in a child of its own."""
    while True:
        connection, _ = listener.accept()
        with connection:
            head, files, *_ = socket.recv_fds(connection, 4, 3)
            told = b""
            while len(told) < int.from_bytes(head, "big"):
                told += connection.recv(65536)
            pid = os.fork()
            if pid == 0:
                become(files, *json.loads(told))
            for file in files:
                os.close(file)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            connection.sendall((status if status >= 0 else 1).to_bytes(1, "big"))


def become(files: list[int], arguments: list[str], directory: str, environment: dict[str, str]) -> None:
    """Be the command. Does not return."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["bakeoff", *arguments]
    status = 70
    try:
        from bakeoff import cli

        cli.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the server must not go on as a second one
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(sys.argv[1])
        unix.listen()
        load()
        print("ready", flush=True)
        serve(unix)
