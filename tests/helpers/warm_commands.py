"""`bakeoff` and `dvc` as forks of a process that has loaded all libraries: the same commands, without their starts.

A program too: the server, given the path of its socket and the id of the process that it serves.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import psutil
from forking import become, bundle_chart_library, keep, load_dvc, load_stages

NAMES = ("bakeoff", "dvc", "warm-python")
"""What there is: the last one is Python, which is given code by `-c`; it may run for as long as the suite does."""

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


def warm_commands(folder: Path, owner: int) -> str:
    """A directory for PATH, in which these commands lie; they work as long as the owner lives.

    Args:
        folder: made here, with a short name, since a socket lies in it.
        owner: id of a process.
    """
    folder.mkdir()
    path, log = folder / "socket", folder / "log"
    command = [sys.executable, __file__, str(path), str(owner)]
    with (
        log.open("w") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, start_new_session=True) as server,
    ):
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n", f"the server of warm commands did not start:\n{log.read_text()}"
        server.returncode = 0  # nobody waits for it: it ends by itself
    for name in NAMES:
        (folder / name).write_text(CLIENT.format(python=sys.executable, path=str(path), name=name))
        (folder / name).chmod(0o755)
    return str(folder)


def serve(listener: socket.socket, owner: int) -> None:
    """Answer each command in a child of its own, side by side (DVC's call ours), as long as the owner lives."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    listener.settimeout(1)
    while psutil.pid_exists(owner):
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            answer(connection)
        connection.close()


def answer(connection: socket.socket) -> None:
    """Be the command of whoever asked; does not return."""
    connection.setblocking(True)
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
        start = arguments.index("-c") + 1  # options before it are of no use to a process that runs
        code, sys.argv = arguments[start], ["-c", *arguments[start + 1 :]]
        exec(compile(code, "-c", "exec"), {"__name__": "__main__"})
    elif name == "dvc":
        sys.exit(import_module("dvc.cli").main(arguments))
    else:
        import_module("bakeoff.cli").main()


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(sys.argv[1])
        unix.listen()
        gc.disable()  # what is loaded stays: looking for garbage among it takes two seconds
        take_chart_library = bundle_chart_library()
        load_stages()
        load_dvc()
        take_chart_library()
        gc.enable()
        keep()
        print("ready", flush=True)
        os.dup2(2, 1)  # whoever waited for this goes on
        serve(unix, int(sys.argv[2]))
