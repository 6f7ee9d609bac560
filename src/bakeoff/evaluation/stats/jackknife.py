"""Interval of a figure that all lists have together, such as coverage, for two models with the same users."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

GROUPS = 40
"""Of users, each of which is left out once; fewer where there are fewer users."""

IntArray = NDArray[np.int64]
Places = tuple[IntArray, IntArray]
"""Row of the user and index of the item of every place in a list."""


def half_width(
    first: Places,
    second: Places,
    num_users: int,
    num_items: int,
    figure: Callable[[IntArray], float],
    seed: int,
    confidence: float = 0.95,
) -> float:
    """Half the width of the interval of figure(first) − figure(second), by a grouped jackknife.

    Users are dealt to groups by chance; how the difference moves as each group is left out tells its standard error
    (Efron & Tibshirani 1993, section 11.5). A bootstrap would not do: who is drawn twice brings no new item, so that
    resampled lists cover less than the lists themselves. Memory is that of the places.

    Args:
        first: places in the lists of one model.
        second: of the other.
        num_users: of both.
        num_items: in the catalogue.
        figure: of [num_items] numbers of places that each item has.
        seed: of the deal.
        confidence: level of the interval, in (0, 1).

    Returns:
        At least 0; NaN with fewer than two users.
    """
    groups = min(GROUPS, num_users)
    if groups < 2:
        return float("nan")
    dealt = np.random.default_rng(seed).permutation(num_users) % groups
    left_out = [_left_out(places, dealt, groups, num_items, figure) for places in (first, second)]
    differences = left_out[0] - left_out[1]
    error = np.sqrt((groups - 1) / groups * ((differences - differences.mean()) ** 2).sum())
    return float(stdtrit(groups - 1, (1 + confidence) / 2) * error)


def _left_out(
    places: Places, dealt: IntArray, groups: int, num_items: int, figure: Callable[[IntArray], float]
) -> NDArray[np.float64]:
    """[groups] the figure without the lists of each group."""
    rows, items = places
    order = np.argsort(dealt[rows], kind="stable")
    whole = np.bincount(items, minlength=num_items)
    parts = np.split(items[order], np.cumsum(np.bincount(dealt[rows], minlength=groups))[:-1])
    return np.array([figure(whole - np.bincount(part, minlength=num_items)) for part in parts])
