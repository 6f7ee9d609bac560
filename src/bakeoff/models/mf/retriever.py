"""Trained matrix factorisation: users are folded in from their history."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bakeoff.core.histories import Queries
from bakeoff.models.base.retriever import recency_weights
from bakeoff.models.base.storage import Stored
from bakeoff.models.mf import kernels
from bakeoff.models.mf.als import ridge
from bakeoff.models.mf.blocks import ROWS_PER_SHARE, Blocks
from bakeoff.models.mf.params import MFParams


class MFRetriever:
    """Fold-in: the query embedding is the least-squares optimum of a history against fixed item embeddings.

    ALS ends with the users' half of an epoch, so with equal weights folding a row of training in gives the
    embedding that training gave, or the optimum that training came close to where it took a few steps of conjugate
    gradient; recency weights then move it towards the last items. Without a history there is no equation to solve:
    the mean user embedding answers instead.
    """

    fallback = "A user without history gets the mean of all users' embeddings; with mf.window, of all windows'."

    def __init__(
        self,
        item_embeddings: NDArray[np.float32],
        spectrum: NDArray[np.float32],
        mean_user: NDArray[np.float32],
        params: MFParams,
    ) -> None:
        """Take what fold-in needs.

        Args:
            item_embeddings: float32 [n, d], in the eigenbasis of their Gramian.
            spectrum: float32 [d], the diagonal of that Gramian.
            mean_user: float32 [d], mean of the trained users' embeddings.
            params: settings that were in force in training.
        """
        self.item_embeddings, self._spectrum, self._mean_user = item_embeddings, spectrum, mean_user
        self.params = params
        self._blas = ThreadpoolController()

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[len(queries), d]; features and times have no place in MF."""
        histories, p = queries.histories, self.params
        weights = recency_weights(histories, p.recency_scale)
        embeddings = np.tile(self._mean_user, (len(queries), 1))
        totals = np.bincount(histories.rows, weights=weights, minlength=len(queries))
        given = (histories.offsets, histories.items, np.sqrt(weights), self.item_embeddings)
        dense = (self._spectrum * np.float32(p.unobserved_weight), ridge(totals, len(self.item_embeddings), p))
        order = np.argsort(-histories.lengths, kind="stable")
        rows = order[: np.count_nonzero(histories.lengths)]
        if len(rows) <= ROWS_PER_SHARE:
            kernels.fold_in(rows, *given, *dense, embeddings)
        else:
            with Blocks.running(self._blas) as blocks:
                blocks.share(lambda some: kernels.fold_in(some, *given, *dense, embeddings), rows)
        return embeddings

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """Where the history is empty."""
        return np.asarray(queries.histories.lengths == 0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Item embeddings, their Gramian's diagonal and the mean trained user."""
        return {"item_embeddings": self.item_embeddings, "spectrum": self._spectrum, "mean_user": self._mean_user}


def load(stored: Stored) -> MFRetriever:
    """The retriever that was stored."""
    params = MFParams.model_validate(stored.settings)
    arrays = stored.arrays
    return MFRetriever(arrays["item_embeddings"], arrays["spectrum"], arrays["mean_user"], params)
