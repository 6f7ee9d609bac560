"""MF in training."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.retriever import without_order
from bakeoff.models.mf.als import ImplicitALS
from bakeoff.models.mf.mllib import MLlibALS
from bakeoff.models.mf.params import MFParams
from bakeoff.models.mf.retriever import MFRetriever

ORDERLESS = {"recency_scale": None, "window": None}
"""Settings where events have no time."""

STATE = ("user_embeddings", "item_embeddings", "item_spectrum")
"""What an epoch changes in ImplicitALS."""

Factorise = Callable[[Histories, int, MFParams, int], "ImplicitALS | MLlibALS"]
"""Histories, number of items, settings and seed → factors in training."""


class MFTrainer:
    """Implicit ALS over the users that have a history."""

    def __init__(
        self, histories: Histories, num_items: int, params: MFParams, seed: int, factorise: Factorise = ImplicitALS
    ) -> None:
        """Lay out the pairs; see ImplicitALS, in whose place `factorise` may put another implementation.

        Where no event has a time, the order of a history says nothing: recency then plays no part in fold-in, and
        windows none in training.
        """
        self._params = params = without_order(params, histories, ORDERLESS)
        self._als = factorise(histories.windows(params.window), num_items, params, seed)

    def run_epoch(self) -> float:
        """Solve both sides once; loss per observed pair."""
        return self._als.run_epoch()

    def retriever(self) -> MFRetriever:
        """Fold-in against a copy of the item embeddings as they stand."""
        als = self._als
        return MFRetriever(
            als.item_embeddings.copy(), als.item_spectrum.copy(), als.user_embeddings.mean(axis=0), self._params
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the rest of the training depends on, as copies."""
        return {name: np.array(getattr(self._als, name)) for name in STATE}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state()` of a trainer of the same histories and settings, to the same bytes as it would.

        Raises:
            BakeoffError: the state is of other histories or settings.
        """
        for name in STATE:
            found, expected = (None if name not in state else state[name].shape), getattr(self._als, name).shape
            if found != expected:
                raise BakeoffError(
                    f"The checkpoint of mf has {name} of shape {found} where {expected} is needed: it is of another "
                    "split or of other settings. Delete it, and train from the start."
                )
        for name in STATE:
            setattr(self._als, name, np.array(state[name]))

    @property
    def num_parameters(self) -> int:
        """Entries of both embedding tables."""
        return int(self._als.item_embeddings.size + self._als.user_embeddings.size)

    def settings(self) -> dict[str, Any]:
        """Those that were given, but for an order that the data cannot have."""
        return self._params.model_dump(mode="json")

    def notes(self) -> dict[str, float]:
        """Nothing beyond the curves."""
        return {}


def build(
    prepared: Prepared, queries: Queries, section: MFParams, seed: int, factorise: Factorise = ImplicitALS
) -> MFTrainer:
    """A fresh trainer on the histories of these queries; without `factorise`, in this process whatever the solver."""
    return MFTrainer(queries.histories, prepared.num_items, section, seed, factorise)
