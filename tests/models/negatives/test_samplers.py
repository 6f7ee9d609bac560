import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import histories

from bakeoff.models.negatives import CatalogueSampler, InBatchSampler, PopularitySampler, UniformSampler
from bakeoff.models.negatives.candidates import log_inclusion
from bakeoff.models.softmax.batches import target_chances
from bakeoff.models.softmax.trainer import make_sampler
from bakeoff.params import SoftmaxParams

NUM_ITEMS = 12
FREQUENCIES = np.array([400, 200, 100, 80, 50, 40, 30, 20, 20, 10, 10, 0])
DRAWS = 8_000

EVENTS = histories([[item] for item, count in enumerate(FREQUENCIES) for _ in range(count)])
"""One user per event: each is a target whenever its user is in the batch."""


def samplers():
    return {
        "uniform": UniformSampler(NUM_ITEMS, 5),
        "popularity": PopularitySampler(FREQUENCIES, 5, 0.75),
        "full": CatalogueSampler(NUM_ITEMS),
        "in-batch": InBatchSampler(np.ones(len(EVENTS.items)), EVENTS, users_per_batch=8),
    }


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


@pytest.mark.parametrize("name", ["uniform", "popularity", "full"])
def test_the_expected_count_is_how_often_an_item_is_drawn(name):
    rng = np.random.default_rng(1)
    sampler = samplers()[name]
    counts, expected = np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS)
    for _ in range(DRAWS):
        candidates = sampler.draw(np.zeros(0, np.int32), rng)
        counts[candidates.ids] += 1
        expected[candidates.ids] = np.exp(candidates.log_expected_count)
    assert_is_frequency(counts / DRAWS, expected, DRAWS)


def test_the_in_batch_count_is_how_often_other_users_bring_an_item():
    rng = np.random.default_rng(2)
    sampler = samplers()["in-batch"]
    counts, expected = np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS)
    for _ in range(DRAWS):
        # The first user of the batch is the one who asks; the other seven bring the negatives.
        candidates = sampler.draw(batch_targets(rng, 8)[1:], rng)
        counts[candidates.ids] += 1
        expected[candidates.ids] = np.exp(candidates.log_expected_count)
    # The formula lets every user join the batch independently; that a batch has exactly eight makes what a fifth or
    # more of all users have a little more frequent: exp(−7 · .42) = .054 of such batches miss it, (1 − .42)⁷ = .023.
    assert_is_frequency(counts / DRAWS, expected, DRAWS, bias=np.where(FREQUENCIES > 60, 0.035, 0.003))


def assert_is_frequency(found, expected, num_draws, bias=0.0):
    """Within five standard errors of a share."""
    tolerance = 5 * np.sqrt(np.maximum(expected * (1 - expected), 0) / num_draws) + bias
    assert (np.abs(found - expected) <= tolerance + 1e-6).all(), (found, expected)


def test_uniform_draws_the_number_that_was_asked_for():
    assert len(UniformSampler(NUM_ITEMS, 5).draw(np.zeros(0, np.int32), np.random.default_rng(0)).ids) == 5


def test_uniform_draws_no_more_items_than_there_are():
    candidates = UniformSampler(3, 500).draw(np.zeros(0, np.int32), np.random.default_rng(0))
    assert sorted(candidates.ids.tolist()) == [0, 1, 2]
    assert candidates.log_expected_count.tolist() == [0, 0, 0]


def test_popularity_never_draws_an_item_without_events():
    # Without the rule an exponent of 0 would draw everything alike.
    sampler = PopularitySampler(np.array([0, 3, 0, 1, 0]), 50, exponent=0.0)
    rng = np.random.default_rng(0)
    drawn = {item for _ in range(50) for item in sampler.draw(np.zeros(0, np.int32), rng).ids.tolist()}
    assert drawn == {1, 3}


def test_a_popularity_exponent_of_one_is_proportional_to_frequency():
    # one draw: expected counts are the probabilities 3/4 and 1/4
    sampler = PopularitySampler(np.array([3, 1]), 1, exponent=1.0)
    rng = np.random.default_rng(0)
    drawn = [sampler.draw(np.zeros(0, np.int32), rng) for _ in range(50)]
    expected = {int(c.ids[0]): float(np.exp(c.log_expected_count[0])) for c in drawn}
    assert expected == pytest.approx({0: 0.75, 1: 0.25})


def test_popularity_works_where_one_item_has_all_the_events():
    candidates = PopularitySampler(np.array([0, 7]), 3, 0.75).draw(np.zeros(0, np.int32), np.random.default_rng(0))
    assert (candidates.ids.tolist(), candidates.log_expected_count.tolist()) == ([1], [0])


def test_in_batch_candidates_are_the_distinct_targets():
    sampler = samplers()["in-batch"]
    assert sampler.draw(np.array([3, 1, 3, 0], np.int32), np.random.default_rng(0)).ids.tolist() == [0, 1, 3]


def test_a_batch_of_one_user_needs_no_correction():
    sampler = InBatchSampler(np.ones(len(EVENTS.items)), EVENTS, users_per_batch=1)
    assert sampler.draw(np.array([2], np.int32), np.random.default_rng(0)).log_expected_count.tolist() == [0]


def test_a_batch_of_all_users_brings_what_any_of_them_must():
    # Both users are always in the batch and their one event always a target: the count is 1, its log 0.
    events = histories([[0], [1]])
    sampler = InBatchSampler(np.ones(2), events, users_per_batch=2)
    assert sampler.draw(np.array([0, 1], np.int32), np.random.default_rng(0)).log_expected_count.tolist() == [0, 0]


def test_users_without_events_do_not_count_among_those_who_may_share_a_batch():
    with_idle = histories([[0], [], [1], [], [1]])
    without = histories([[0], [1], [1]])
    counts = [
        InBatchSampler(np.ones(3), events, 2).draw(np.array([0, 1], np.int32), np.random.default_rng(0))
        for events in (with_idle, without)
    ]
    assert counts[0].log_expected_count.tolist() == counts[1].log_expected_count.tolist()
    # share (2 − 1)/(3 − 1): item 0 has one event, item 1 two: 1/2 and 1 − 1/4
    assert np.exp(counts[1].log_expected_count).tolist() == pytest.approx([1 / 2, 3 / 4])


@settings(deadline=None)
@given(num_draws=st.integers(1, 1000), probability=st.floats(1e-9, 1))
def test_log_inclusion_is_the_log_of_one_minus_the_chance_to_miss_every_time(num_draws, probability):
    # The naive formula, and where it would lose its digits the first term of the series instead.
    missed = (1 - probability) ** num_draws
    expected = np.log(1 - missed) if missed < 0.9 else np.log(num_draws * probability)
    tolerance = 1e-5 if missed < 0.9 else 0.06
    assert log_inclusion(num_draws, np.array([probability]))[0] == pytest.approx(expected, abs=tolerance)


def test_what_can_not_be_drawn_has_a_log_count_of_minus_infinity():
    assert log_inclusion(5, np.array([0.0, 1.0])).tolist() == [-np.inf, 0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("uniform", UniformSampler),
        ("popularity", PopularitySampler),
        ("in-batch", InBatchSampler),
        ("full", CatalogueSampler),
    ],
)
def test_the_settings_name_the_sampler(name, kind):
    params = SoftmaxParams(negatives={"sampler": name, "num_sampled": 4}, users_per_batch=8, target_window=1)
    assert isinstance(make_sampler(EVENTS, NUM_ITEMS, params), kind)


def test_the_in_batch_sampler_of_the_settings_knows_the_chances_of_targets():
    params = SoftmaxParams(users_per_batch=2, cuts_per_user=1, target_window=1)
    events = histories([[0, 1, 2], [2, 1, 0], [0, 2, 1]])
    by_hand = InBatchSampler(target_chances(events, params), events, 2)
    made = make_sampler(events, 3, params)
    targets, rng = np.arange(3, dtype=np.int32), np.random.default_rng(0)
    assert made.draw(targets, rng).log_expected_count.tolist() == by_hand.draw(targets, rng).log_expected_count.tolist()
    assert by_hand.draw(targets, rng).log_expected_count.max() < 0
