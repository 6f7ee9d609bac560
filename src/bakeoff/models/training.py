"""One way to train every contender: choose the epoch on validation, then refit on everything known."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bakeoff.models.encoder import Encoder

Progress = Callable[[range, str], Iterable[int]]
"""Wraps a range of epochs under a title, for example in a progress bar."""


class Trainer(Protocol):
    """A model in training."""

    def run_epoch(self) -> float:
        """Train one epoch; its mean loss."""

    def encoder(self) -> Encoder:
        """The model as it stands."""

    @property
    def num_parameters(self) -> int:
        """Trained weights."""

    def settings(self) -> dict[str, Any]:
        """Parameters that were in force, as JSON values."""

    def notes(self) -> dict[str, float]:
        """Figures about the training that a report may show."""


@dataclass(frozen=True)
class Selection:
    """What choosing the epoch found.

    Attributes:
        epoch: the chosen one, counted from 1.
        curve: per epoch `epoch`, `loss` and the validation metrics (named `valid_…`).
    """

    epoch: int
    curve: list[dict[str, float]] = field(default_factory=list)


def choose_epoch(
    trainer: Trainer,
    validate: Callable[[Encoder], Mapping[str, float]],
    metric: str,
    max_epochs: int,
    progress: Progress,
) -> Selection:
    """Train for max_epochs and find the first epoch with the best validation metric.

    Args:
        trainer: fresh, on the train part alone.
        validate: metrics of an encoder on the validation part.
        metric: the one that decides; higher is better.
        max_epochs: every epoch is tried: a learning-rate schedule that ends there must not be cut short.
        progress: shows the epochs passing.
    """
    curve: list[dict[str, float]] = []
    for epoch in progress(range(1, max_epochs + 1), "choosing the epoch on validation"):
        loss = trainer.run_epoch()
        scores = validate(trainer.encoder())
        curve.append({"epoch": epoch, "loss": loss, **{f"valid_{k}": float(v) for k, v in scores.items()}})
    best = max(curve, key=lambda row: row[f"valid_{metric}"])
    return Selection(int(best["epoch"]), curve)


def refit(trainer: Trainer, epochs: int, progress: Progress) -> list[dict[str, float]]:
    """Train a fresh trainer, on train and validation together, for the chosen number of epochs.

    Returns:
        per epoch `epoch` and `loss`.
    """
    return [
        {"epoch": epoch, "loss": trainer.run_epoch()}
        for epoch in progress(range(1, epochs + 1), "refitting on train and validation")
    ]


def silent(epochs: range, title: str) -> Iterable[int]:
    """No progress bar."""
    return epochs


def seed_everything(seed: int) -> None:
    """Same seed, same bytes: seeds Python, NumPy and TensorFlow, and asks for deterministic kernels."""
    from bakeoff.models.tensorflow import tf

    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def count_weights(weights: Iterable[Any]) -> int:
    """Number of scalars in these weights."""
    return sum(int(weight.shape.num_elements()) for weight in weights)
