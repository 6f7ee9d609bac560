"""`bakeoff` and `dvc` as forks of a process that has loaded all libraries: the same commands, without their starts.

A program too: the server, given the path of its socket.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from forking import become, load_dvc, load_stages

NAMES = ("bakeoff", "dvc", "warm-python")
"""What there is: the last one is Python, which is given code by `-c`."""

CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    told = json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(told).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(told)
    answer = server.recv(1)
    if not answer:
        os.kill(os.getpid(), 9)  # as the command was
    os._exit(answer[0])
"""


@contextmanager
def warm_commands(folder: Path) -> Iterator[str]:
    """A directory for PATH, in which these commands lie; they work as long as this context.

    Args:
        folder: an empty one, with a short name: a socket lies in it.
    """
    path = folder / "socket"
    for name in NAMES:
        (folder / name).write_text(CLIENT.format(python=sys.executable, path=str(path), name=name))
        (folder / name).chmod(0o755)
    server = subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == b"ready\n", "the server of warm commands did not start"
        yield str(folder)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def serve(listener: socket.socket) -> None:
    """Answer each command in a child of its own, side by side: DVC's call ours."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            answer(connection)
        connection.close()


def answer(connection: socket.socket) -> None:
    """Be the command of whoever asked; does not return."""
    head, files, *_ = socket.recv_fds(connection, 4, 3)
    told = b""
    while len(told) < int.from_bytes(head, "big"):
        told += connection.recv(65536)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    name, arguments, directory, environment = json.loads(told)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=end_with, args=(connection,), daemon=True).start()
    become(lambda: run(name, arguments), lambda status: connection.send(bytes([status])))


def end_with(connection: socket.socket) -> None:
    """A client that is killed takes its command with it."""
    connection.recv(1)
    os.killpg(0, signal.SIGKILL)


def run(name: str, arguments: list[str]) -> None:
    """One of NAMES."""
    sys.argv = [name, *arguments]
    if name == "warm-python":
        _, code, *rest = arguments
        sys.argv = ["-c", *rest]
        exec(compile(code, "-c", "exec"), {"__name__": "__main__"})
    elif name == "dvc":
        sys.exit(import_module("dvc.cli").main(arguments))
    else:
        import_module("bakeoff.cli").main()


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(sys.argv[1])
        unix.listen()
        load_stages()
        load_dvc()
        print("ready", flush=True)
        serve(unix)
