import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import histories

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.proposals import (
    InBatchSampler,
    MixedSampler,
    all_targets,
    catalogue_sampler,
    inclusion_of_draws,
    log_counts,
    log_uniform_sampler,
    popularity_sampler,
    uniform_sampler,
)

NUM_ITEMS = 12
FREQUENCIES = np.array([400, 200, 100, 80, 50, 40, 30, 20, 20, 10, 10, 0])
DRAWS = 8_000

EVENTS = histories([[item] for item, count in enumerate(FREQUENCIES) for _ in range(count)])
"""One user per event: each is a target whenever its user is in the batch."""


def samplers():
    return {
        "uniform": uniform_sampler(NUM_ITEMS, 5),
        "popularity": popularity_sampler(FREQUENCIES, 5, 0.75),
        "log-uniform": log_uniform_sampler(FREQUENCIES, 5),
        "full": catalogue_sampler(NUM_ITEMS),
        "in-batch": in_batch(),
        "mixed": MixedSampler([uniform_sampler(NUM_ITEMS, 2), log_uniform_sampler(FREQUENCIES, 3)]),
        "mixed with the batch": MixedSampler([in_batch(), uniform_sampler(NUM_ITEMS, 3)]),
    }


def in_batch():
    return InBatchSampler(all_targets, EVENTS, users_per_batch=8, num_items=NUM_ITEMS)


def batch_targets(rng, users_per_batch):
    """Targets of a batch of distinct users of EVENTS."""
    return EVENTS.items[rng.choice(len(EVENTS), users_per_batch, replace=False)]


@pytest.mark.parametrize("name", samplers())
@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_candidates_are_distinct_items_of_the_catalogue(name, seed):
    rng = np.random.default_rng(seed)
    candidates = samplers()[name].draw(batch_targets(rng, 8), rng)
    assert candidates.ids.dtype == np.int32
    assert candidates.log_expected_count.dtype == np.float32
    assert candidates.log_expected_count.shape == candidates.ids.shape
    assert len(set(candidates.ids.tolist())) == len(candidates.ids)
    assert set(candidates.ids.tolist()) <= set(range(NUM_ITEMS))
    assert (candidates.log_expected_count <= 0).all()


@pytest.mark.parametrize("name", samplers())
def test_the_expected_counts_of_candidates_are_the_inclusion_of_their_items(name):
    rng = np.random.default_rng(1)
    sampler = samplers()[name]
    candidates = sampler.draw(batch_targets(rng, 8), rng)
    assert sampler.inclusion.shape == (NUM_ITEMS,)
    assert np.exp(candidates.log_expected_count) == pytest.approx(sampler.inclusion[candidates.ids], rel=1e-6)


@pytest.mark.parametrize("name", ["uniform", "popularity", "log-uniform", "full", "mixed"])
def test_the_inclusion_is_how_often_an_item_is_drawn(name):
    rng = np.random.default_rng(1)
    sampler = samplers()[name]
    counts = np.zeros(NUM_ITEMS)
    for _ in range(DRAWS):
        counts[sampler.draw(np.zeros(0, np.int32), rng).ids] += 1
    assert_is_frequency(counts / DRAWS, sampler.inclusion, DRAWS)


@pytest.mark.parametrize("name", ["in-batch", "mixed with the batch"])
def test_the_in_batch_inclusion_is_how_often_other_users_bring_an_item(name):
    rng = np.random.default_rng(2)
    sampler = samplers()[name]
    counts = np.zeros(NUM_ITEMS)
    for _ in range(DRAWS):
        # The first user of the batch is the one who asks; the other seven bring the negatives.
        counts[sampler.draw(batch_targets(rng, 8)[1:], rng).ids] += 1
    # The formula lets every user join the batch independently; that a batch has exactly eight makes what a fifth or
    # more of all users have a little more frequent: exp(−7 · .42) = .054 of such batches miss it, (1 − .42)⁷ = .023.
    assert_is_frequency(counts / DRAWS, sampler.inclusion, DRAWS, bias=np.where(FREQUENCIES > 60, 0.035, 0.003))


def assert_is_frequency(found, expected, num_draws, bias=0.0):
    """Within five standard errors of a share."""
    tolerance = 5 * np.sqrt(np.maximum(expected * (1 - expected), 0) / num_draws) + bias
    assert (np.abs(found - expected) <= tolerance + 1e-6).all(), (found, expected)


def test_uniform_draws_the_number_that_was_asked_for():
    assert len(uniform_sampler(NUM_ITEMS, 5).draw(np.zeros(0, np.int32), np.random.default_rng(0)).ids) == 5


def test_uniform_draws_no_more_items_than_there_are():
    candidates = uniform_sampler(3, 500).draw(np.zeros(0, np.int32), np.random.default_rng(0))
    assert sorted(candidates.ids.tolist()) == [0, 1, 2]
    assert candidates.log_expected_count.tolist() == [0, 0, 0]


def test_popularity_never_draws_an_item_without_events():
    # Without the rule an exponent of 0 would draw everything alike.
    sampler = popularity_sampler(np.array([0, 3, 0, 1, 0]), 50, exponent=0.0)
    rng = np.random.default_rng(0)
    drawn = {item for _ in range(50) for item in sampler.draw(np.zeros(0, np.int32), rng).ids.tolist()}
    assert drawn == {1, 3}


def test_a_popularity_exponent_of_one_is_proportional_to_frequency():
    # one draw: expected counts are the probabilities 3/4 and 1/4
    sampler = popularity_sampler(np.array([3, 1]), 1, exponent=1.0)
    rng = np.random.default_rng(0)
    drawn = [sampler.draw(np.zeros(0, np.int32), rng) for _ in range(50)]
    expected = {int(c.ids[0]): float(np.exp(c.log_expected_count[0])) for c in drawn}
    assert expected == pytest.approx({0: 0.75, 1: 0.25})


def test_popularity_works_where_one_item_has_all_the_events():
    candidates = popularity_sampler(np.array([0, 7]), 3, 0.75).draw(np.zeros(0, np.int32), np.random.default_rng(0))
    assert (candidates.ids.tolist(), candidates.log_expected_count.tolist()) == ([1], [0])


def test_in_batch_candidates_are_the_distinct_targets():
    sampler = samplers()["in-batch"]
    assert sampler.draw(np.array([3, 1, 3, 0], np.int32), np.random.default_rng(0)).ids.tolist() == [0, 1, 3]


def test_a_batch_of_one_user_needs_no_correction():
    sampler = InBatchSampler(all_targets, EVENTS, users_per_batch=1, num_items=NUM_ITEMS)
    assert sampler.draw(np.array([2], np.int32), np.random.default_rng(0)).log_expected_count.tolist() == [0]


def test_a_batch_of_all_users_brings_what_any_of_them_must():
    # Both users are always in the batch and their one event always a target: the count is 1, its log 0.
    events = histories([[0], [1]])
    sampler = InBatchSampler(all_targets, events, users_per_batch=2, num_items=2)
    counts = sampler.draw(np.array([0, 1], np.int32), np.random.default_rng(0)).log_expected_count
    assert counts.tolist() == pytest.approx([0, 0], abs=1e-12)
    # nobody but the one user has the item: its own event counts
    assert sampler.target_inclusion(np.array([0, 1]), np.ones(2)).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("name", ["in-batch", "mixed with the batch"])
def test_a_target_is_expected_as_often_as_others_bring_it(name):
    rng = np.random.default_rng(3)
    sampler = samplers()[name]
    items = np.array([2, 7, 10])
    owners, brought = np.searchsorted(EVENTS.items, items), np.zeros(3)  # the first user of each is the one who asks
    for _ in range(DRAWS // 2):
        users = rng.choice(len(EVENTS) - 1, 7, replace=False)
        for place, owner in enumerate(owners):
            brought[place] += items[place] in sampler.draw(EVENTS.items[users + (users >= owner)], rng).ids
    found = sampler.target_inclusion(items, np.ones(3))
    assert_is_frequency(2 * brought / DRAWS, found, DRAWS // 2, bias=np.array([0.035, 0.003, 0.003]))
    assert (found < sampler.inclusion[items]).all()


def test_users_without_events_do_not_count_among_those_who_may_share_a_batch():
    with_idle = histories([[0], [], [1], [], [1]])
    without = histories([[0], [1], [1]])
    counts = [
        InBatchSampler(all_targets, events, 2, 2).draw(np.array([0, 1], np.int32), np.random.default_rng(0))
        for events in (with_idle, without)
    ]
    assert counts[0].log_expected_count.tolist() == counts[1].log_expected_count.tolist()
    # share (2 − 1)/(3 − 1): item 0 has one event, item 1 two: 1/2 and 1 − 1/4
    assert np.exp(counts[1].log_expected_count).tolist() == pytest.approx([1 / 2, 3 / 4])


@settings(deadline=None)
@given(num_draws=st.integers(1, 1000), probability=st.floats(1e-9, 1))
def test_the_inclusion_of_draws_is_one_minus_the_chance_to_miss_every_time(num_draws, probability):
    # The naive formula, and where it would lose its digits the first term of the series instead.
    missed = (1 - probability) ** num_draws
    expected = 1 - missed if missed < 0.9 else num_draws * probability
    tolerance = 1e-5 if missed < 0.9 else 0.06
    assert inclusion_of_draws(num_draws, np.array([probability]))[0] == pytest.approx(expected, rel=tolerance)


def test_what_can_not_be_drawn_has_an_inclusion_of_zero_and_needs_no_correction():
    inclusion = inclusion_of_draws(5, np.array([0.0, 1.0]))
    assert inclusion.tolist() == [0, 1]
    assert log_counts(inclusion).tolist() == [0, 0]


def test_log_uniform_follows_the_rank_by_frequency_and_not_the_index():
    # Ranks: item 2 (9 events), then 0 and 3 (4, tie in index order), then 1. One draw: log2/log5, log(3/2)/log5, …
    sampler = log_uniform_sampler(np.array([4, 0, 9, 4]), 1)
    expected = np.log([3 / 2, 5 / 4, 2, 4 / 3]) / np.log(5)
    assert sampler.inclusion == pytest.approx(expected, rel=1e-12)


def test_log_uniform_has_the_probabilities_of_tensorflow_where_items_are_sorted_by_frequency():
    drawn = tf.random.log_uniform_candidate_sampler(
        tf.constant([[0]], tf.int64), num_true=1, num_sampled=5, unique=False, range_max=NUM_ITEMS, seed=3
    )
    # theirs is m·p for draws that are not unique
    sampler = log_uniform_sampler(np.arange(NUM_ITEMS)[::-1], 1)
    theirs = drawn.sampled_expected_count.numpy() / 5
    assert sampler.inclusion[drawn.sampled_candidates.numpy()] == pytest.approx(theirs, rel=1e-5)


def test_log_uniform_works_on_a_catalogue_of_one():
    candidates = log_uniform_sampler(np.array([3]), 4).draw(np.zeros(0, np.int32), np.random.default_rng(0))
    assert (candidates.ids.tolist(), candidates.log_expected_count.tolist()) == ([0], [0])


class Half:
    """A part that can only bring item 0, half of the time."""

    inclusion = np.array([0.5, 0.0, 0.0, 0.0])


def test_an_item_is_missed_by_a_mixture_where_every_part_misses_it():
    # item 0: 1 − (1 − 1/2)(1 − 1/4) = 5/8; the others come from the second part alone
    mixed = MixedSampler([Half(), uniform_sampler(4, 1)])
    assert mixed.inclusion == pytest.approx([5 / 8, 1 / 4, 1 / 4, 1 / 4])


def test_no_probability_of_a_mixture_is_floored():
    # p = 1e-12 in each of two parts that draw once
    rare = popularity_sampler(np.array([10**12, 1]), 1, 1.0)
    assert MixedSampler([rare, rare]).inclusion[1] == pytest.approx(2e-12, rel=1e-6)


def test_the_catalogue_in_a_mixture_makes_everything_exact():
    mixed = MixedSampler([in_batch(), catalogue_sampler(NUM_ITEMS)])
    candidates = mixed.draw(np.array([3], np.int32), np.random.default_rng(0))
    assert candidates.ids.tolist() == list(range(NUM_ITEMS))
    assert (candidates.log_expected_count == 0).all()


def test_the_in_batch_sampler_knows_items_without_an_event():
    assert in_batch().inclusion[NUM_ITEMS - 1] == 0


@pytest.mark.parametrize("name", ["uniform", "popularity", "log-uniform", "mixed"])
def test_the_same_generator_draws_the_same_candidates(name):
    first, again = (samplers()[name].draw(np.zeros(0, np.int32), np.random.default_rng(4)).ids for _ in range(2))
    assert first.tolist() == again.tolist()


def test_expected_counts_are_added_up_block_by_block_as_at_once(monkeypatch):
    whole = samplers()
    monkeypatch.setattr("bakeoff.core.histories.EVENTS_PER_BLOCK", 100)
    assert len(list(EVENTS.blocks())) > 1
    for name, sampler in samplers().items():
        np.testing.assert_allclose(sampler.inclusion, whole[name].inclusion, rtol=1e-12, err_msg=name)
