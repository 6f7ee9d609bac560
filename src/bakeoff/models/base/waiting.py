"""How long a training waits for its input."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Waiting:
    """Seconds of a training's epochs, and those of them that it waited for batches."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.waited = 0.0
        self.total = 0.0

    def over(self, batches: Iterable[T]) -> Iterator[T]:
        """The batches, timed: what passes until the next one is there was waited for, the rest is work."""
        begun = time.perf_counter()
        source = iter(batches)
        asked = begun
        for batch in source:
            self.waited += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()
        ended = time.perf_counter()
        self.waited += ended - asked
        self.total += ended - begun


def share_of(waits: Iterable[Waiting]) -> float | None:
    """Share of the time of these trainings that they waited; None where no epoch was timed."""
    timed = list(waits)
    total = sum(wait.total for wait in timed)
    return sum(wait.waited for wait in timed) / total if total > 0 else None
