"""How related users and items are where no groups are known: read off an ALS fit that can't fold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.evaluation.folding import Calibration, calibrate
from bakeoff.models.mf.als import ImplicitALS
from bakeoff.models.mf.params import MFParams

THRESHOLD = 0.5
"""τ: less related than that is what looks more like a random pair than like one of the user's own, were both as
frequent. It follows from what relatedness means, and nothing was fitted to it."""

CALIBRATION_PAIRS = 100_000
"""Positives, each beside a random item for the same user, on which scores are calibrated; all positives if fewer."""


@dataclass(frozen=True)
class Relatedness:
    """r_ui in [0, 1] of users and items, see `fit_relatedness`.

    Attributes:
        user_embeddings: float32 [num_users, d].
        item_embeddings: float32 [num_items, d].
        calibration: brings the dot products to [0, 1].
        threshold: τ, below which an item of a list is spurious.
    """

    user_embeddings: NDArray[np.float32]
    item_embeddings: NDArray[np.float32]
    calibration: Calibration
    threshold: float = THRESHOLD

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Relatedness of the users in these rows to all items, [len(rows), num_items] in [0, 1]."""
        return self.calibration(self.user_embeddings[rows] @ self.item_embeddings.T)


def fit_relatedness(histories: Histories, num_items: int, mf: MFParams, weight: float, seed: int) -> Relatedness:
    """Fit ALS with a high weight on unobserved pairs and calibrate its scores.

    With that weight every pair that was not observed is pulled to 0, so that strangers can't end up close (Xin et al.
    2017). Embeddings shrink by about √α₀ meanwhile and λ_u grows with α₀^ν, so that λ is divided by α₀^ν where α₀ > 1:
    what is left would be mere popularity otherwise. It is a matrix factorisation like one of the contenders and
    therefore favours it: folding on planted groups, where relatedness is known, belongs beside every figure that rests
    on this one.

    Args:
        histories: what is known of each user; rows without an event are related to everything alike.
        num_items: n.
        mf: all other settings.
        weight: α₀ of an unobserved pair, for example 10.
        seed: of the fit and of the pairs that it is calibrated on.
    """
    regularization = mf.regularization / max(weight, 1.0) ** mf.regularization_exponent
    settings = mf.model_copy(update={"unobserved_weight": weight, "regularization": regularization})
    als = ImplicitALS(histories, num_items, settings, seed)
    for _ in range(mf.max_epochs):
        als.run_epoch()
    rng = np.random.default_rng(seed)
    rows, items = sampled_positives(histories, CALIBRATION_PAIRS, rng)
    others = rng.integers(0, max(num_items, 1), len(items))

    def scores(columns: NDArray[np.integer]) -> NDArray[np.float32]:
        return np.asarray(np.einsum("pd,pd->p", als.user_embeddings[rows], als.item_embeddings[columns]))

    return Relatedness(als.user_embeddings, als.item_embeddings, calibrate(scores(items), scores(others)))


def sampled_positives(
    histories: Histories, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Row and item of at most `count` events, drawn without replacement; all of them, in order, if there are fewer."""
    if len(histories.items) <= count:
        return histories.rows, histories.items
    chosen = np.sort(rng.choice(len(histories.items), count, replace=False))
    return np.searchsorted(histories.offsets, chosen, "right") - 1, histories.items[chosen]
