"""Why an item has its score: the items of the history that contribute most to it, and what else does."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from bakeoff.core.histories import Queries
from bakeoff.models.base.encoder import EncoderRetriever

SHOWN = 3
"""Items of the history that are named for each recommended item."""

CANNOT = (
    "can't say why: its encoder has no `explain` (docs/why.md). If an older version exported one of Bakeoff's own "
    "models, run `bakeoff export` again."
)
"""Said of a model without explanations, after its name."""


class Contribution(BaseModel):
    """What an item of the history adds to a score."""

    item_id: str
    title: str
    contribution: float = Field(description="In the unit of the score.")


class Why(BaseModel):
    """The parts of a score, which add up to it."""

    largest: list[Contribution] = Field(
        description=f"Items of the history that contribute most, largest first; at most {SHOWN}, all above 0."
    )
    others: float = Field(description="Contribution of all other items of the history; it may be negative.")
    num_others: int = Field(description="How many they are.")
    remainder: float = Field(description="What does not come from items of the history; the answer says what it is.")


def reasons(
    retriever: EncoderRetriever,
    query: Queries,
    items: NDArray[np.integer],
    scores: NDArray[np.floating],
    catalogue: tuple[Sequence[str], Sequence[str]],
) -> Iterator[Why]:
    """The reasons for each of the items that were recommended.

    Args:
        retriever: one that explains.
        query: one.
        items: [m], item indices.
        scores: [m].
        catalogue: ids and titles of all items.
    """
    history, place = np.unique(query.histories.items, return_inverse=True)
    by_item = np.zeros((len(history), len(items)))
    np.add.at(by_item, place, retriever.contributions(query, items).T)  # an item may be in a history several times
    for parts, score in zip(by_item.T, scores.tolist(), strict=True):
        best = [place for place in np.argsort(-parts, kind="stable")[:SHOWN] if parts[place] > 0]
        ids, titles = ([column[history[place]] for place in best] for column in catalogue)
        largest = [
            Contribution(item_id=item, title=title, contribution=part)
            for item, title, part in zip(ids, titles, parts[best].tolist(), strict=True)
        ]
        total, others = float(parts.sum()), float(parts.sum() - parts[best].sum())
        yield Why(largest=largest, others=others, num_others=len(history) - len(best), remainder=score - total)
