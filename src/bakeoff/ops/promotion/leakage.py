"""Users whose test events the champion was trained on: its answers about them say nothing."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories


def knows_answers(known: Histories, told: Histories, truth: Histories) -> NDArray[np.bool_]:
    """Bool [n], whether a model was trained on an item of the truth that the user is not told to have had before.

    With a split by each user's time, on data to which events are only appended, there is no such user: what is test now
    came after what was known then.

    Args:
        known: n rows, what the model was trained on.
        told: n rows, what it is told now; an item of both parts is no secret.
        truth: n rows, the test items.
    """
    stride = 1 + max(part.items.max(initial=0) for part in (known, told, truth))

    def pairs(part: Histories) -> NDArray[np.int64]:
        return part.rows * np.int64(stride) + part.items

    secret = np.setdiff1d(pairs(truth), pairs(told))
    leaked = np.intersect1d(secret, pairs(known)) // stride
    return np.bincount(leaked, minlength=len(truth)) > 0
