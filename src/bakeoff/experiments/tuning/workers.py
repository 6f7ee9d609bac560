"""Processes that try settings: one side asks, the other computes and says how far it is."""

import multiprocessing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from bakeoff.core.errors import BakeoffError
from bakeoff.core.processes import inherited

Report = Callable[[int, float], None]
"""Told the epoch and its score; raises Stop where the trial is to be cut short."""

Objective = Callable[[Mapping[str, Any], Report], tuple[float, int | None]]
"""Tries values: score and epoch of the best."""


class Stop(Exception):  # noqa: N818 - no error: the trial is cut short
    """The trial is not worth its time."""


@dataclass(frozen=True)
class Ready:
    """The worker has read what it needs."""


@dataclass(frozen=True)
class Reached:
    """An epoch ended; the worker waits to be told whether to go on."""

    epoch: int
    score: float


@dataclass(frozen=True)
class Finished:
    """The trial ran to its end."""

    score: float
    epoch: int | None


@dataclass(frozen=True)
class Stopped:
    """The trial was cut short, as told."""


@dataclass(frozen=True)
class Failed:
    """The values can't be trained."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """Nothing can be tried at all."""

    reason: str


@dataclass(frozen=True)
class Died:
    """The process ended; a negative status is the signal that ended it."""

    status: int


Message = Ready | Reached | Finished | Stopped | Failed | Refused | Died


class Worker:
    """One process."""

    def __init__(self, make: Callable[[], Objective], threads: int) -> None:
        """Start it; `make` is pickled and called there."""
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        with inherited(threads):
            self._process.start()
        theirs.close()

    def send(self, what: Any) -> None:
        """Values to try, or whether to go on. To one that died nothing is said: `receive` will tell."""
        with suppress(OSError):
            self.connection.send(what)

    def receive(self) -> Message:
        """What it says next; blocks."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return Died(self._process.exitcode or 0)
        return message

    def end(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def receive_any(workers: list[Worker]) -> list[tuple[Worker, Message]]:
    """Wait until one of them has something to say."""
    by_connection = {worker.connection: worker for worker in workers}
    ready = wait(list(by_connection))
    return [(by_connection[each], by_connection[each].receive()) for each in ready if isinstance(each, Connection)]


def _serve(connection: Connection, make: Callable[[], Objective]) -> None:
    """Try values until the other side hangs up."""
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            objective = make()
        except BakeoffError as error:
            connection.send(Refused(str(error)))
            return
        connection.send(Ready())
        while True:
            connection.send(_try(objective, connection.recv(), connection))


def _try(objective: Objective, values: Mapping[str, Any], connection: Connection) -> Message:
    def report(epoch: int, score: float) -> None:
        connection.send(Reached(epoch, score))
        if not connection.recv():
            raise Stop

    try:
        return Finished(*objective(values, report))
    except Stop:
        return Stopped()
    # Too large for the memory, singular, not allowed beside the other values: such settings fail, others may not.
    except (BakeoffError, ArithmeticError, MemoryError, ValueError) as error:
        return Failed(str(error).strip() or type(error).__name__)
