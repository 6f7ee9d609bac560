"""Work in a process of its own, so that what it costs is its own."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from bakeoff.errors import BakeoffError

T = TypeVar("T")


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
            f"A process that measures the cost of training ended with status {process.exitcode}; a negative one is "
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
