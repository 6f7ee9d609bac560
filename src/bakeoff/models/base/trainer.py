"""The interface of models that are trained in epochs, and how long their epochs wait for input."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from bakeoff.models.base.retriever import TrainedRetriever

T = TypeVar("T")


class Trainer(Protocol):
    """A model in training, which can be put down and taken up again."""

    def run_epoch(self) -> float:
        """Train one epoch; its mean loss."""

    def retriever(self) -> TrainedRetriever:
        """The model as it stands; valid until the next epoch."""

    @property
    def num_parameters(self) -> int:
        """Trained weights."""

    def settings(self) -> dict[str, Any]:
        """Parameters that were in force, as JSON values."""

    def notes(self) -> dict[str, float]:
        """Figures about the training that a report may show."""

    def state(self) -> dict[str, NDArray[Any]]:
        """All that changes from epoch to epoch: weights, moments of the optimizer, random generators, counts."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on as the trainer of which this is the state would have: same weights, same draws, same bytes.

        Args:
            state: of a trainer that was built alike; this one is fresh.
        """


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
