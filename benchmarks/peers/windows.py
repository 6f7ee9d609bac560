"""Histories cut into windows, from which networks over sequences learn."""

import numpy as np
from numpy.typing import NDArray

from peers.data import Data


def windows(data: Data, length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Every history cut into windows of `length` + 1 events that share their ends, the first cut at random.

    Returns:
        [W, length + 1], filled up with num_items on the right; each event but a user's first is once a target.
    """
    found = []
    for start, end in zip(data.offsets[:-1].tolist(), data.offsets[1:].tolist(), strict=True):
        stop = end
        if end - start > length + 1:
            stop = start + 1 + int(rng.integers(1, length + 1))
        while start < end - 1:
            found.append(data.items[start:stop])
            start, stop = stop - 1, min(stop + length, end)
    return padded(found, length + 1, data.num_items)


def padded(rows: list[NDArray[np.int32]], width: int, padding: int) -> NDArray[np.int64]:
    """Rows as an array [len(rows), width]."""
    filled = np.full((len(rows), width), padding, np.int64)
    for row, values in zip(filled, rows, strict=True):
        row[: len(values)] = values
    return filled
