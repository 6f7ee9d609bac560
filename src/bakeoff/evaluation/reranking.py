"""A model as a scorer: it orders candidates that another one has retrieved."""

import numpy as np

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.scoring import score_blocks
from bakeoff.models.base.retriever import Retriever


def rerank(
    scorer: Retriever, queries: Queries, candidates: TopLists, truth: Histories, users_per_block: int
) -> TopLists:
    """The same items in the order of the scorer's scores.

    Equal scores are ordered as by `ranking.rank`: items of the truth last, then by index.

    Args:
        scorer: the model, whose embeddings are finite.
        queries: n queries.
        candidates: lists of n users, [n, c].
        truth: n rows, items that count as hits.
        users_per_block: users scored at once.

    Returns:
        Lists of n users, [n, c], padded at the end.
    """
    items = np.empty_like(candidates.items)
    scores = np.empty_like(candidates.scores)
    for part, block in score_blocks(scorer, queries, users_per_block):
        rows = np.arange(part.start, part.stop)
        listed = candidates.items[part]
        of_truth = truth.take(rows)
        hit = np.zeros(block.shape, np.bool_)
        hit[of_truth.rows, of_truth.items] = True
        found = np.where(listed == PAD, -np.inf, np.take_along_axis(block, listed.astype(np.int64), axis=1))
        hits = np.take_along_axis(hit, listed.astype(np.int64), axis=1)
        order = np.lexsort((listed, hits, -found), axis=1)
        items[part] = np.take_along_axis(listed, order, axis=1)
        scores[part] = np.take_along_axis(found, order, axis=1)
    return TopLists(items, scores)
