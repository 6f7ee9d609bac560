"""Training on the town, and what is seen of a trained contender: accuracy, folding, and a picture of its items."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Queries
from bakeoff.evaluation.folding import calibrate, folding_per_user, off_group_at_k
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking import TopLists, rank, rerank
from bakeoff.experiments.planted.contenders import Planted
from bakeoff.experiments.planted.generator import Town
from bakeoff.experiments.selection import SELECTION_METRIC
from bakeoff.experiments.training import USERS_PER_BLOCK, validation_scores, warm_users
from bakeoff.models.base.encoder import Encoder, EncoderRetriever
from bakeoff.models.base.epochs import keep_best, seed_everything, silent
from bakeoff.models.base.retriever import Retriever

CUTOFF = 10


@dataclass(frozen=True)
class Seen:
    """What is measured of a contender on the town; of each user float64 [num_users] in [0, 1].

    Attributes:
        recall: recall@10 of the test items.
        ndcg: ndcg@10 likewise.
        folding: over all items.
        off_group: share of the first ten recommended items that are of another group; NaN of an empty list.
        off_group_filtered: the same of candidates that another model retrieved, in this one's order; NaN without them.
        blocks: float64 [groups, groups], mean calibrated score in [0, 1] of users (rows) and items (columns) by group.
        positions: float32 [num_items, 2], see `project`.
    """

    recall: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    folding: NDArray[np.float64]
    off_group: NDArray[np.float64]
    off_group_filtered: NDArray[np.float64]
    blocks: NDArray[np.float64]
    positions: NDArray[np.float32]


def train(contender: Planted, town: Town) -> tuple[Encoder, int]:
    """Train on the train part with the epoch chosen on validation, and give the model of that epoch and its number."""
    prepared, users = town.prepared, warm_users(town.prepared)
    seed_everything(contender.params.seed)
    trainer = contender.build(prepared, prepared.queries(prepared.train, users), contender.params)
    validate = validation_scores(prepared, users)
    epoch, _ = keep_best(
        trainer, lambda encoder: validate(encoder)[SELECTION_METRIC], contender.max_epochs, contender.max_epochs, silent
    )
    return trainer.encoder(), epoch


def retrieve(encoder: Encoder, town: Town, count: int) -> TopLists:
    """A trained model's first `count` items for every user, without what it was told of the user."""
    known = town.prepared.known()
    return rank(EncoderRetriever(encoder), _queries(town), known, town.held_out.test, count, USERS_PER_BLOCK)


def look(encoder: Encoder, town: Town, seed: int, candidates: TopLists | None = None) -> Seen:
    """Ask a trained contender about every user's test items; what it was told of the user is left out of lists.

    Args:
        encoder: the model.
        town: that it was trained on.
        seed: of the random pairs that scores are calibrated against.
        candidates: of another model, to be put in this one's order as well.
    """
    prepared, test, known = town.prepared, town.held_out.test, town.prepared.known()
    queries = _queries(town)
    retriever: Retriever = EncoderRetriever(encoder)
    lists = retrieve(encoder, town, CUTOFF)
    accuracy = accuracy_per_user(lists, test, (CUTOFF,))
    scores = retriever.embed_queries(queries) @ retriever.item_embeddings.T
    others = np.random.default_rng(seed).integers(0, prepared.num_items, len(known.items))
    calibrated = calibrate(scores[known.rows, known.items], scores[known.rows, others])(scores)
    filtered = np.full(prepared.num_users, np.nan)
    if candidates is not None:
        filtered = _off_group(rerank(retriever, queries, candidates, test, USERS_PER_BLOCK), town)
    return Seen(
        recall=accuracy[f"recall@{CUTOFF}"],
        ndcg=accuracy[f"ndcg@{CUTOFF}"],
        folding=folding_per_user(calibrated, town.relatedness),
        off_group=_off_group(lists, town),
        off_group_filtered=filtered,
        blocks=_by_group(calibrated, town),
        positions=project(retriever.item_embeddings),
    )


def _queries(town: Town) -> Queries:
    return town.prepared.queries(town.prepared.known(), np.arange(town.prepared.num_users))


def _by_group(scores: NDArray[np.floating], town: Town) -> NDArray[np.float64]:
    """[groups, groups] mean score of the users of a group on the items of a group."""
    users, items = (groups[:, np.newaxis] == np.unique(groups) for groups in (town.user_groups, town.item_groups))
    sizes = users.sum(axis=0)[:, np.newaxis] * items.sum(axis=0)
    means: NDArray[np.float64] = users.T.astype(np.float64) @ scores @ items / sizes
    return means


def _off_group(lists: TopLists, town: Town) -> NDArray[np.float64]:
    return off_group_at_k(lists.items, town.user_groups, town.item_groups, CUTOFF)


def project(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Items along the two directions in which they differ most (principal components), the farthest at distance 1.

    Linear, so that what falls together in the space does so in the picture, though not the other way round. Of the two
    signs of a direction the one is taken with which its most extreme item is positive.

    Args:
        embeddings: [n, d], n > 0.

    Returns:
        float32 [n, 2], centred; zeros in directions that there are not.
    """
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    found = (left * lengths)[:, :2]
    found *= np.where(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])] < 0, -1.0, 1.0)
    positions = np.zeros((len(embeddings), 2))
    positions[:, : found.shape[1]] = found
    farthest = np.sqrt((positions**2).sum(axis=1).max())
    return np.asarray(positions / farthest if farthest > 0 else positions, np.float32)
