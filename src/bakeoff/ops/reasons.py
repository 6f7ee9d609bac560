"""Why an item has its score: the items of the history that contribute most to it, and what else does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Queries
from bakeoff.models.base import specs
from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.ops.catalogue import ExtendedRetriever

SHOWN = 3
"""Items of the history that are named for each recommended item."""

CANNOT = (
    "can't say why: its encoder has no `explain` (docs/why.md). Ask without why; or, if an older version exported one "
    "of Bakeoff's own models, run `bakeoff export`."
)
"""Said of a model without explanations, after its name."""

Explained = EncoderRetriever | ExtendedRetriever
Names = tuple[Sequence[str], Sequence[str]]
"""Ids and titles of the items of a catalogue."""


@dataclass(frozen=True)
class Part:
    """A part of a score: an item of the history, all others of its items, or what does not come from it."""

    kind: Literal["item", "others", "remainder"]
    item_id: str | None
    title: str
    contribution: float


def reasons(
    retriever: Explained, model: str, query: Queries, items: Sequence[int], scores: Sequence[float], names: Names
) -> list[list[Part]]:
    """The parts of the score of each item that was recommended; they add up to it.

    First come at most SHOWN items with a contribution above 0, largest first, then the others, which may contribute
    less than nothing, and the remainder, for which the model's spec has a name.

    Args:
        retriever: the model.
        model: its name.
        query: one.
        items: m item indices.
        scores: of these items.
        names: ids and titles of all items.

    Raises:
        BakeoffError: the model can't explain itself.
    """
    if not retriever.explains:
        raise BakeoffError(f"{model} {CANNOT}")
    history, place = np.unique(query.histories.items, return_inverse=True)
    by_item = np.zeros((len(history), len(items)))
    np.add.at(by_item, place, retriever.contributions(query, np.array(items)).T)  # an item may be met several times
    (ids, titles), found = names, []
    for item, parts, score in zip(items, by_item.T, scores, strict=True):
        best = [row for row in np.argsort(-parts, kind="stable")[:SHOWN] if parts[row] > 0]
        listed = [Part("item", ids[history[row]], titles[history[row]], float(parts[row])) for row in best]
        if left := len(history) - len(best):
            title = f"{left} other item{'s' * (left > 1)} of the history"
            listed.append(Part("others", None, title, float(parts.sum() - parts[best].sum())))
        is_added = isinstance(retriever, ExtendedRetriever) and item >= retriever.num_trained
        remainder = "an added item, whose score is not divided" if is_added else specs.spec(model).remainder
        found.append([*listed, Part("remainder", None, remainder, float(score - parts.sum()))])
    return found
