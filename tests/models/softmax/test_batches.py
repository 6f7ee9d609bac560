from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import queries, random_rows

from bakeoff.models.negatives import CatalogueSampler, UniformSampler
from bakeoff.models.softmax.batches import Batches, target_chances
from bakeoff.models.softmax.trainer import make_sampler
from bakeoff.params import SoftmaxParams
from bakeoff.preparation.histories import PAD

NUM_ITEMS = 30


class Remember:
    """Draws no negatives, and keeps what it was shown as targets."""

    def __init__(self):
        self.targets = []

    def draw(self, targets, rng):
        self.targets.append(np.sort(targets))
        return CatalogueSampler(0).draw(targets, rng)


def batches(rows, sampler=None, seed=0, **params):
    settings = SoftmaxParams(**({"users_per_batch": 4, "cuts_per_user": 3, "target_window": 2} | params))
    return Batches(
        queries(rows, 2, 1), sampler or UniformSampler(NUM_ITEMS, 5), settings, NUM_ITEMS, np.random.default_rng(seed)
    )


def rows_of(seed, num_users=11, longest=9):
    return random_rows(np.random.default_rng(seed), num_users, NUM_ITEMS, longest)


def histories_of(batch):
    """The item indices of the histories of a batch, per user."""
    return [batch["item_ids"][row[row != PAD]].tolist() for row in batch["history"]]


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_an_epoch_sees_every_user_with_a_history_once(seed):
    rows = rows_of(seed)
    seen = [history for batch in batches(rows).epoch() for history in histories_of(batch)]
    assert sorted(seen) == sorted(row for row in rows if row)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_cuts_lie_within_the_history(seed):
    for batch in batches(rows_of(seed)).epoch():
        lengths = (batch["history"] != PAD).sum(axis=1)
        assert (batch["cuts"] >= 0).all()
        assert (batch["cuts"] < lengths[:, np.newaxis]).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), window=st.integers(1, 4))
def test_targets_are_the_items_after_a_cut(seed, window):
    sampler = Remember()
    epoch = list(batches(rows_of(seed), sampler, target_window=window).epoch())
    assert len(sampler.targets) == len(epoch)
    for batch, targets in zip(epoch, sampler.targets, strict=True):
        expected = [
            item
            for history, cuts in zip(histories_of(batch), batch["cuts"], strict=True)
            for place, item in enumerate(history)
            if any(cut <= place < cut + window for cut in cuts)
        ]
        assert targets.tolist() == sorted(expected)


def test_the_number_of_batches_of_an_epoch_is_known():
    rows = [[1], [2, 3], [], [4], [5], [6]]
    made = batches(rows, users_per_batch=2)
    assert made.per_epoch == len(list(made.epoch())) == 3


def test_a_history_of_one_event_is_predicted_from_nothing():
    [batch] = batches([[7], [8]], cuts_per_user=5, empty_history_share=0).epoch()
    assert batch["cuts"].tolist() == [[0] * 5] * 2


def test_empty_histories_have_the_share_that_was_asked_for():
    rows = [[1, 2, 3]] * 100
    [batch] = batches(rows, users_per_batch=100, cuts_per_user=400, empty_history_share=0.2).epoch()
    shares = [float((batch["cuts"] == cut).mean()) for cut in range(3)]
    # 40,000 cuts: a standard error of .0025 at most. The cuts from 1 on share the rest evenly.
    assert shares == pytest.approx([0.2, 0.4, 0.4], abs=0.0125)


def test_without_a_share_of_empty_histories_no_cut_is_at_zero():
    [batch] = batches([[1, 2, 3]] * 4, cuts_per_user=200, empty_history_share=0).epoch()
    assert set(batch["cuts"].ravel().tolist()) == {1, 2}


def test_features_and_times_stay_with_their_user():
    people = queries([[1], [2, 3], [4]], 2, 1)
    people = replace(people, dense=np.array([[1, 10], [2, 20], [4, 40]], np.float32), categorical=people.categorical)
    people = replace(people, categorical=np.array([[1], [2], [4]], np.int32))
    params = SoftmaxParams(users_per_batch=3, cuts_per_user=1)
    [batch] = Batches(people, UniformSampler(NUM_ITEMS, 5), params, NUM_ITEMS, np.random.default_rng(0)).epoch()
    first = [history[0] for history in histories_of(batch)]
    assert sorted(first) == [1, 2, 4]
    assert batch["dense"].tolist() == [[item, 10 * item] for item in first]
    assert batch["categorical"].ravel().tolist() == first
    assert batch["timestamps"][first.index(2)].tolist() == [1000, 1001]
    assert batch["timestamps"][first.index(1)].tolist() == [1000, 0]


def test_distinct_items_of_a_step_are_counted_once():
    [batch] = batches([[1, 2], [2, 1]], CatalogueSampler(3)).epoch()
    assert batch["item_ids"].tolist() == [0, 1, 2]
    assert batch["item_ids"][batch["candidates"]].tolist() == [0, 1, 2]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_own_marks_the_candidates_that_the_user_has_anywhere_in_the_history(seed):
    made = batches(rows_of(seed), UniformSampler(NUM_ITEMS, 12))
    masked = pairs = 0
    for batch in made.epoch():
        ids = batch["item_ids"][batch["candidates"]]
        expected = [[item in history for item in ids.tolist()] for history in histories_of(batch)]
        assert batch["own"].tolist() == expected
        masked += int(np.sum(expected))
        pairs += batch["own"].size
    assert (made.masked.masked, made.masked.candidates) == (masked, pairs)
    assert made.masked.share == (masked / pairs if pairs else 0)


def test_same_seed_same_batches_and_another_seed_others():
    rows = rows_of(3)
    first, again, other = (list(batches(rows, seed=seed).epoch()) for seed in (1, 1, 2))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not all(same(a, b) for a, b in zip(first, other, strict=True))


def test_the_next_epoch_is_another_one():
    made = batches([[n, n + 1, n + 2] for n in range(20)])
    first, second = list(made.epoch()), list(made.epoch())
    assert not all(same(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("empty", [0.0, 0.3])
@pytest.mark.parametrize("window", [1, 2, 9])
def test_chances_of_targets_are_those_of_a_simulation(empty, window):
    rows = [[0, 1, 2, 3, 4], [5], [6, 7]]
    sampler, repeats = Remember(), 1_500
    params = {"target_window": window, "empty_history_share": empty, "cuts_per_user": 2}
    made = batches(rows, sampler, **params)
    for _ in range(repeats):
        list(made.epoch())
    counts = np.bincount(np.concatenate(sampler.targets), minlength=8) / repeats
    chances = target_chances(queries(rows).histories, SoftmaxParams(**params))
    tolerance = 5 * np.sqrt(chances * (1 - chances) / repeats)
    assert (np.abs(counts - chances) <= tolerance + 1e-12).all(), (counts, chances)


def test_chances_by_hand():
    # Three events, one cut, window 1, empty share .2: the first is hit by the empty history, each other by one of
    # the two later cuts: .8/2. Two cuts miss .8 with chance .04 and .4 with chance .36.
    rows = queries([[0, 1, 2]]).histories
    one, two = (
        target_chances(rows, SoftmaxParams(target_window=1, empty_history_share=0.2, cuts_per_user=c)) for c in (1, 2)
    )
    assert one.tolist() == pytest.approx([0.2, 0.4, 0.4])
    assert two.tolist() == pytest.approx([0.36, 0.64, 0.64])


def test_the_only_event_of_a_user_is_a_target_for_sure():
    assert target_chances(queries([[3]]).histories, SoftmaxParams()).tolist() == [1]


def test_expected_counts_in_a_batch_are_those_of_a_simulation():
    # 40 users with 1 to 6 of 30 items; 5 in a batch. The expected count of an item is how often it is among the
    # candidates of a user who does not have it.
    rng = np.random.default_rng(5)
    rows = [rng.choice(NUM_ITEMS, rng.integers(1, 7), replace=False).tolist() for _ in range(40)]
    params = SoftmaxParams(users_per_batch=5, cuts_per_user=2, target_window=2)
    people = queries(rows)
    sampler = make_sampler(people.histories, NUM_ITEMS, params)
    made = Batches(people, sampler, params, NUM_ITEMS, rng)
    drawn, chances = np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS)
    expected = np.zeros(NUM_ITEMS)
    for _ in range(300):
        for batch in made.epoch():
            ids = batch["item_ids"][batch["candidates"]]
            drawn[ids] += (~batch["own"]).sum(axis=0)
            expected[ids] = np.exp(batch["log_expected_count"])
            has = np.array([np.isin(np.arange(NUM_ITEMS), history) for history in histories_of(batch)])
            chances += (~has).sum(axis=0)
    found = drawn / chances
    assert expected[np.concatenate(rows).astype(int)].min() > 0
    # 300 × 8 batches with up to 5 correlated rows each: a standard error of .01 at most. Users are drawn without
    # replacement, which the formula does not know: 4 of 39 make .02.
    assert np.abs(found - expected).max() < 0.04
    assert np.corrcoef(found, expected)[0, 1] > 0.99
