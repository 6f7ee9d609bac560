"""One way to train every contender: choose the epoch on validation, then refit on everything known."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from bakeoff.models.base.retriever import TrainedRetriever

Progress = Callable[[range, str], Iterable[int]]
"""Wraps a range of epochs under a title, for example in a progress bar."""

Row = dict[str, float]
"""An epoch of a curve: `epoch`, `loss` and, where the epoch is chosen, the validation metrics (named `valid_…`)."""

AfterEpoch = Callable[[list[Row]], None]
"""Told the curve so far after each epoch. What it raises ends the training: that is how a search cuts it short."""


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


@dataclass(frozen=True)
class Selection:
    """What choosing the epoch found.

    Attributes:
        epoch: the chosen one, counted from 1.
        curve: a row per epoch.
    """

    epoch: int
    curve: list[Row] = field(default_factory=list)


def _nothing(curve: list[Row]) -> None:
    pass


def choose_epoch(
    trainer: Trainer,
    validate: Callable[[TrainedRetriever], Mapping[str, float]],
    metric: str,
    max_epochs: int,
    progress: Progress,
    *,
    before: Sequence[Row] = (),
    after_epoch: AfterEpoch = _nothing,
) -> Selection:
    """Train for max_epochs and find the first epoch with the best validation metric.

    Args:
        trainer: on the train part alone; fresh, or restored to where `before` ends.
        validate: metrics of a retriever on the validation part.
        metric: the one that decides; higher is better.
        max_epochs: every epoch is tried: a learning-rate schedule that ends there must not be cut short.
        progress: shows the epochs passing.
        before: rows of the epochs that this trainer has behind it.
        after_epoch: told the curve so far after each epoch.
    """
    curve = list(before)
    for epoch in progress(range(len(curve) + 1, max_epochs + 1), "choosing the epoch on validation"):
        loss = trainer.run_epoch()
        scores = validate(trainer.retriever())
        curve.append({"epoch": epoch, "loss": loss, **{f"valid_{k}": float(v) for k, v in scores.items()}})
        after_epoch(curve)
    return best_epoch(curve, metric)


def best_epoch(curve: list[Row], metric: str) -> Selection:
    """The first epoch of a curve with the best validation metric."""
    best = max(curve, key=lambda row: row[f"valid_{metric}"])
    return Selection(int(best["epoch"]), curve)


def refit(
    trainer: Trainer,
    epochs: int,
    progress: Progress,
    *,
    before: Sequence[Row] = (),
    after_epoch: AfterEpoch = _nothing,
) -> list[Row]:
    """Train a trainer, on train and validation together, for the chosen number of epochs.

    Arguments are those of choose_epoch.

    Returns:
        per epoch `epoch` and `loss`.
    """
    curve = list(before)
    for epoch in progress(range(len(curve) + 1, epochs + 1), "refitting on train and validation"):
        curve.append({"epoch": epoch, "loss": trainer.run_epoch()})
        after_epoch(curve)
    return curve


def keep_best(
    trainer: Trainer, validate: Callable[[TrainedRetriever], float] | None, epochs: int, looks: int, progress: Progress
) -> tuple[int, list[tuple[float, float]]]:
    """Train through, and bring the first best of the epochs that were looked at back: no refit, no curve.

    Args:
        trainer: fresh.
        validate: metric of a retriever on the validation part, higher is better; None: the last epoch is kept.
        epochs: all are trained.
        looks: times that it is looked at, at most, evenly spread; the last epoch is among them.
        progress: shows the epochs passing.

    Returns:
        the epoch, counted from 1, and wall and CPU seconds of each epoch without the looks.
    """
    pace = math.ceil(epochs / looks)
    best, best_score = epochs, -math.inf
    seconds: list[tuple[float, float]] = []
    state: dict[str, NDArray[Any]] = {}
    for epoch in progress(range(1, epochs + 1), "training"):
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.run_epoch()
        seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
        if validate is None or (epoch % pace and epoch != epochs):
            continue
        score = validate(trainer.retriever())
        if score > best_score:
            best, best_score, state = epoch, score, trainer.state()
    if best != epochs:
        trainer.restore(state)
    return best, seconds


def silent(epochs: range, title: str) -> Iterable[int]:
    """No progress bar."""
    return epochs
