import numpy as np
import pytest

from bakeoff.core.histories import Histories
from bakeoff.experiments.folding import THRESHOLD, fit_relatedness, sampled_positives
from bakeoff.models.mf.spec import MFParams

MF = MFParams(dim=2, max_epochs=8, regularization=0.05)
NUM_ITEMS = 40
GROUPS = np.arange(60) % 2


@pytest.fixture(scope="module")
def blocks():
    """60 users with ten of the twenty items of their own half; item 0 is everybody's. A last user has nothing."""
    rng = np.random.default_rng(3)
    items = np.stack([20 * group + rng.choice(20, 10, replace=False) for group in GROUPS])
    items[:, 0] = 0
    rows = np.repeat(np.arange(60), 10)
    return Histories.from_rows(rows, items.ravel(), np.zeros(600, np.int64), 61)


@pytest.mark.parametrize("weight", [10.0, 1000.0])
def test_items_of_the_own_half_are_related_and_those_of_the_other_are_not(blocks, weight):
    related = fit_relatedness(blocks, NUM_ITEMS, MF, weight, seed=1).of(np.arange(60))
    is_own = GROUPS[:, np.newaxis] == np.arange(1, NUM_ITEMS) // 20
    assert related.min() >= 0
    assert related.max() <= 1
    assert (related[:, 1:][is_own] >= THRESHOLD).mean() > 0.9
    assert (related[:, 1:][~is_own] < 0.1).mean() > 0.99


def test_windows_that_mf_learns_from_play_no_part(blocks):
    timed = Histories.from_rows(blocks.rows, blocks.items, np.arange(600, dtype=np.int64), 61)
    whole, windows = (
        fit_relatedness(timed, NUM_ITEMS, MF.model_copy(update={"window": window}), 10.0, seed=1).of(np.arange(61))
        for window in (None, 4)
    )
    assert np.array_equal(windows, whole)


def test_a_user_without_events_is_related_to_all_items_alike(blocks):
    assert len(np.unique(fit_relatedness(blocks, NUM_ITEMS, MF, 10.0, seed=1).of(np.array([60])))) == 1


def test_rows_are_given_in_the_order_in_which_they_are_asked_for(blocks):
    related = fit_relatedness(blocks, NUM_ITEMS, MF, 10.0, seed=1)
    assert related.of(np.array([5, 2])) == pytest.approx(related.of(np.arange(6))[[5, 2]], abs=1e-5)


def test_the_same_seed_gives_the_same_relatedness(blocks):
    one, other, third = (fit_relatedness(blocks, NUM_ITEMS, MF, 10.0, seed).of(np.arange(9)) for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_positives_are_events_of_their_users(blocks):
    rows, items = sampled_positives(blocks, 50, np.random.default_rng(0))
    pairs = list(zip(rows.tolist(), items.tolist(), strict=True))
    every = list(zip(blocks.rows.tolist(), blocks.items.tolist(), strict=True))
    assert len(pairs) == 50
    assert set(pairs) <= set(every)


def test_few_positives_are_all_taken(blocks):
    rows, items = sampled_positives(blocks, 600, np.random.default_rng(0))
    assert np.array_equal(rows, blocks.rows)
    assert np.array_equal(items, blocks.items)
