"""Intervals of figures that all lists have together."""

import numpy as np
import pytest

from bakeoff.evaluation.metrics.formulas import coverage
from bakeoff.evaluation.stats.intervals import GROUPS, jackknife_half_width

LENGTH = 10


def lists(rng: np.random.Generator, num_users: int, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten random items for each user, popular ones more often."""
    items = (num_items * rng.random((num_users, LENGTH)) ** 3).astype(np.int64)
    return np.repeat(np.arange(num_users), LENGTH), items.ravel()


def test_of_a_share_it_is_the_interval_of_a_mean():
    # One place per user, an item of the first half or not: the share of them is a mean over users.
    rng = np.random.default_rng(1)
    rows = np.arange(4000)
    one, other = (rows, rng.integers(0, 2, 4000)), (rows, np.zeros(4000, np.int64))

    def share(filled):
        return filled[0] / filled.sum()

    expected = 1.96 * one[1].std() / np.sqrt(4000)
    assert jackknife_half_width(one, other, 4000, 2, share, 0) == pytest.approx(expected, rel=0.3)


def test_equal_lists_do_not_differ():
    same = lists(np.random.default_rng(2), 100, 500)
    assert jackknife_half_width(same, same, 100, 500, coverage, 0) == 0


def test_intervals_of_coverage_hold_the_difference_as_often_as_they_say():
    # Both models draw alike: the true difference is 0.
    rng, held = np.random.default_rng(3), []
    for _ in range(200):
        one, other = lists(rng, 200, 2000), lists(rng, 200, 2000)
        difference = (len(np.unique(one[1])) - len(np.unique(other[1]))) / 2000
        held.append(abs(difference) <= jackknife_half_width(one, other, 200, 2000, coverage, 0))
    assert 0.88 < np.mean(held) <= 1


def test_it_is_the_same_for_the_same_seed_and_needs_two_users():
    one, other = (lists(np.random.default_rng(seed), GROUPS + 3, 50) for seed in (4, 5))
    first, again = (jackknife_half_width(one, other, GROUPS + 3, 50, coverage, seed=7) for _ in range(2))
    assert first == again > 0
    alone = (np.zeros(LENGTH, np.int64), np.arange(LENGTH))
    assert np.isnan(jackknife_half_width(alone, alone, 1, LENGTH, coverage, 0))
    pair = (np.repeat([0, 1], LENGTH), np.tile(np.arange(LENGTH), 2))
    assert np.isfinite(jackknife_half_width(pair, pair, 2, LENGTH, coverage, 0))


def test_users_without_a_list_leave_their_group_empty():
    first = (np.zeros(3, np.int64), np.array([0, 1, 2]))
    second = (np.full(3, 99), np.array([3, 4, 5]))
    assert jackknife_half_width(first, second, 100, 10, coverage, 0) > 0
