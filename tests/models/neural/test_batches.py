from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import numbered, queries, random_rows

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.batches import Batches, PositivesOnlyBatches, target_chances
from bakeoff.models.neural.model import MultiHotSampledSoftmax
from bakeoff.models.neural.pooling import RecencyPooling
from bakeoff.models.neural.proposals import (
    InBatchSampler,
    NegativeSampler,
    all_targets,
    catalogue_sampler,
    make_sampler,
    uniform_sampler,
)
from bakeoff.models.neural.spec import SoftmaxParams

NUM_ITEMS = 30
SEEDS = st.integers(0, 2**32)


class Remember(NegativeSampler):
    """Draws no negatives, and keeps what it was shown as targets."""

    def __init__(self):
        super().__init__(np.ones(NUM_ITEMS))
        self.targets = []

    def draw(self, targets, rng):
        self.targets.append(np.sort(targets))
        return catalogue_sampler(0).draw(targets, rng)


class Script(NegativeSampler):
    """Draws what it was told, batch by batch."""

    def __init__(self, *draws, inclusion=None):
        told = iter(draws)
        super().__init__(np.ones(NUM_ITEMS) if inclusion is None else inclusion, lambda *_: np.array(next(told)))


def batches_of(people, sampler, params, rng):
    return Batches(people, RecencyPooling(params.recency_scales, params.max_history), params, NUM_ITEMS, rng, sampler)


def batches(rows, sampler=None, seed=0, **values):
    params = SoftmaxParams(**({"users_per_batch": 4, "cuts_per_user": 3, "target_window": 2} | values))
    return batches_of(numbered(rows), sampler or uniform_sampler(NUM_ITEMS, 5), params, np.random.default_rng(seed))


def rows_of(seed, num_users=11, longest=9):
    return random_rows(np.random.default_rng(seed), num_users, NUM_ITEMS, longest)


def users_of(batch):
    return batch["categorical"].ravel().tolist()


def read_by(batch):
    """Item indices that each query reads."""
    items = batch["item_ids"][batch["history"]]
    return [part.tolist() for part in np.split(items, batch["history_offsets"][1:-1])]


def targets_of(batch, row):
    return batch["item_ids"][batch["targets"][batch["target_rows"] == row]].tolist()


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_an_epoch_sees_every_user_with_a_history_once(seed):
    rows = rows_of(seed)
    seen = [user for batch in batches(rows).epoch() for user in users_of(batch)]
    assert sorted(seen) == [user for user, row in enumerate(rows) if row]


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, window=st.integers(1, 4))
def test_queries_read_the_items_of_their_user_up_to_a_cut_and_ask_for_the_next(seed, window):
    rows = rows_of(seed)
    for batch in batches(rows, target_window=window).epoch():
        assert len(batch["history_offsets"]) == 3 * len(users_of(batch)) + 1
        for place, read in enumerate(read_by(batch)):
            history = rows[users_of(batch)[place // 3]]
            assert read == history[: len(read)][::-1]
            assert targets_of(batch, place) == history[len(read) : len(read) + window]


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_a_user_is_asked_for_all_items_where_the_objective_is_to_reconstruct_them(seed):
    rows = rows_of(seed)
    for batch in batches(rows, objective="reconstruct").epoch():
        for place, (user, read) in enumerate(zip(users_of(batch), read_by(batch), strict=True)):
            assert targets_of(batch, place) == rows[user]
            assert set(read) <= set(rows[user])


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_the_sampler_is_shown_every_target_with_repeats(seed):
    sampler = Remember()
    epoch = list(batches(rows_of(seed), sampler).epoch())
    expected = [np.sort(batch["item_ids"][batch["targets"]]).tolist() for batch in epoch]
    assert [targets.tolist() for targets in sampler.targets] == expected


def test_the_number_of_batches_of_an_epoch_is_known():
    rows = [[1], [2, 3], [], [4], [5], [6]]
    made = batches(rows, users_per_batch=2)
    assert made.per_epoch == len(list(made.epoch())) == 3


def test_features_stay_with_their_user():
    made = batches([[1], [2, 3], [4]] * 5)
    batch = next(made.epoch())
    users = users_of(batch)
    assert len(set(users)) == 4
    assert batch["dense"].tolist() == [[user, 10 * user] for user in users]


def test_activity_stays_with_its_user():
    # Users with 1, 2, … 6 items a second apart: a query that reads n of them knows log(1 + n) and n − 1 seconds.
    rows = [list(range(length)) for length in range(1, 7)]
    for batch in batches(rows, empty_history_share=0).epoch():
        read = np.diff(batch["history_offsets"])
        assert batch["activity"][:, 0] == pytest.approx(np.log1p(read))
        seconds = np.where(read > 0, np.log(np.maximum(read, 1)), np.nan)
        assert batch["activity"][:, 2] == pytest.approx(seconds, abs=1e-6, nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_what_a_query_reads_weighs_as_the_pooling_says(seed):
    pooling = RecencyPooling((1.0, 4.0), 3)
    for batch in batches(rows_of(seed), recency_scales=(1.0, 4.0), max_history=3).epoch():
        read = np.diff(batch["history_offsets"])
        lags = np.concatenate([np.arange(number) for number in read])
        assert batch["history_weights"].tolist() == pooling.weights(lags, np.repeat(read, read)).tolist()


def test_distinct_items_of_a_step_are_counted_once():
    [batch] = batches([[1, 2], [2, 1]], catalogue_sampler(3)).epoch()
    assert batch["item_ids"].tolist() == [0, 1, 2]
    assert batch["item_ids"][batch["candidates"]].tolist() == [0, 1, 2]


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_own_marks_the_candidates_that_the_user_has_anywhere_in_the_history(seed):
    rows = rows_of(seed)
    made = batches(rows, uniform_sampler(NUM_ITEMS, 12))
    masked = pairs = 0
    for batch in made.epoch():
        ids = batch["item_ids"][batch["candidates"]]
        expected = [[item in rows[user] for item in ids.tolist()] for user in users_of(batch)]
        assert batch["own"].tolist() == expected
        masked += int(np.sum(expected))
        pairs += batch["own"].size
    assert made.masked.tolist() == [masked, pairs]


def test_candidates_of_one_batch_are_forgotten_in_the_next():
    first, second = batches([[0, 1, 2, 3], [3, 2, 1, 0]], Script([3, 1, 2], [9]), users_per_batch=1).epoch()
    assert first["own"].tolist() == [[True] * 3]
    assert second["own"].tolist() == [[False]]


def test_each_target_comes_with_the_log_of_its_expected_count():
    inclusion = np.linspace(0, 1, NUM_ITEMS)
    [batch] = batches([[0, 1, 2], [29, 7]], Script([4], inclusion=inclusion)).epoch()
    targets = batch["item_ids"][batch["targets"]]
    assert set(targets.tolist()) <= {0, 1, 2, 29, 7}
    # Item 0 is never drawn for anybody else: nothing is corrected.
    expected = np.log(np.where(targets > 0, inclusion[targets], 1))
    assert batch["target_log_expected_count"] == pytest.approx(expected, rel=1e-6)
    assert batch["target_log_expected_count"].dtype == np.float32


def test_the_users_own_event_does_not_count_among_those_that_bring_a_target():
    # Four users with events, two in a batch: one other of three. The only event is always a target.
    rows = [[3], [3], [3], [7], []]
    sampler = InBatchSampler(all_targets, numbered(rows).histories, 2, NUM_ITEMS)
    found = {}
    for batch in batches(rows, sampler, users_per_batch=2).epoch():
        targets = batch["item_ids"][batch["targets"]]
        found |= dict(zip(targets.tolist(), np.exp(batch["target_log_expected_count"]).tolist(), strict=True))
    # two others of three have item 3; nobody else has item 7, whose own event has to do
    assert found == pytest.approx({3: 1 - (1 - 1 / 3) ** 2, 7: 1 / 3})
    assert np.exp(sampler.log_counts[3]) == pytest.approx(1 - (1 - 1 / 3) ** 3)


def test_batches_are_of_equal_size_so_that_others_bring_as_many_candidates_in_each():
    made = batches([[n] for n in range(10)], users_per_batch=4)
    assert [len(batch["categorical"]) for batch in made.epoch()] == [4, 3, 3]


def test_same_seed_same_batches_and_another_seed_others():
    rows = rows_of(3)
    first, again, other = (list(batches(rows, seed=seed).epoch()) for seed in (1, 1, 2))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not all(same(a, b) for a, b in zip(first, other, strict=True))


def test_the_next_epoch_is_another_one():
    made = batches([[n, n + 1, n + 2] for n in range(20)])
    first, second = list(made.epoch()), list(made.epoch())
    assert not all(same(a, b) for a, b in zip(first, second, strict=True))


def test_expected_counts_in_a_batch_are_those_of_a_simulation():
    # 40 users with 1 to 6 of 30 items; 5 in a batch. The expected count of an item is how often it is among the
    # candidates of a user who does not have it.
    rng = np.random.default_rng(5)
    rows = [rng.choice(NUM_ITEMS, rng.integers(1, 7), replace=False).tolist() for _ in range(40)]
    has = np.array([np.isin(np.arange(NUM_ITEMS), row) for row in rows])
    params = SoftmaxParams(users_per_batch=5, cuts_per_user=2, target_window=2)
    people = queries(rows, 0, 0)
    chances = partial(target_chances, params=params)
    sampler = make_sampler(people.histories, NUM_ITEMS, params.negatives, chances, params.users_per_batch)
    made = batches_of(numbered(rows), sampler, params, rng)
    drawn, asked, expected = np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS)
    for _ in range(300):
        for batch in made.epoch():
            ids = batch["item_ids"][batch["candidates"]]
            drawn[ids] += (~batch["own"]).sum(axis=0)
            expected[ids] = np.exp(batch["log_expected_count"])
            asked += (~has[users_of(batch)]).sum(axis=0)
    found = drawn / asked
    assert expected[np.concatenate(rows).astype(int)].min() > 0
    # 300 × 8 batches with up to 5 correlated rows each: a standard error of .01 at most. Users are drawn without
    # replacement, which the formula does not know: 4 of 39 make .02.
    assert np.abs(found - expected).max() < 0.04
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_the_events_of_a_user_who_has_an_item_again_count_as_one_who_brings_it():
    # 80 users, 5 in a batch. One has had item 0 thirty times, two have had item 1 five times each; the other items are
    # had once or twice by many.
    rng = np.random.default_rng(6)
    rows = [rng.integers(2, NUM_ITEMS, rng.integers(2, 9)).tolist() for _ in range(80)]
    rows[0] += [0] * 30
    rows[1], rows[2] = ([*row, *[1, row[0]] * 5] for row in rows[1:3])
    has = np.array([np.isin(np.arange(NUM_ITEMS), row) for row in rows])
    params, people = SoftmaxParams(users_per_batch=5, cuts_per_user=2, target_window=2), numbered(rows)
    chances = partial(target_chances, params=params)
    sampler = make_sampler(people.histories, NUM_ITEMS, params.negatives, chances, params.users_per_batch)
    made, epochs = batches_of(people, sampler, params, rng), 250
    brought = np.zeros(has.shape)  # [user, item], batches of the user in which somebody else has the item as a target
    stated = np.full(has.shape, np.nan)  # of the user's own targets
    for _ in range(epochs):
        for batch in made.epoch():
            users = np.array(users_of(batch))
            pairs = users[batch["target_rows"] // params.cuts_per_user], batch["item_ids"][batch["targets"]]
            is_target = np.zeros(has.shape)
            is_target[pairs] = 1
            brought[users] += is_target[users].sum(axis=0) > is_target[users]
            stated[pairs] = np.exp(batch["target_log_expected_count"])
    # Means over users of an item. As above, the formula does not know that users are drawn without replacement.
    of_negatives, of_targets = (np.nanmean(np.where(of, brought / epochs, np.nan), axis=0) for of in (~has, has))
    assert of_negatives == pytest.approx(sampler.inclusion, abs=0.04)
    assert of_targets[1:] == pytest.approx(np.nanmean(stated, axis=0)[1:], abs=0.04)
    # Item 0 can be brought by one user alone, who hardly ever misses it, and item 1 by two.
    assert sampler.inclusion[:2] == pytest.approx(of_negatives[:2], abs=0.005)
    # Nobody else has item 0: its own user has to do.
    assert stated[0, 0] == pytest.approx(sampler.inclusion[0])


@pytest.mark.parametrize("objective", ["next", "reconstruct"])
def test_the_weight_of_an_event_multiplies_that_of_its_pairs(objective):
    rows = [[1, 2, 3, 4, 5], [6, 7, 8]]
    settings = SoftmaxParams(users_per_batch=2, cuts_per_user=3, objective=objective)

    def batch(weights):
        people = queries(rows)
        people = replace(people, histories=replace(people.histories, weights=weights))
        rng = np.random.default_rng(4)
        return next(
            Batches(people, RecencyPooling((), 8), settings, NUM_ITEMS, rng, catalogue_sampler(NUM_ITEMS)).epoch()
        )

    plain, weighted = batch(None), batch(np.arange(1, 9, dtype=np.float32))  # item i weighs i
    items = weighted["item_ids"][weighted["targets"]]
    assert weighted["target_weights"].tolist() == (plain["target_weights"] * items.astype(np.float32)).tolist()
    assert weighted["target_weights"].dtype == np.float32


@pytest.mark.parametrize(
    ("values", "queries_each"),
    [({"objective": "reconstruct"}, 1), ({"empty_history_share": 0.999999, "target_window": 4}, 3)],
)
def test_an_item_that_is_had_again_is_one_target_with_the_weight_of_all_its_events(values, queries_each):
    # Whole histories are targets.
    made = batches([[7, 1, 7, 7], [3, 3]], catalogue_sampler(NUM_ITEMS), **values)
    batch = made._batch(np.array([0, 1]))
    rows = [[7, 1]] * queries_each + [[3]] * queries_each
    assert [targets_of(batch, row) for row in range(len(rows))] == rows
    weights = [0.75, 0.25] * queries_each + [1] * queries_each
    assert batch["target_weights"].tolist() == weights
    assert len(batch["target_log_expected_count"]) == len(weights)


@pytest.mark.parametrize("copies", [2, 5])
def test_the_odds_of_two_targets_are_those_of_their_events(copies):
    # Nothing else competes: the loss is least where the softmax is the share of the events.
    batch = batches([[0] * copies + [1]], catalogue_sampler(2), objective="reconstruct")._batch(np.array([0]))
    logits = tf.Variable(np.log([copies, 1]).astype(np.float32))
    with tf.GradientTape() as tape:
        targets = tf.gather(logits, batch["targets"]), batch["target_rows"], batch["target_weights"]
        loss = MultiHotSampledSoftmax()(*targets, logits[tf.newaxis, tf.newaxis], np.zeros(2), batch["own"])
    assert tape.gradient(loss, logits).numpy() == pytest.approx([0, 0], abs=1e-6)


def test_what_a_user_dislikes_is_a_negative_of_that_user_alone():
    people = queries([[1, 2, 3], [4, 5, 6], [7, 8]])
    # User 0 dislikes 9, which is sampled too, and 11; user 1 dislikes 9, and 4, which it has had.
    dislikes = replace(queries([[9, 11], [9, 4], []]).histories, weights=np.array([-1, -2, -3, -4], np.float32))
    settings = SoftmaxParams(users_per_batch=3, cuts_per_user=2)
    batches = Batches(
        people, RecencyPooling((), 8), settings, NUM_ITEMS, np.random.default_rng(0), Script([1, 9, 10]), dislikes
    )
    batch = batches._batch(np.array([0, 1, 2]))
    assert batch["item_ids"][batch["candidates"]].tolist() == [1, 9, 10, 9, 11, 9, 4]
    assert (~batch["own"]).astype(int).tolist() == [
        [0, 0, 1, 1, 1, 0, 0],
        [1, 0, 1, 0, 0, 1, 0],
        [1, 1, 1, 0, 0, 0, 0],
    ]
    assert batch["log_expected_count"][3:] == pytest.approx(-np.log([1, 2, 3, 4]))
    assert batch["log_expected_count"].dtype == np.float32
    assert batches.masked.tolist() == [1, 9]  # of what is sampled


def test_without_negatives_what_a_user_dislikes_is_none_either():
    people = queries([[1, 2, 3], [4, 5, 6], [7, 8]])
    dislikes = replace(queries([[9, 11], [9, 4], []]).histories, weights=-np.ones(4, np.float32))
    arguments = people, RecencyPooling((), 8), SoftmaxParams(users_per_batch=3), NUM_ITEMS
    [batch] = PositivesOnlyBatches(*arguments, np.random.default_rng(0), dislikes=dislikes).epoch()
    assert set(batch["item_ids"][batch["candidates"]].tolist()) <= set(range(1, 9))
    assert batch["own"].all()
