"""The interfaces that every model fills: queries and items in the same space, score = dot product."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries, has_order
from bakeoff.core.parameters import Frozen

Section = TypeVar("Section", bound=Frozen)

NEGLIGIBLE = 1e-20
"""Of a weight."""


class Retriever(Protocol):
    """Ranks a catalogue of `num_items` items for any block of queries by dot product."""

    @property
    def item_embeddings(self) -> NDArray[np.float32]:
        """[num_items, dim], row j is the embedding of the item with index j."""

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[len(queries), dim], one query embedding per query."""

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """[len(queries)], where the model itself has no answer and its stated fallback answers instead."""


class TrainedRetriever(Retriever, Protocol):
    """A retriever that training made, and that can be stored."""

    @property
    def fallback(self) -> str | None:
        """A sentence on what answers where the model has no answer of its own; None if it always has one."""

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All arrays that its spec's `load` needs, by name."""


class ArraysRetriever:
    """Base of retrievers whose attributes that are arrays are all that is stored of them.

    Their stated fallback answers where the history is empty.
    """

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """Where the history is empty."""
        return np.asarray(queries.histories.lengths == 0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By the names of the attributes."""
        return {name: values for name, values in vars(self).items() if isinstance(values, np.ndarray)}


@dataclass(frozen=True)
class Fitted:
    """A model that was fitted once.

    Attributes:
        retriever: the model.
        num_parameters: its weights.
        summary: what was fitted, in a line for the terminal.
        settings: parameters that were in force, as JSON values.
        notes: figures about the fit that a report may show.
    """

    retriever: TrainedRetriever
    num_parameters: int
    summary: str
    settings: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)


class Trainer(Protocol):
    """A model in training, epoch by epoch, whose state can be saved and restored.

    Attributes:
        keeps_weights: whether `weights` will be asked for; to be set before the first epoch, since a model may have to
            keep more for it than for the training alone.
    """

    keeps_weights: bool

    def run_epoch(self) -> float:
        """Train one epoch; its mean loss."""

    def retriever(self) -> TrainedRetriever:
        """The model after the epochs so far; valid until the next one."""

    @property
    def num_parameters(self) -> int:
        """Trained weights."""

    def settings(self) -> dict[str, Any]:
        """Parameters that were in force, as JSON values."""

    def notes(self) -> dict[str, float]:
        """Figures about the training that a report may show."""

    def weights(self) -> dict[str, NDArray[Any]]:
        """Copies of the trained weights by name, without moments of the optimizer: what a warm start takes over.

        Only of models whose spec says `starts_warm`, with `keeps_weights`, after an epoch.
        """

    def state(self) -> dict[str, NDArray[Any]]:
        """All that changes from epoch to epoch: weights, moments of the optimizer, random generators, counts."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue a fresh trainer from the state of another: same weights, same draws, same bytes.

        Args:
            state: of a trainer that was built with the same arguments.
        """


def without_order(section: Section, histories: Histories, **orderless: Any) -> Section:
    """The settings that are in force for these histories.

    Args:
        section: as given.
        histories: what is trained on.
        orderless: values of the settings that depend on the order of events, for data whose events have no time, or
            all the same one.
    """
    return section if has_order(histories.timestamps) else section.model_copy(update=orderless)


def recency_weights(histories: Histories, scale: float | None) -> NDArray[np.float32]:
    """Weight of each event in a query: exp(−l/τ) for the event at lag l (0 is the last one), or 1.

    A weight below NEGLIGIBLE is 0: next to the last event's 1 it is lost in rounding, and processors take a hundred
    times as long for products too small for a float32's full precision.

    Args:
        histories: of the queries.
        scale: τ > 0; None: all events weigh the same.

    Returns:
        float32 [nnz].
    """
    if scale is None:
        return np.ones(len(histories.items), np.float32)
    lag = np.repeat(histories.lengths - 1, histories.lengths) - histories.position
    weights = np.exp(-lag.astype(np.float32) / np.float32(scale))
    return np.where(weights < NEGLIGIBLE, np.float32(0), weights)
