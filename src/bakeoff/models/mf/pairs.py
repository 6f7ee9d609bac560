"""Observed pairs of histories in blocks: there may be more of them than fit in memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories


def pairs_in_blocks(histories: Histories, size: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """All events as pairs of a user and an item, user by user; one empty block where there is none.

    Args:
        histories: of all users; items may be mapped from a file.
        size: events of a block, the last one being shorter; a long history is cut.

    Yields:
        rows of the users [n] and indices of the items [n] of n events; the items are not copied.
    """
    offsets, num_events = histories.offsets, len(histories.items)
    for start in range(0, max(num_events, 1), size):
        stop = min(start + size, num_events)
        first = int(np.searchsorted(offsets, start, side="right")) - 1
        last = int(np.searchsorted(offsets, stop, side="left"))
        bounds = np.clip(offsets[first : last + 1], start, stop)
        yield np.repeat(np.arange(first, last, dtype=np.int32), np.diff(bounds)), histories.items[start:stop]
