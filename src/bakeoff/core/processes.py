"""Threads that share the cores, and child processes: groups and pools, which end as a whole."""

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing.connection import Connection
from operator import call
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from bakeoff.core.errors import BakeoffError

A = TypeVar("A")
T = TypeVar("T")

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""Variables from which BLAS, Numba and TensorFlow take the number of their threads when they are imported."""


_libraries = cache(ThreadpoolController)
"""Found once: it looks through all libraries that the process has loaded."""


@contextmanager
def own_threads() -> Iterator[ThreadPoolExecutor]:
    """A pool with one thread per core that this process may use, while BLAS is limited to one thread.

    On a busy machine BLAS' own threads wait for each other at every barrier (measured on two cores with eight
    processes: 8 times the CPU time for an eigendecomposition at d = 512).
    """
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(num_cores()) as pool:
        yield pool


def num_cores() -> int:
    """Cores that this process may use; OMP_NUM_THREADS, which limits BLAS, limits them too."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(_available(), int(limit)) if limit.isdigit() and int(limit) > 0 else _available()


def _available() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux; other systems can't bind a process to some of the cores
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def end_group(process: subprocess.Popen[Any], grace: float = 10.0) -> None:
    """End every process of the group that a child leads: SIGTERM, after `grace` seconds SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        # What gets SIGKILL ends for sure, but on a busy machine not at once.
        until = time.monotonic() + (grace if number is signal.SIGTERM else max(grace, 10.0))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            while time.monotonic() < until:
                process.poll()  # reaps the leader, which would keep the group alive as a zombie
                os.killpg(process.pid, 0)
                time.sleep(0.02)
            continue
        break
    process.wait()


class Pool:
    """Processes that all run the same kind of task."""

    def __init__(self, executor: ProcessPoolExecutor, count: int, death: str) -> None:
        """Wrap an executor with `count` processes; `death` is the message where one dies."""
        self._executor, self._count, self._death = executor, count, death

    def results(self, task: Callable[[A], T], arguments: Iterable[A]) -> Iterator[T]:
        """Results of the task for each argument, in order; only a few calls run ahead of the results that are taken.

        Args:
            task: pickled, as are its argument and its results.
            arguments: one for each call.

        Raises:
            BakeoffError: a process died.
        """
        begun: deque[Future[T]] = deque()
        try:
            for argument in arguments:
                begun.append(self._executor.submit(task, argument))
                if len(begun) > 2 * self._count:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        except BrokenProcessPool:
            raise BakeoffError(self._death) from None


@contextmanager
def process_pool(count: int, threads: int, what: str, remedy: str) -> Iterator[Pool]:
    """Start processes that end with the block, immediately if it raises, and with this process.

    Args:
        count: number of processes, at least 1.
        threads: number of threads that each may use.
        what: what they do, for people: it completes "a process that …".
        remedy: what to do where memory runs out, a sentence.
    """
    death = f"A process that {what} was ended: by the system where memory ran out, or by a person. {remedy}"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with ours, theirs, ProcessPoolExecutor(count, context, initializer=_begin, initargs=(theirs, threads)) as executor:
        try:
            yield Pool(executor, count, death)
        except BaseException:
            ours.close()  # ends all of them: their results are not needed any more
            raise


def run_alone(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run the tasks one after the other in one new process, which ends with this one, and return their results.

    Args:
        tasks: pickled; so are their results.

    Raises:
        BakeoffError: a task raised one, or the process died.
    """
    with process_pool(1, num_cores(), "runs alone", "Its own output is above.") as pool:
        return list(pool.results(call, tasks))


def _begin(connection: Connection, threads: int) -> None:
    """What a process of a pool does before its first task, which imports NumPy: set its number of threads.

    It ignores Ctrl-C, which the parent handles, and ends as soon as the parent ends, whatever killed that.

    Args:
        connection: to the parent, which never sends anything.
        threads: that it may use.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        try:
            connection.recv()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
