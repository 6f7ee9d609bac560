"""By what epochs and settings are chosen, known without TensorFlow."""

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import draw_users

SELECTION_METRIC = "ndcg@10"
"""On validation; higher is better."""

SELECTION_LISTS = 20
"""Length of the lists that validation looks at."""

MOST_VALIDATED = 50_000
"""Users whom validation asks about: ranking for all of many would outgrow the training. The mean NDCG@10 of so many is
known to 0.002 or so, and every epoch and setting is judged by the same ones."""


def validated_users(lengths: NDArray[np.integer], seed: int) -> NDArray[np.int64]:
    """Rows of the users with validation events, ascending; a seeded sample of them where they are too many.

    Args:
        lengths: numbers of validation events of all users.
        seed: of the sample.
    """
    users = np.flatnonzero(lengths)
    return users[draw_users(len(users), MOST_VALIDATED, seed)]
