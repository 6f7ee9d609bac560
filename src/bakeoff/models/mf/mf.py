"""Matrix factorisation: users are folded in from their history; what every way of training it has in common."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.core.processes import own_threads
from bakeoff.models.base.retriever import ArraysRetriever, recency_weights, without_order
from bakeoff.models.base.storage import StoredModel
from bakeoff.models.mf import kernels
from bakeoff.models.mf.spec import MFParams

STATE = ("user_embeddings", "item_embeddings", "item_spectrum", "previous_items")
"""What an epoch changes."""

WEIGHTS = ("item_embeddings", "previous_items")
"""What a warm start takes over."""

ROWS_PER_SHARE = 256
"""Rows that a thread solves before it takes the next share, on average."""


def share(pool: ThreadPoolExecutor, task: Callable[[NDArray[np.int64]], None], rows: NDArray[np.int64]) -> None:
    """Run a task on rows, longest first, dealt to as many shares as keep all threads busy to the end.

    An error in one of them is raised here. No result depends on the number of threads.
    """
    num_shares = -(-len(rows) // ROWS_PER_SHARE)
    list(pool.map(task, [rows[start::num_shares] for start in range(num_shares)]))


def ridge(frequencies: NDArray[Any], other_size: int, params: MFParams) -> NDArray[np.float32]:
    """λ_u, float32 [n], of rows whose pairs have these weights in all, and a side of that size across."""
    base = frequencies + params.unobserved_weight * other_size
    return (params.regularization * base**params.regularization_exponent).astype(np.float32)


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
            with own_threads() as pool:
                share(pool, lambda some: kernels.solve_cholesky(some, *given, *found), rows)
        return embeddings


def load(stored: StoredModel) -> MFRetriever:
    """The retriever that was stored."""
    return MFRetriever(**stored.arrays, params=MFParams.model_validate(stored.settings))


class MFTrainer:
    """Factors in training, over the rows of histories; a subclass says how an epoch changes them.

    Attributes:
        user_embeddings: float32 [rows, d], 0 where a row has no pair.
        item_embeddings: float32 [num_items, d], in the eigenbasis of their own Gramian; 0 where an item has no pair.
        item_spectrum: float32 [d], the diagonal of that Gramian.
        previous_items: as item_embeddings, before the last epoch; None before the first, without `keeps_weights`, and
            where MLlib trains, which tells nothing of its iterations.
        keeps_weights: see `Trainer`.
    """

    keeps_weights = False
    previous_items: NDArray[np.float32] | None = None

    def __init__(self, histories: Histories, num_items: int, params: MFParams) -> None:
        """Start at 0.

        Where times don't differ, the order of a history says nothing: recency then plays no part in fold-in, and
        windows none in training.
        """
        self._params = params = without_order(params, histories, recency_scale=None, window=None)
        self._histories = histories.windows(params.window)
        self.user_embeddings = np.zeros((len(self._histories), params.dim), np.float32)
        self.item_embeddings = np.zeros((num_items, params.dim), np.float32)
        self.item_spectrum = np.zeros(params.dim, np.float32)

    def retriever(self) -> MFRetriever:
        """Fold-in against a copy of the item embeddings."""
        items, spectrum = self.item_embeddings.copy(), self.item_spectrum.copy()
        return MFRetriever(items, spectrum, self.user_embeddings.mean(axis=0), self._params)

    def weights(self) -> dict[str, NDArray[Any]]:
        """The items' embeddings, from which users follow, after the last epoch and before it."""
        return self._copies(WEIGHTS)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the rest of the training depends on, as copies."""
        return self._copies(STATE)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue from `state()` of a trainer of the same histories and settings, to the same bytes."""
        for name in state:
            setattr(self, name, np.array(state[name]))

    def _copies(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Of those that there are."""
        return {name: np.array(each) for name in names if (each := getattr(self, name)) is not None}

    @property
    def num_parameters(self) -> int:
        """Entries of both embedding tables."""
        return int(self.item_embeddings.size + self.user_embeddings.size)

    def settings(self) -> dict[str, Any]:
        """Those that were given, but for an order that the data cannot have."""
        return self._params.model_dump(mode="json")

    def notes(self) -> dict[str, float]:
        """Nothing beyond the curves."""
        return {}
