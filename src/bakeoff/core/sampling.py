"""A part of many users, by a seed."""

import numpy as np
from numpy.typing import NDArray


def draw_users(num_users: int, count: int, seed: int) -> NDArray[np.int64]:
    """At most `count` of the numbers below `num_users`, ascending; all of them if they are no more."""
    if num_users <= count:
        return np.arange(num_users)
    return np.sort(np.random.default_rng(seed).choice(num_users, count, replace=False))
