"""Popularity, of all time or of a recent window: the reference that every contender must beat."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries, has_order
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.retriever import ArraysRetriever, Fitted
from bakeoff.models.base.storage import StoredModel
from bakeoff.models.popularity.spec import RecentPopularityParams

_SECONDS_PER_DAY = 86_400


class PopularityRetriever(ArraysRetriever):
    """One dimension: item embedding φ(j), the number of events of the item; query embedding 1."""

    fallback = None

    def __init__(self, frequencies: NDArray[np.number]) -> None:
        """Take φ ≥ 0, [num_items]."""
        self.item_embeddings: NDArray[np.float32] = frequencies[:, np.newaxis].astype(np.float32)

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        """Ones, [len(queries), 1]."""
        return np.ones((len(queries), 1), np.float32)

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        """Never: everyone gets the same list."""
        return np.zeros(len(queries), np.bool_)


def load(stored: StoredModel) -> PopularityRetriever:
    """The retriever that was stored."""
    return PopularityRetriever(stored.arrays["item_embeddings"][:, 0])


def fit_popularity(prepared: Prepared, queries: Queries, section: Any, seed: int) -> Fitted:
    """Count the events of these queries' histories; there is no setting to choose."""
    known = queries.histories
    summary = f"{prepared.num_items:,} items counted over {len(known.items):,} events"
    return Fitted(PopularityRetriever(known.item_counts(prepared.num_items)), prepared.num_items, summary)


def fit_recent_popularity(prepared: Prepared, queries: Queries, section: RecentPopularityParams, seed: int) -> Fitted:
    """Count the events of the window; where times don't differ, those of all time."""
    known, days = queries.histories, section.window_days
    has_times = has_order(known.timestamps)
    frequencies = recent_frequencies(known, prepared.num_items, days)
    counted = int(np.floor(frequencies).sum())
    window = f"the last {days:g} days" if has_times else "all time, since no event has a time of its own"
    summary = f"{prepared.num_items:,} items counted over {counted:,} events of {window}"
    notes: dict[str, float] = {"events_in_window": counted, "events_without_time": 0 if has_times else counted}
    settings = {"window_days": days if has_times else None}
    return Fitted(PopularityRetriever(frequencies), prepared.num_items, summary, settings, notes)


def recent_frequencies(histories: Histories, num_items: int, window_days: float) -> NDArray[np.float64]:
    """φ [num_items]: events within the window; items with as many are ordered by their events of all time.

    The second count is scaled below 1, so it decides only where the first does not: a narrow window leaves most of
    the catalogue without an event, and lists must not end in the order of item indices.

    Args:
        histories: known events, all 0 timestamps where they have no time.
        num_items: size of the catalogue.
        window_days: length of the window, > 0, counted back from the newest event of anyone.
    """
    newest = histories.timestamps.max(initial=0)
    recent, ever = np.zeros(num_items, np.int64), histories.item_counts(num_items)
    for _, block in histories.blocks():
        # Subtracting timestamps, not days, keeps whole seconds exact. Where no event has a time, all of them count.
        is_recent = newest - block.timestamps < window_days * _SECONDS_PER_DAY
        recent += np.bincount(block.items[is_recent], minlength=num_items)
    return np.asarray(recent + ever / (ever.max(initial=0) + 1))
