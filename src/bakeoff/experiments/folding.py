"""Folding: how far a model's scores claim more relatedness than there is (Xin et al., RecSys 2017).

Groups of items that never occur together in training may land on top of each other in the embedding space; users are
then recommended items of unrelated groups. Recall hardly shows it: positives do not score too low, unrelated items
score too high. A score s_ui and the relatedness r_ui of user u and item i, both in [0, 1], are compared pair by
pair. Where no groups are known, relatedness is read from an ALS fit that can't fold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from bakeoff.core.histories import PAD, Histories
from bakeoff.evaluation.metrics.formulas import FloatArray, divide
from bakeoff.evaluation.ranking import rank
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.models.base.retriever import Retriever
from bakeoff.models.mf.als import ImplicitALS
from bakeoff.models.mf.spec import MFParams

THRESHOLD = 0.5
"""τ: an item below it looks more like a random item than like one of the user's own, if both were equally frequent.
It follows from the definition of relatedness; nothing was fitted to it."""

CALIBRATION_PAIRS = 100_000
"""Positives that scores are calibrated on, each with a random item for the same user; all positives if fewer."""

CUTOFF = 10
"""k of spurious@k."""

SCORES_PER_BLOCK = 1 << 22
"""Scores of a block of users: 16 MiB of float32; a handful of such arrays is in memory at once."""

SAMPLED_USERS = 500
"""Users whose folding is measured."""

USERS_PER_BLOCK = 1 << 12
"""Users whose lists are looked at at once: the embeddings of their items take 10 MB with 64 dimensions."""


PairScores = Callable[[NDArray[np.integer[Any]], NDArray[np.integer[Any]]], NDArray[np.floating[Any]]]
"""Rows [p] and items [p] → scores [p]."""


@dataclass(frozen=True)
class Calibration:
    """A non-decreasing map of scores to [0, 1]: linear between its knots, constant beyond them.

    Attributes:
        scores: float64 [m], ascending and distinct.
        values: float64 [m] in [0, 1], non-decreasing, what each of these scores is worth; NaN where there was nothing
            to learn from.
    """

    scores: FloatArray
    values: FloatArray

    def __call__(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Scores of any shape, calibrated; NaN where there was nothing to learn from."""
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
        return Calibration(np.zeros(1), np.full(1, np.nan))
    both = np.concatenate([positives, random]).astype(np.float64)
    scores, place = np.unique(both, return_inverse=True)
    is_positive = np.arange(len(both)) < len(positives)
    hits = np.bincount(place[is_positive], minlength=len(scores)) / len(positives)
    weights = hits + np.bincount(place[~is_positive], minlength=len(scores)) / len(random)
    fit = isotonic_regression(hits / weights, weights=weights)
    # A block of equal values is described by its two ends.
    knots = np.unique(np.concatenate([fit.blocks[:-1], fit.blocks[1:] - 1]))
    return Calibration(scores[knots], np.clip(fit.x[knots], 0.0, 1.0))


@dataclass(frozen=True)
class Relatedness:
    """r_ui in [0, 1] of users and items, see `fit_relatedness`.

    Attributes:
        user_embeddings: float32 [num_users, d].
        item_embeddings: float32 [num_items, d].
        calibration: maps dot products to [0, 1].
        threshold: τ, below which an item of a list is spurious.
    """

    user_embeddings: NDArray[np.float32]
    item_embeddings: NDArray[np.float32]
    calibration: Calibration
    threshold: float = THRESHOLD

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Relatedness of the users in these rows to all items, [len(rows), num_items] in [0, 1]."""
        return self.calibration(self.user_embeddings[rows] @ self.item_embeddings.T)

    def spurious_at_k(self, items: NDArray[np.int32], rows: NDArray[np.integer], k: int) -> FloatArray:
        """Spurious@k per user, [n] in [0, 1]: share of the list that is less related to the user than τ.

        Args:
            items: int32 [n, length], lists, best first, PAD where shorter; no other pair is looked at.
            rows: [n], row of each list's user.
            k: only the first k count.

        Returns:
            NaN where the list is empty.
        """
        share = np.empty(len(rows))
        for start in range(0, len(rows), USERS_PER_BLOCK):
            part = slice(start, start + USERS_PER_BLOCK)
            listed = items[part, :k]
            scores = np.einsum("nd,nkd->nk", self.user_embeddings[rows[part]], self.item_embeddings[listed])
            share[part] = _share_of_list(listed, self.calibration(scores) < self.threshold)
        return share


def fit_relatedness(histories: Histories, num_items: int, mf: MFParams, weight: float, seed: int) -> Relatedness:
    """Fit ALS with a high weight on unobserved pairs and calibrate its scores.

    With that weight every unobserved pair is pulled to 0, so that unrelated users and items can't end up close (Xin et
    al. 2017). Embeddings shrink by about √α₀ and λ_u grows with α₀^ν, so λ is divided by α₀^ν where α₀ > 1; otherwise
    only popularity would be left. The fit is a matrix factorisation like one of the contenders and therefore favours
    it: read every figure based on it together with folding on planted groups, where relatedness is known.

    Args:
        histories: known events of each user; rows without events are equally related to everything.
        num_items: n.
        mf: all other settings.
        weight: α₀ of an unobserved pair, for example 10.
        seed: of the fit and of the pairs that it is calibrated on.
    """
    regularization = mf.regularization / max(weight, 1.0) ** mf.regularization_exponent
    # Windows of histories would be its rows, in place of users.
    changed = {"unobserved_weight": weight, "regularization": regularization, "window": None}
    settings = mf.model_copy(update=changed)
    als = ImplicitALS(histories, num_items, settings, seed)
    for _ in range(mf.max_epochs):
        als.run_epoch()
    scores = dot_products(als.user_embeddings, als.item_embeddings)
    calibration = calibrate_on_pairs(scores, histories, num_items, np.random.default_rng(seed))
    return Relatedness(als.user_embeddings, als.item_embeddings, calibration)


def dot_products(queries: NDArray[np.float32], items: NDArray[np.float32]) -> PairScores:
    """Scores of pairs, computed from embeddings [n, d] and [num_items, d]."""
    return lambda rows, columns: np.asarray(np.einsum("pd,pd->p", queries[rows], items[columns]))


def calibrate_on_pairs(
    scores: PairScores, histories: Histories, num_items: int, rng: np.random.Generator
) -> Calibration:
    """Calibrate scores on known pairs, each with a random item for the same user.

    Args:
        scores: of the model.
        histories: known events of the users that `scores` takes as rows.
        num_items: n.
        rng: draws the known pairs, where there are more than CALIBRATION_PAIRS, and the random items.
    """
    rows, items = sampled_positives(histories, CALIBRATION_PAIRS, rng)
    others = rng.integers(0, max(num_items, 1), len(items))
    return calibrate(scores(rows, items), scores(rows, others))


def sampled_positives(
    histories: Histories, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Row and item of at most `count` events, drawn without replacement; all of them, in order, if there are fewer."""
    if len(histories.items) <= count:
        return histories.rows, histories.items
    chosen = np.sort(rng.choice(len(histories.items), count, replace=False))
    return np.searchsorted(histories.offsets, chosen, "right") - 1, histories.items[chosen]


def model_folding(
    retriever: Retriever, eval_set: EvalSet, relatedness: Relatedness, num_users: int = SAMPLED_USERS, seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Folding and spurious@10 of each of a sample of users.

    Folding is the mean over all items of the catalogue, including those that a user has seen; lists exclude these. The
    model's scores are calibrated on the seen items of the same users against random ones.

    Args:
        retriever: the model.
        eval_set: n queries, with the histories that the model was trained on.
        relatedness: of all users and items.
        num_users: size of the sample, at most; the same users for every model with the same seed.
        seed: of the sample and of the random pairs.

    Returns:
        `folding` and `spurious@10`, float64 [n] in [0, 1]; NaN where a query is not in the sample, and spurious@10
        where its list is empty.

    Raises:
        BakeoffError: the model's embeddings are not finite.
    """
    rng, num_queries = np.random.default_rng(seed), len(eval_set)
    sample = np.sort(rng.choice(num_queries, min(num_users, num_queries), replace=False))
    sampled, users = eval_set.queries.take(sample), eval_set.users[sample]
    items = retriever.item_embeddings
    size = max(1, SCORES_PER_BLOCK // max(len(items), 1))
    lists = rank(retriever, sampled, sampled.histories, sampled.histories.first(0), CUTOFF, size)  # checks embeddings
    embedded = retriever.embed_queries(sampled)
    calibration = calibrate_on_pairs(dot_products(embedded, items), sampled.histories, len(items), rng)
    folding, spurious = np.full(num_queries, np.nan), np.full(num_queries, np.nan)
    spurious[sample] = relatedness.spurious_at_k(lists.items, users, CUTOFF)
    for start in range(0, len(sampled), size):
        part = slice(start, start + size)
        scores = calibration(embedded[part] @ items.T)
        folding[sample[part]] = folding_per_user(scores, relatedness.of(users[part]))
    return {"folding": folding, f"spurious@{CUTOFF}": spurious}


def folding_per_user(scores: NDArray[np.floating[Any]], relatedness: NDArray[np.floating[Any]]) -> FloatArray:
    """Folding of each user, [n] in [0, 1]: mean of max(0, s_ui − r_ui) over the catalogue; NaN if it is empty.

    The mean over users is the folding of a model, 1/(m n) Σ_{u,i} max(0, s_ui − r_ui) (Xin et al. 2017).

    Args:
        scores: [n, num_items] in [0, 1], calibrated.
        relatedness: [n, num_items] in [0, 1].
    """
    excess = np.maximum(scores - relatedness, 0.0)
    return divide(excess.sum(axis=1, dtype=np.float64), np.full(len(excess), excess.shape[1]))


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
