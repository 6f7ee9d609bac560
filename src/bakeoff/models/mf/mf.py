"""Matrix factorisation: users are folded in from their history; training is implicit ALS, here or by Spark."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.retriever import ArraysRetriever, recency_weights, without_order
from bakeoff.models.base.start import FIT_IN_FULL, Start, StartError, rows_of
from bakeoff.models.base.storage import StoredModel
from bakeoff.models.mf import kernels
from bakeoff.models.mf.als import ROWS_PER_SHARE, ImplicitALS, ridge, row_threads, share
from bakeoff.models.mf.spec import MFParams

if TYPE_CHECKING:
    from bakeoff.models.mf.mllib import MLlibALS

ORDERLESS = {"recency_scale": None, "window": None}
"""Settings where events have no time."""

STATE = ("user_embeddings", "item_embeddings", "item_spectrum")
"""What an epoch changes in ImplicitALS and in MLlibALS."""


Factorise = Callable[[Histories, int, MFParams, int], "ImplicitALS | MLlibALS"]
"""Histories, number of items, settings and seed → factors in training."""


@dataclass(frozen=True, eq=False)
class MFRetriever(ArraysRetriever):
    """Fold-in: the query embedding is the least-squares optimum of a history against fixed item embeddings.

    ALS ends with the users' half of an epoch, so with equal weights folding a row of training in gives the
    embedding that training gave, or the optimum that training came close to where it took a few steps of conjugate
    gradient; recency weights then move it towards the last items. Without a history there is no equation to solve:
    the mean user embedding answers instead.

    Attributes:
        item_embeddings: float32 [n, d], in the eigenbasis of their Gramian.
        spectrum: float32 [d], the diagonal of that Gramian.
        mean_user: float32 [d], mean of the trained users' embeddings.
        params: settings that were in force in training.
    """

    item_embeddings: NDArray[np.float32]
    spectrum: NDArray[np.float32]
    mean_user: NDArray[np.float32]
    params: MFParams

    fallback = "A user without history gets the mean of all users' embeddings; with mf.window, of all windows'."

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[len(queries), d]; features and times have no place in MF."""
        histories, p = queries.histories, self.params
        weights = recency_weights(histories, p.recency_scale)
        embeddings = np.tile(self.mean_user, (len(queries), 1))
        totals = np.bincount(histories.rows, weights=weights, minlength=len(queries))
        dense = (self.spectrum * np.float32(p.unobserved_weight), ridge(totals, len(self.item_embeddings), p))
        given = (histories.offsets, histories.items, self.item_embeddings, *dense, np.sqrt(weights))
        found = (embeddings, np.empty(len(queries)))
        order = np.argsort(-histories.lengths, kind="stable")
        rows = order[: np.count_nonzero(histories.lengths)]
        if len(rows) <= ROWS_PER_SHARE:
            kernels.solve_cholesky(rows, *given, *found)
        else:
            with row_threads() as pool:
                share(pool, lambda some: kernels.solve_cholesky(some, *given, *found), rows)
        return embeddings


def load(stored: StoredModel) -> MFRetriever:
    """The retriever that was stored."""
    arrays, params = stored.arrays, MFParams.model_validate(stored.settings)
    return MFRetriever(arrays["item_embeddings"], arrays["spectrum"], arrays["mean_user"], params)


class MFTrainer:
    """Implicit ALS over the users that have a history."""

    def __init__(
        self, histories: Histories, num_items: int, params: MFParams, seed: int, factorise: Factorise = ImplicitALS
    ) -> None:
        """Lay out the pairs for ImplicitALS, or for another implementation that `factorise` names.

        Where no event has a time, the order of a history says nothing: recency then plays no part in fold-in, and
        windows none in training.
        """
        self._params = params = without_order(params, histories, ORDERLESS)
        self._als = factorise(histories.windows(params.window), num_items, params, seed)

    def run_epoch(self) -> float:
        """Solve both sides once; loss per observed pair."""
        return self._als.run_epoch()

    def retriever(self) -> MFRetriever:
        """Fold-in against a copy of the item embeddings."""
        items, spectrum = self._als.item_embeddings.copy(), self._als.item_spectrum.copy()
        return MFRetriever(items, spectrum, self._als.user_embeddings.mean(axis=0), self._params)

    def weights(self) -> dict[str, NDArray[Any]]:
        """The items' embeddings: users follow from them."""
        return {"item_embeddings": np.array(self._als.item_embeddings)}

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the rest of the training depends on, as copies."""
        return {name: np.array(getattr(self._als, name)) for name in STATE}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue from `state()` of a trainer of the same histories and settings, to the same bytes."""
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
    prepared: Prepared,
    queries: Queries,
    section: MFParams,
    seed: int,
    factorise: Factorise = ImplicitALS,
    start: Start | None = None,
) -> MFTrainer:
    """A fresh trainer on the histories of these queries; without `factorise`, in this process whatever the solver.

    A new item starts at 0, as one without events: users are solved without it, then the first epoch folds it in.

    Raises:
        StartError: the model to start from has another dimension, or Spark trains, which takes no start.
    """
    histories, dislikes = queries.histories, prepared.trained_dislikes
    if dislikes is not None:
        ones = np.ones(len(histories.items), np.float32)
        histories = (histories if histories.weights is not None else replace(histories, weights=ones)).merged(dislikes)
    if start is None:
        return MFTrainer(histories, prepared.num_items, section, seed, factorise)
    if factorise is not ImplicitALS:
        raise StartError(f"Spark's ALS (mf.solver: mllib) can't start from an earlier model. {FIT_IN_FULL}")
    zeros = np.zeros((prepared.num_items, section.dim), np.float32)
    items = start.take("item_embeddings", zeros, rows_of(start.item_ids, prepared.item_ids))
    return MFTrainer(histories, prepared.num_items, section, seed, partial(ImplicitALS, start=items))
