"""Several processes train one model: how they are started, watched and ended. Imports no TensorFlow itself."""

import json
import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import cast

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import full_disk
from bakeoff.core.processes import end_with_parent, num_cores
from bakeoff.core.workspace import Workspace
from bakeoff.params import Params, parse_params

TOGETHER = ("softmax", "two_tower")
"""Models that several workers can train; on several machines the second takes the next port, as both may be at work."""

CAUSE_SECONDS = 5.0
"""How long to wait for the cause, where a worker tells of nothing but the loss of another."""

_NO_HEARTBEAT = re.compile(r"^/job:worker/replica:0/task:(\d+)$", re.MULTILINE)
"""How TensorFlow names those that no longer answer."""

GO_ON = "Run the same again: training goes on at its last checkpoint"


class LostError(BakeoffError):
    """A worker found another one gone."""


@dataclass(frozen=True)
class Task:
    """What a worker is told.

    Attributes:
        model: its name.
        params: of the whole project.
        root: of the workspace.
        hosts: address of each worker; the first is the chief's.
        index: of this one.
        threads: that it may use.
    """

    model: str
    params: Params
    root: Path
    hosts: Sequence[str]
    index: int
    threads: int

    @property
    def name(self) -> str:
        """For people: counted from 0, as in `hosts`."""
        return f"worker {self.index} of {len(self.hosts)}"


Serve = Callable[[Connection, Task], None]
"""What a worker's process does; importable by name."""


def run(params: Params, workspace: Workspace, model: str) -> None:
    """Train a model in this process; or, where the settings ask for it and the model can, in several.

    With `workers.hosts` this machine's worker is the first of them.

    Raises:
        BakeoffError: see the stage of the model; or a worker died.
    """
    workers = params.workers
    if model not in TOGETHER or (workers.processes == 1 and not workers.hosts):
        import_module(f"bakeoff.stages.train_{model}").run(params, workspace)
    elif workers.hosts:
        run_one(params, workspace, model, 0)
    else:
        run_here(params, workspace, model)


def run_one(params: Params, workspace: Workspace, model: str, index: int, hosts: Sequence[str] = ()) -> None:
    """One worker of several machines.

    Args:
        params: of the whole project.
        workspace: of this machine; only that of the first worker gets the model.
        model: its name.
        index: of the worker.
        hosts: address of each; none: `workers.hosts`.

    Raises:
        BakeoffError: no such worker, no such model for several; it or another worker failed.
    """
    given = {"workers": {"hosts": list(hosts)}}
    hosts = parse_params(given, "--hosts").workers.hosts if hosts else params.workers.hosts
    if model not in TOGETHER:
        raise BakeoffError(f"{model!r} is trained by one process: several train {' or '.join(TOGETHER)}.")
    if not 0 <= index < len(hosts):
        raise BakeoffError(
            f"There is no worker {index}: workers.hosts in params.yaml, or --hosts, names {len(hosts)}, counted from 0."
        )
    hosts = [
        f"{name}:{int(port) + TOGETHER.index(model)}" for name, _, port in (host.rpartition(":") for host in hosts)
    ]
    _watch([Task(model, params, workspace.root, hosts, index, num_cores())], serve)
    if index > 0:
        print(f"{model}: trained; the model is with worker 0, at {hosts[0]}")


def run_here(params: Params, workspace: Workspace, model: str, serve: Serve | None = None) -> None:
    """All workers on this machine, which share its cores.

    Raises:
        BakeoffError: a worker raised it, or died; the others are ended then.
    """
    count = params.workers.processes
    hosts = [f"127.0.0.1:{port}" for port in free_ports(count)]
    threads = max(1, num_cores() // count)
    _watch([Task(model, params, workspace.root, hosts, index, threads) for index in range(count)], serve)


def _watch(tasks: Sequence[Task], serve_with: Serve | None) -> None:
    """Start a process for each task and wait until all have ended well; the first failure ends all."""
    with ExitStack() as started:
        workers = []
        for task in tasks:
            workers.append(_Worker(task, serve_with or serve))
            started.callback(workers[-1].end)
        waiting = {worker.connection: worker for worker in workers}
        cause: BakeoffError | None = None
        while waiting and (ready := wait(list(waiting), CAUSE_SECONDS if cause else None)):
            for connection in ready:
                cause = _weightier(cause, waiting.pop(cast("Connection", connection)).failure())
            if cause is not None and not isinstance(cause, LostError):
                break
        if cause is not None:
            raise cause


def _weightier(cause: BakeoffError | None, failure: BakeoffError | None) -> BakeoffError | None:
    """What says more of why all ended: the first that is told, unless it only misses another worker."""
    if failure is None or (cause is not None and isinstance(failure, LostError)):
        return cause
    return failure if cause is None or isinstance(cause, LostError) else cause


class _Worker:
    """A process and its task."""

    def __init__(self, task: Task, serve_with: Serve) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._task = task
        self._process = context.Process(target=serve_with, args=(theirs, task), daemon=True, name=task.name)
        self._process.start()
        theirs.close()

    def failure(self) -> BakeoffError | None:
        """How it ended; None: well."""
        with suppress(EOFError, OSError):
            answer: BakeoffError | None = self.connection.recv()
            return answer
        self._process.join()
        status = self._process.exitcode or 0
        name, model = self._task.name, self._task.model
        if status >= 0:
            return BakeoffError(f"{name} failed while it trained {model}; what it printed stands above.")
        why = " (SIGKILL: by the system where memory ran out, or by a person)" if status == -9 else ""
        return BakeoffError(f"{name} was ended by signal {-status}{why} while it trained {model}. {GO_ON}.")

    def end(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def serve(connection: Connection, task: Task) -> None:
    """Be a worker: join the others, train, tell how it ended. The process ends here."""
    end_with_parent(connection)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it hears it, and ends it
    os.environ.update(environment(task))
    answer: BakeoffError | None = None
    try:
        _train(connection, task)
    except BakeoffError as error:
        answer = error
    except OSError as error:
        answer = full_disk(error, task.root)
        if answer is None:
            raise
    _tell(connection, answer)


def environment(task: Task) -> Mapping[str, str]:
    """Variables that must stand before NumPy and TensorFlow are imported."""
    cluster = {"cluster": {"worker": list(task.hosts)}, "task": {"type": "worker", "index": task.index}}
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    return {
        "TF_CONFIG": json.dumps(cluster),
        # Of a death in the family its native code would print pages. What is to be said, the error says.
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": str(task.threads),
        **{f"{name}_NUM_THREADS": str(task.threads) for name in names},
    }


def _train(connection: Connection, task: Task) -> None:
    late = BakeoffError(
        f"{task.name} waited {task.params.workers.start_seconds:g} s for the others "
        f"({', '.join(host for place, host in enumerate(task.hosts) if place != task.index)}): start `bakeoff worker` "
        "on each machine, and see that each reaches these ports; workers.start_seconds in params.yaml is the limit."
    )
    timer = threading.Timer(task.params.workers.start_seconds, _tell, (connection, late))
    timer.daemon = True
    timer.start()
    from bakeoff.models.base.tensorflow import tf
    from bakeoff.models.neural.team import Team

    try:
        team = Team()
        timer.cancel()
        import_module(f"bakeoff.stages.train_{task.model}").run(task.params, Workspace(task.root), team)
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        who = _gone(error.message, task)
        raise LostError(f"{task.name} lost {who} while it trained {task.model}. {GO_ON}.") from None


def _gone(message: str, task: Task) -> str:
    """Who is gone, after what TensorFlow says: a missing heartbeat names them, a connection that breaks does not."""
    gone = sorted(set(_NO_HEARTBEAT.findall(message)))
    if not gone and len(task.hosts) == 2:
        gone = [str(1 - task.index)]
    # Of several, the one whose connection broke may have left only since it lost the one that died.
    return f"worker {', '.join(gone)}" if gone else "another worker (the one that prints no such line)"


def _tell(connection: Connection, answer: BakeoffError | None) -> None:
    """Say how it ended, and end at once: TensorFlow would wait for those that are gone."""
    with suppress(OSError):
        connection.send(answer)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if answer is None else 1)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
