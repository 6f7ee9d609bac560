"""Histories of given lengths."""

from collections.abc import Sequence

import numpy as np

from bakeoff.core.histories import Histories, offsets_of


def histories(lengths: Sequence[int], items: Sequence[int]) -> Histories:
    """Users with so many events each, of these items one after the other, all at second 0."""
    offsets = offsets_of(np.array(lengths, np.int64))
    return Histories(offsets, np.array(items, np.int32), np.zeros(len(items), np.int64))
