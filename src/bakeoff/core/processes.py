"""Work in other processes of this machine, which end with this one."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from bakeoff.core.errors import BakeoffError

T = TypeVar("T")

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""What BLAS, the compiled kernels and TensorFlow take the number of their threads from when they are imported."""


class Pool:
    """Processes that all do the same kind of work."""

    def __init__(self, executor: ProcessPoolExecutor, count: int, threads: int, death: str) -> None:
        """Of this executor, with so many processes and threads of each, and what to tell where one dies."""
        self._executor, self._count, self._threads, self._death = executor, count, threads, death

    def results(self, task: Callable[[int], T], numbers: Iterable[int]) -> Iterator[T]:
        """What the task returns for each number, in their order; few more are begun than have been taken from here.

        Args:
            task: pickled, as are its results.
            numbers: what it is called with.

        Raises:
            BakeoffError: a process died.
        """
        begun: deque[Future[T]] = deque()
        try:
            for number in numbers:
                with inherited(self._threads):  # processes start as long as there are not enough of them
                    begun.append(self._executor.submit(task, number))
                if len(begun) > 2 * self._count:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        except BrokenProcessPool:
            raise BakeoffError(self._death) from None


@contextmanager
def process_pool(count: int, threads: int, what: str, remedy: str) -> Iterator[Pool]:
    """New processes that end with the block, at once where it ends by an error, and with this process.

    Args:
        count: of processes, at least 1.
        threads: that each may use.
        what: they do, for people: it completes "a process that …".
        remedy: what to do where memory runs out, a sentence.
    """
    death = f"A process that {what} was ended: by the system where memory ran out, or by a person. {remedy}"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with (
        ours,
        theirs,
        ProcessPoolExecutor(count, context, initializer=end_with_parent, initargs=(theirs,)) as executor,
    ):
        try:
            yield Pool(executor, count, threads, death)
        except BaseException:
            ours.close()  # which none of them survives: they would do to the end what nobody waits for
            raise


@contextmanager
def inherited(threads: int) -> Iterator[None]:
    """What a process that starts now inherits: so many threads, and no ear for Ctrl-C, which the parent answers to."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_alone(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Results of the tasks, one after the other in one new process, which ends with this one.

    Args:
        tasks: pickled; so are their results.

    Raises:
        BakeoffError: a task raised one, or the process died.
    """
    context = multiprocessing.get_context("spawn")
    connection, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, list(tasks)), daemon=True)
    process.start()
    theirs.close()
    try:
        return [_receive(connection) for _ in tasks]
    except EOFError:
        process.join()
        raise BakeoffError(
            f"A process of its own ended with status {process.exitcode}; a negative one is "
            "the signal that ended it, −9 where memory ran out. What it printed stands above."
        ) from None
    finally:
        process.kill()
        process.join()
        connection.close()


def _receive(connection: Connection) -> Any:
    result = connection.recv()
    if isinstance(result, BakeoffError):
        raise result
    return result


def _serve(connection: Connection, tasks: list[Callable[[], Any]]) -> None:
    end_with_parent(connection)
    for task in tasks:
        try:
            connection.send(task())
        except BakeoffError as error:
            connection.send(error)
            return


def end_with_parent(connection: Connection) -> None:
    """From now on this process ends when the one at the other side of the line does, whatever killed it.

    Args:
        connection: on which the other side never says anything.
    """

    def wait() -> None:
        try:
            connection.recv()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
