"""New items made of old ones: their events are withheld from training, and test asks for them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.retriever import Retriever

MIN_EVENTS = 5
"""Train and validation events that an item must have to be drawn: of the others test has next to nothing to ask."""


def draw_new_items(prepared: Prepared, share: float, seed: int) -> NDArray[np.int64]:
    """Indices of the items that shall count as new, ascending.

    Args:
        prepared: the split; test plays no part in the choice.
        share: in [0, 1), of the items that have MIN_EVENTS; rounded, but at least one of them if it is above 0.
        seed: of the draw.
    """
    counts = prepared.known().item_counts(prepared.num_items)
    eligible = np.flatnonzero(counts >= MIN_EVENTS)
    size = min(len(eligible), max(1, round(share * len(eligible)))) if share > 0 else 0
    return np.sort(np.random.default_rng(seed).choice(eligible, size, replace=False))


def withhold(prepared: Prepared, new: NDArray[np.int64]) -> Prepared:
    """The split as it would be had nobody met these items yet: no train or valid event; still listed."""
    is_new = _among(new, prepared.num_items)
    return replace(prepared, train=_only(prepared.train, ~is_new), valid=_only(prepared.valid, ~is_new))


def only_items(histories: Histories, items: NDArray[np.int64], num_items: int) -> Histories:
    """The events on these items; rows stay, empty where a user has none."""
    return _only(histories, _among(items, num_items))


@dataclass(frozen=True)
class AmongItems:
    """A retriever whose catalogue is a part of the model's: item i of it is `items[i]` of the model.

    Attributes:
        retriever: the model.
        items: int64 [m], ascending.
    """

    retriever: Retriever
    items: NDArray[np.int64]

    @property
    def item_embeddings(self) -> NDArray[np.float32]:
        """[m, dim]."""
        return self.retriever.item_embeddings[self.items]

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """[len(queries), dim]; histories hold items of the model's catalogue."""
        return self.retriever.embed_queries(queries)

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """[len(queries)], as the model says."""
        return self.retriever.uses_fallback(queries)

    def renumbered(self, histories: Histories) -> Histories:
        """Events on the items of this catalogue, under its own indices; others are left out."""
        found = np.isin(histories.items, self.items)
        places = np.searchsorted(self.items, histories.items[found])
        return Histories.from_rows(histories.rows[found], places, histories.timestamps[found], len(histories))


def _among(items: NDArray[np.int64], num_items: int) -> NDArray[np.bool_]:
    mask = np.zeros(num_items, np.bool_)
    mask[items] = True
    return mask


def _only(histories: Histories, kept: NDArray[np.bool_]) -> Histories:
    events = kept[histories.items]
    return Histories.from_rows(
        histories.rows[events], histories.items[events], histories.timestamps[events], len(histories)
    )
