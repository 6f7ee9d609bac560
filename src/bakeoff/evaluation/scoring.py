"""Scores of the whole catalogue, a block of queries at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Queries
from bakeoff.evaluation.ranking import reproducible_scores as exact
from bakeoff.models.base.retriever import Retriever

SCORES_PER_BLOCK = 1 << 24
"""64 MiB of float32: with 10⁶ items a block of 1,024 queries would take 4 GB."""


def score_blocks(
    retriever: Retriever, queries: Queries, users_per_block: int
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Consecutive blocks of queries, each with its scores.

    Args:
        retriever: the model, whose embeddings are finite.
        queries: n queries.
        users_per_block: at most; fewer where their scores would take more than 64 MiB.

    Yields:
        the slice that a block covers and float32 [len(block), num_items].
    """
    catalogue = exact.rounded(retriever.item_embeddings)
    for part, block in queries.blocks(users_at_once(users_per_block, len(catalogue))):
        yield part, exact.scores(exact.rounded(retriever.embed_queries(block)), catalogue)


def users_at_once(at_most: int, num_items: int) -> int:
    """Users, one at least, whose scores of a catalogue of this size take no more than 64 MiB."""
    return max(1, min(at_most, SCORES_PER_BLOCK // max(num_items, 1)))
