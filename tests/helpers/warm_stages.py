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
from functools import partial
from pathlib import Path

from forking import become, load_stages

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
                become(partial(run, files, *json.loads(told)))
            for file in files:
                os.close(file)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            connection.sendall((status if status >= 0 else 1).to_bytes(1, "big"))


def run(files: list[int], arguments: list[str], directory: str, environment: dict[str, str]) -> None:
    """Be the command of whoever asked."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["bakeoff", *arguments]
    from bakeoff import cli

    cli.main()


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(sys.argv[1])
        unix.listen()
        load_stages()
        print("ready", flush=True)
        serve(unix)
