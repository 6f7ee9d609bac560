"""Trained matrix factorisation as an encoder: users are folded in from their history."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.models.base.encoder import HISTORY_SIGNATURE, QUERY_SIGNATURE, recency_weights
from bakeoff.models.base.tensorflow import graph, tf
from bakeoff.models.mf.fold_in import solve
from bakeoff.models.mf.params import MFParams


class MFEncoder(tf.Module):
    """Fold-in: the query embedding is the least-squares optimum of a history against fixed item embeddings.

    ALS ends with the users' half of an epoch, so with equal weights folding a row of training in gives the
    embedding that training gave, or the optimum that training came close to where it took a few steps of conjugate
    gradient; recency weights then move it towards the last items. Without a history there is no equation to solve:
    the mean user embedding answers instead.
    """

    FALLBACK = "A user without history gets the mean of all users' embeddings; with mf.window, of all windows'."

    def __init__(self, num_items: int, params: MFParams) -> None:
        """Make room for what fold-in needs: item embeddings, their Gramian's diagonal and the mean trained user."""
        super().__init__(name="mf")
        shapes = {
            "item_embeddings": (num_items, params.dim),
            "spectrum": (params.dim,),
            "mean_user": (params.dim,),
        }
        self.item_embeddings, self._spectrum, self._mean_user = (
            tf.Variable(tf.zeros(shape), trainable=False, name=name) for name, shape in shapes.items()
        )
        self._params = params

    def refresh(
        self,
        item_embeddings: NDArray[np.float32],
        item_spectrum: NDArray[np.float32],
        user_embeddings: NDArray[np.float32],
    ) -> None:
        """Follow the factors after more training; see ImplicitALS for what they are."""
        self.item_embeddings.assign(item_embeddings)
        self._spectrum.assign(item_spectrum)
        self._mean_user.assign(user_embeddings.mean(axis=0))

    @graph(input_signature=QUERY_SIGNATURE)
    def embed_queries(self, history: Any, timestamps: Any, dense: Any, categorical: Any) -> Any:
        """Query embeddings float32 [B, d]; features and times have no place in MF."""
        p = self._params
        weights = recency_weights(history, p.recency_scale)
        base = tf.reduce_sum(weights, axis=1) + p.unobserved_weight * self.item_embeddings.shape[0]
        ridge = p.regularization * base**p.regularization_exponent
        # Without history and with α₀ = 0 there is no ridge either; that row's solution is not used.
        ridge = tf.where(self.uses_fallback(history), 1.0, ridge)
        embeddings = solve(history, weights, self.item_embeddings, p.unobserved_weight * self._spectrum, ridge)
        return tf.where(self.uses_fallback(history)[:, tf.newaxis], self._mean_user, embeddings)

    @graph(input_signature=HISTORY_SIGNATURE)
    def uses_fallback(self, history: Any) -> Any:
        """Where the history is empty."""
        return tf.reduce_all(history < 0, axis=1)
