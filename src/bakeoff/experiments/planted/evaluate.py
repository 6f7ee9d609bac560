"""Metrics of a model on a planted data set: accuracy, folding, and the picture of its items."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.folding import folding_per_user, off_group_at_k
from bakeoff.evaluation.item_space import principal_components
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking import TopLists, rerank
from bakeoff.experiments.eval_set import EvalSet
from bakeoff.experiments.folding import calibrate_on_pairs
from bakeoff.experiments.planted.generator import PlantedDataset
from bakeoff.experiments.validation import USERS_PER_BLOCK
from bakeoff.models.base.retriever import Retriever

CUTOFF = 10
"""k of all metrics of lists."""


@dataclass(frozen=True)
class PlantedMetrics:
    """What is measured of a model on a planted data set; per user float64 [num_users] in [0, 1].

    Attributes:
        recall: recall@10 of the test items.
        ndcg: ndcg@10 of the test items.
        folding: over all items.
        off_group: share of the first ten items from another group; NaN for an empty list.
        off_group_filtered: the same when the model reorders candidates of another model; NaN without candidates.
        blocks: float64 [groups, groups], mean calibrated score in [0, 1] of users (rows) and items (columns) by group.
        positions: float32 [num_items, 2], see `project_items`.
    """

    recall: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    folding: NDArray[np.float64]
    off_group: NDArray[np.float64]
    off_group_filtered: NDArray[np.float64]
    blocks: NDArray[np.float64]
    positions: NDArray[np.float32]


def eval_set_of(dataset: PlantedDataset) -> EvalSet:
    """Test events of every user, with train and validation as the history."""
    prepared = dataset.prepared
    return EvalSet.of(prepared, prepared.known(), dataset.held_out.test, np.arange(prepared.num_users))


def retrieve(retriever: Retriever, dataset: PlantedDataset, count: int) -> TopLists:
    """A model's first `count` items for every user, without the items of the user's history."""
    return eval_set_of(dataset).rank(retriever, count, USERS_PER_BLOCK)


def evaluate_planted(
    retriever: Retriever, dataset: PlantedDataset, seed: int, candidates: TopLists | None = None
) -> PlantedMetrics:
    """Evaluate a model on every user's test items.

    Args:
        retriever: the model.
        dataset: that it was trained on.
        seed: of the random pairs that scores are calibrated against.
        candidates: of another model, for this one to reorder; None: there is none.
    """
    prepared, tests = dataset.prepared, eval_set_of(dataset)
    lists = tests.rank(retriever, CUTOFF, USERS_PER_BLOCK)
    accuracy = accuracy_per_user(lists, tests.truth, (CUTOFF,))
    scores = retriever.embed_queries(tests.queries) @ retriever.item_embeddings.T
    calibration = calibrate_on_pairs(
        lambda rows, items: scores[rows, items], prepared.known(), prepared.num_items, np.random.default_rng(seed)
    )
    calibrated = calibration(scores)
    filtered = np.full(prepared.num_users, np.nan)
    if candidates is not None:
        reordered = rerank(retriever, tests.queries, candidates, tests.truth, USERS_PER_BLOCK)
        filtered = _off_group(reordered, dataset)
    return PlantedMetrics(
        recall=accuracy[f"recall@{CUTOFF}"],
        ndcg=accuracy[f"ndcg@{CUTOFF}"],
        folding=folding_per_user(calibrated, dataset.relatedness),
        off_group=_off_group(lists, dataset),
        off_group_filtered=filtered,
        blocks=_by_group(calibrated, dataset),
        positions=project_items(retriever.item_embeddings),
    )


def _by_group(scores: NDArray[np.floating], dataset: PlantedDataset) -> NDArray[np.float64]:
    """[groups, groups] mean score of the users of a group on the items of a group."""
    of_users, of_items = dataset.user_groups, dataset.item_groups
    users, items = (groups[:, np.newaxis] == np.unique(groups) for groups in (of_users, of_items))
    sizes = users.sum(axis=0)[:, np.newaxis] * items.sum(axis=0)
    means: NDArray[np.float64] = users.T.astype(np.float64) @ scores @ items / sizes
    return means


def _off_group(lists: TopLists, dataset: PlantedDataset) -> NDArray[np.float64]:
    return off_group_at_k(lists.items, dataset.user_groups, dataset.item_groups, CUTOFF)


def project_items(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Items along their two principal components, scaled so that the farthest is at distance 1.

    The map is linear: items that coincide in the space coincide in the picture, though not the other way round.

    Args:
        embeddings: [n, d], n > 0.

    Returns:
        float32 [n, 2], centred; zeros in directions that don't exist.
    """
    positions = principal_components(embeddings)
    farthest = np.sqrt((positions**2).sum(axis=1).max())
    return np.asarray(positions / farthest if farthest > 0 else positions, np.float32)
