"""Histories of which nothing of the order is left: what a model still knows then is taste, not the last session."""

import numpy as np

from bakeoff.core.histories import Histories


def shuffled(histories: Histories, rng: np.random.Generator) -> Histories:
    """The same items in random order, row by row.

    Timestamps keep their places, so that they still ascend: the k-th of the shuffled items takes the k-th time, and
    neither place nor time tells what came when.

    Args:
        histories: n rows.
        rng: source of the order. Rows that are shuffled in blocks, one after the other, have the order of all at once.
    """
    order = np.lexsort((rng.random(len(histories.items)), histories.rows))
    return Histories(histories.offsets, histories.items[order], histories.timestamps)
