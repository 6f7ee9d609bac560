"""The references that everything must beat: items by their number of events, of all or of the last days."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from peers.data import Data
from peers.lists import Scorer

DAY = 86_400


def train(data: Data, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """Count; nothing is random.

    With `window_days`, events of so many days before the last one count, and items with as many are ordered by all of
    their events, which are scaled below 1.
    """
    counts = np.bincount(data.items, minlength=data.num_items).astype(np.float32)
    if "window_days" in setting:
        recent = data.items[data.timestamps > data.timestamps.max() - setting["window_days"] * DAY]
        counts = np.bincount(recent, minlength=data.num_items) + counts / (1 + counts.max())
    yield lambda rows: np.broadcast_to(counts, (len(rows), data.num_items))
