"""Folding: how far a model's scores claim more relatedness than there is (Xin et al., RecSys 2017).

Groups of items that never occur together in training may land on top of each other in the embedding space; users are
then recommended items of unrelated groups. Recall hardly shows it: positives do not score too low, unrelated items
score too high. A score s_ui and the relatedness r_ui of user u and item i, both in [0, 1], are compared pair by
pair.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from bakeoff.core.histories import PAD
from bakeoff.evaluation.metrics.formulas import divide

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A non-decreasing map of scores to [0, 1]: linear between its knots, constant beyond them.

    Attributes:
        scores: float64 [m], ascending and distinct; empty where there was nothing to learn from.
        values: float64 [m] in [0, 1], non-decreasing, what each of these scores is worth.
    """

    scores: FloatArray
    values: FloatArray

    def __call__(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Scores of any shape, calibrated; NaN where there was nothing to learn from."""
        if len(self.scores) == 0:
            return np.full(np.shape(scores), np.nan, np.float32)
        return np.asarray(np.interp(scores, self.scores, self.values), np.float32)


def calibrate(positives: NDArray[np.floating[Any]], random: NDArray[np.floating[Any]]) -> Calibration:
    """Map scores to the chance that a pair is a positive and not a random pair, were both as frequent.

    With f and g the frequencies of a score among positives and among random pairs the chance is f / (f + g); isotonic
    regression (pool adjacent violators) makes it non-decreasing. So the scale of a model's scores does not matter: a
    score that says nothing maps to 1/2, wherever the model puts it. If all scores are equal, all map to 1/2; if all
    positives score above all random pairs, they map to 1 and 0.

    Args:
        positives: [p], scores of pairs that were trained on.
        random: [q], scores of pairs of the same users and random items, which may be positives.

    Returns:
        The map; it gives NaN if either of the two is empty.
    """
    if len(positives) == 0 or len(random) == 0:
        return Calibration(np.zeros(0), np.zeros(0))
    both = np.concatenate([positives, random]).astype(np.float64)
    scores, place = np.unique(both, return_inverse=True)
    is_positive = np.arange(len(both)) < len(positives)
    hits = np.bincount(place[is_positive], minlength=len(scores)) / len(positives)
    weights = hits + np.bincount(place[~is_positive], minlength=len(scores)) / len(random)
    fit = isotonic_regression(hits / weights, weights=weights)
    # A block of equal values is described by its two ends.
    knots = np.unique(np.concatenate([fit.blocks[:-1], fit.blocks[1:] - 1]))
    return Calibration(scores[knots], np.clip(fit.x[knots], 0.0, 1.0))


def folding_per_user(scores: NDArray[np.floating[Any]], relatedness: NDArray[np.floating[Any]]) -> FloatArray:
    """Folding of each user, [n] in [0, 1]: mean of max(0, s_ui − r_ui) over the catalogue; NaN if it is empty.

    The mean over users is the folding of a model, 1/(m n) Σ_{u,i} max(0, s_ui − r_ui) (Xin et al. 2017).

    Args:
        scores: [n, num_items] in [0, 1], calibrated.
        relatedness: [n, num_items] in [0, 1].
    """
    excess = np.maximum(scores - relatedness, 0.0)
    return divide(excess.sum(axis=1, dtype=np.float64), np.full(len(excess), excess.shape[1]))


def spurious_at_k(
    items: NDArray[np.int32], relatedness: NDArray[np.floating[Any]], k: int, threshold: float
) -> FloatArray:
    """Spurious@k per user, [n] in [0, 1]: share of the list that is less related to the user than τ.

    Args:
        items: int32 [n, length], lists, best first, PAD where shorter.
        relatedness: [n, num_items] in [0, 1].
        k: only the first k count.
        threshold: τ; an item at τ itself is related.

    Returns:
        NaN where the list is empty.
    """
    listed = items[:, :k]
    related = np.take_along_axis(relatedness, np.maximum(listed, 0).astype(np.int64), axis=1)
    return _share_of_list(listed, related < threshold)


def off_group_at_k(
    items: NDArray[np.int32], user_groups: NDArray[np.integer[Any]], item_groups: NDArray[np.integer[Any]], k: int
) -> FloatArray:
    """Off-group@k per user, [n] in [0, 1]: share of the list that is not of the user's group.

    Args:
        items: int32 [n, length], lists, best first, PAD where shorter.
        user_groups: [n], group of each user.
        item_groups: [num_items], group of each item.
        k: only the first k count.

    Returns:
        NaN where the list is empty.
    """
    listed = items[:, :k]
    return _share_of_list(listed, item_groups[np.maximum(listed, 0)] != user_groups[:, np.newaxis])


def _share_of_list(listed: NDArray[np.int32], counted: NDArray[np.bool_]) -> FloatArray:
    there = listed != PAD
    return divide((counted & there).sum(axis=1), there.sum(axis=1))
