"""Parts of a split: some of its users, or all but some items, which then count as new."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.models.base.retriever import Retriever

MIN_EVENTS = 5
"""Train and validation events that an item must have to be drawn: test has hardly any event on the others."""


def with_users(prepared: Prepared, users: NDArray[np.int64]) -> Prepared:
    """The split of these users, warm ones first as before; the catalogue stays.

    Args:
        prepared: the split.
        users: user_index of each, ascending.
    """
    features = prepared.user_features
    return replace(
        prepared,
        users=prepared.users.take(pa.array(users)),
        user_features=replace(features, dense=features.dense[users], categorical=features.categorical[users]),
        train=prepared.train.take(users),
        valid=prepared.valid.take(users),
    )


def held_out_with_users(held_out: HeldOut, users: NDArray[np.int64]) -> HeldOut:
    """The held-out events of these users."""
    return HeldOut(held_out.test.take(users), held_out.new_history.take(users), held_out.new_test.take(users))


def sample_sentence(count: int, total: int) -> str:
    """A sentence for the report about the sample; empty if it holds all users."""
    if count == total:
        return ""
    return f"To bound the cost this was done on a seeded sample of {count:,} of {total:,} users (evidence.max_users)."


def draw_new_items(prepared: Prepared, share: float, seed: int) -> NDArray[np.int64]:
    """Indices of the items that count as new, ascending.

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
    """The split without train and validation events on these items; they stay in the catalogue."""
    is_new = _mask(new, prepared.num_items)
    return replace(prepared, train=_only(prepared.train, ~is_new), valid=_only(prepared.valid, ~is_new))


def only_items(histories: Histories, items: NDArray[np.int64], num_items: int) -> Histories:
    """The events on these items; rows stay, empty where a user has none."""
    return _only(histories, _mask(items, num_items))


@dataclass(frozen=True)
class ItemSubset:
    """A retriever over a part of the model's catalogue: its item i is `items[i]` of the model.

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
        found = histories.keep(np.isin(histories.items, self.items))
        return replace(found, items=np.searchsorted(self.items, found.items).astype(np.int32))


def _mask(items: NDArray[np.int64], num_items: int) -> NDArray[np.bool_]:
    mask = np.zeros(num_items, np.bool_)
    mask[items] = True
    return mask


def _only(histories: Histories, kept: NDArray[np.bool_]) -> Histories:
    return histories.keep(kept[histories.items])
