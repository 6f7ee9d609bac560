"""Folding of a trained model where no groups are known: relatedness is read from an ALS fit that can't fold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.evaluation.folding import Calibration, calibrate, folding_per_user, spurious_at_k
from bakeoff.evaluation.ranking import rank
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
"""Scores of a block of users: 16 MiB of float32, of which a handful is in memory at once."""

SAMPLED_USERS = 500
"""Users whose folding is measured."""

PairScores = Callable[[NDArray[np.integer[Any]], NDArray[np.integer[Any]]], NDArray[np.floating[Any]]]
"""Rows [p] and items [p] → scores [p]."""


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
    settings = mf.model_copy(update={"unobserved_weight": weight, "regularization": regularization})
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
    retriever: Retriever,
    queries: Queries,
    relatedness: Relatedness,
    rows: NDArray[np.integer],
    num_sampled_users: int = SAMPLED_USERS,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Folding and spurious@10 of each of a sample of users.

    Folding is the mean over all items of the catalogue, including those that a user has seen; lists exclude these. The
    model's scores are calibrated on the seen items of the same users against random ones.

    Args:
        retriever: the model.
        queries: n queries, with the histories that the model was trained on.
        relatedness: of all users and items.
        rows: [n], row of each query's user in `relatedness`.
        num_sampled_users: at most; the same users for every model with the same seed.
        seed: of the sample and of the random pairs.

    Returns:
        `folding` and `spurious@10`, float64 [n] in [0, 1]; NaN where a query is not in the sample, and spurious@10
        where its list is empty.

    Raises:
        BakeoffError: the model's embeddings are not finite.
    """
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(len(queries), min(num_sampled_users, len(queries)), replace=False))
    sampled, users = queries.take(sample), rows[sample]
    items = retriever.item_embeddings
    size = max(1, SCORES_PER_BLOCK // max(len(items), 1))
    lists = rank(retriever, sampled, sampled.histories, sampled.histories.first(0), CUTOFF, size)  # checks embeddings
    embedded = retriever.embed_queries(sampled)
    calibration = calibrate_on_pairs(dot_products(embedded, items), sampled.histories, len(items), rng)
    folding, spurious = np.full(len(queries), np.nan), np.full(len(queries), np.nan)
    for start in range(0, len(sampled), size):
        part = slice(start, start + size)
        related = relatedness.of(users[part])
        folding[sample[part]] = folding_per_user(calibration(embedded[part] @ items.T), related)
        spurious[sample[part]] = spurious_at_k(lists.items[part], related, CUTOFF, relatedness.threshold)
    return {"folding": folding, f"spurious@{CUTOFF}": spurious}
