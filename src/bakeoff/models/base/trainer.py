"""The interface of models that are trained in epochs."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from bakeoff.models.base.retriever import TrainedRetriever


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
