"""Folding of a trained model on data whose groups are not known."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.evaluation.folding import Calibration, calibrate, folding_per_user, spurious_at_k
from bakeoff.evaluation.ranking import rank
from bakeoff.experiments.variants.relatedness import CALIBRATION_PAIRS, Relatedness, sampled_positives
from bakeoff.models.base.retriever import Retriever

CUTOFF = 10
"""k of spurious@k."""

SCORES_PER_BLOCK = 1 << 22
"""16 MiB of float32: users are taken in blocks of that many scores, a handful of which is in memory at once."""


def model_folding(
    retriever: Retriever,
    queries: Queries,
    relatedness: Relatedness,
    rows: NDArray[np.integer],
    num_sampled_users: int = 500,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Folding and spurious@10 of each of a sample of users.

    Folding is the mean over all items of the catalogue, those that a user has seen included; lists are without them.
    The model's scores are calibrated on the seen items of the same users against random ones.

    Args:
        retriever: the model.
        queries: n queries, with the histories that the model was trained on.
        relatedness: of all users and items.
        rows: [n], row of each query's user in `relatedness`.
        num_sampled_users: as many users at most; the same ones for every model that is asked with the same seed.
        seed: of the sample and of the random pairs.

    Returns:
        `folding` and `spurious@10`, float64 [n] in [0, 1]; NaN where a query is not of the sample, and spurious@10
        where its list is empty.

    Raises:
        BakeoffError: the model's embeddings can't be used.
    """
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(len(queries), min(num_sampled_users, len(queries)), replace=False))
    asked, users = queries.take(sample), rows[sample]
    item_embeddings = retriever.item_embeddings
    nothing = asked.histories.first(0)
    size = max(1, SCORES_PER_BLOCK // max(len(item_embeddings), 1))
    lists = rank(retriever, asked, asked.histories, nothing, CUTOFF, size)  # says what is wrong with embeddings
    embedded = retriever.embed_queries(asked)
    calibration = _calibration(embedded, item_embeddings, asked.histories, rng)
    folding, spurious = np.full(len(queries), np.nan), np.full(len(queries), np.nan)
    for start in range(0, len(asked), size):
        part = slice(start, start + size)
        related = relatedness.of(users[part])
        folding[sample[part]] = folding_per_user(calibration(embedded[part] @ item_embeddings.T), related)
        spurious[sample[part]] = spurious_at_k(lists.items[part], related, CUTOFF, relatedness.threshold)
    return {"folding": folding, f"spurious@{CUTOFF}": spurious}


def _calibration(
    queries: NDArray[np.float32], items: NDArray[np.float32], histories: Histories, rng: np.random.Generator
) -> Calibration:
    rows, seen = sampled_positives(histories, CALIBRATION_PAIRS, rng)
    others = rng.integers(0, max(len(items), 1), len(seen))

    def scores(columns: NDArray[np.integer]) -> NDArray[np.float32]:
        return np.asarray(np.einsum("pd,pd->p", queries[rows], items[columns]))

    return calibrate(scores(seen), scores(others))
