"""Why an item has its score: the items of the history that contribute most to it, and what else does."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Queries
from bakeoff.models.base.encoder import EncoderRetriever

SHOWN = 3
"""Items of the history that are named for each recommended item."""

CANNOT = (
    "can't say why: its encoder has no `explain` (docs/why.md). If an older version exported one of Bakeoff's own "
    "models, run `bakeoff export` again."
)
"""Said of a model without explanations, after its name."""


@dataclass(frozen=True)
class Reasons:
    """The parts of a score; they add up to it.

    Attributes:
        largest: item of the history → its contribution; at most SHOWN, largest first, all above 0.
        others: contribution of all other items of the history, which may be negative.
        num_others: how many they are.
        remainder: what does not come from the history; the spec of the model says what it is.
    """

    largest: dict[int, float]
    others: float
    num_others: int
    remainder: float


def reasons(
    retriever: EncoderRetriever, query: Queries, items: NDArray[np.integer], scores: NDArray[np.floating]
) -> Iterator[Reasons]:
    """The reasons for each of the items that were recommended.

    Args:
        retriever: one that explains.
        query: one.
        items: [m], item indices.
        scores: [m].
    """
    history, place = np.unique(query.histories.items, return_inverse=True)
    by_item = np.zeros((len(history), len(items)))
    np.add.at(by_item, place, retriever.contributions(query, items).T)  # an item may be in a history several times
    for parts, score in zip(by_item.T, scores.tolist(), strict=True):
        best = [place for place in np.argsort(-parts, kind="stable")[:SHOWN] if parts[place] > 0]
        largest = {int(history[place]): float(parts[place]) for place in best}
        others = float(parts.sum()) - sum(largest.values())
        yield Reasons(largest, others, len(history) - len(best), score - float(parts.sum()))
