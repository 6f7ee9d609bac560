import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.core.histories import Histories
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.batches import predict_next, reconstruct
from bakeoff.models.neural.query_tower import NUM_ACTIVITY, activity_of_examples, activity_of_padded
from bakeoff.models.neural.spec import SoftmaxParams

SEEDS = st.integers(0, 2**32)
DAY = 86_400


def random_histories(seed, is_timed=True):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 14, 6)
    gaps = rng.integers(0, 3 * DAY, lengths.sum()) * rng.integers(0, 2, lengths.sum())
    times = 1_000 + np.cumsum(gaps) if is_timed else 0 * gaps
    return Histories.from_rows(np.repeat(np.arange(6), lengths), np.zeros(lengths.sum(), int), times, 6)


def cut(people, seed, max_history):
    params = SoftmaxParams(cuts_per_user=3, max_history=max_history, empty_history_share=0.2)
    return predict_next(people, params, np.random.default_rng(seed))


def prefixes(people, examples):
    """What each query knows, as padded timestamps and lengths."""
    each = people.take(np.repeat(np.arange(len(people)), 3))
    _, timestamps = each.padded(14)
    return timestamps, examples.lengths.astype(np.int32)


def by_hand(times, max_history):
    """Of one history, oldest first."""
    read = times[-max_history:] if len(times) else times
    if not len(read) or read[-1] == 0:
        return [np.log1p(len(read)), np.nan, np.nan]
    return [np.log1p(len(read)), np.log1p(read[-1] - read[-5:][0]), np.log1p(read[-1] - read[0])]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, max_history=st.integers(1, 12))
def test_activity_of_training_queries_is_that_by_hand(seed, max_history):
    people = random_histories(seed)
    examples = cut(people, seed, max_history)
    found = activity_of_examples(people.timestamps, examples, max_history)
    timestamps, lengths = prefixes(people, examples)
    expected = [by_hand(row[:n], max_history) for row, n in zip(timestamps, lengths, strict=True)]
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array(expected), rel=1e-5, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("is_timed", [True, False])
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, max_history=st.integers(1, 12))
def test_serving_measures_activity_as_training_does(is_timed, seed, max_history):
    people = random_histories(seed, is_timed)
    examples = cut(people, seed, max_history)
    timestamps, lengths = prefixes(people, examples)
    trained = activity_of_examples(people.timestamps, examples, max_history)
    served = activity_of_padded(tf.constant(timestamps), tf.constant(lengths), max_history).numpy()
    assert served == pytest.approx(trained, rel=1e-5, abs=1e-6, nan_ok=True)
    assert np.isnan(served[:, 1]).tolist() == [n == 0 or not is_timed for n in lengths]


def test_activity_by_hand():
    times = tf.constant([[100, 110, 130, 160, 200, 250, 310]] * 3, tf.int64)
    found = activity_of_padded(times, tf.constant([0, 1, 7]), max_history=6).numpy()
    assert found[0, 0] == 0
    assert np.isnan(found[0, 1:]).all()
    assert found[1].tolist() == pytest.approx([np.log(2), 0, 0])
    # 6 of 7 items are read; the last five took 310 − 130 seconds, those that are read 310 − 110
    assert found[2].tolist() == pytest.approx([np.log(7), np.log(181), np.log(201)], rel=1e-6)


def test_a_timestamp_of_zero_is_not_a_time():
    found = activity_of_padded(tf.zeros([1, 3], tf.int64), tf.constant([3]), max_history=6).numpy()[0]
    assert found[0] == pytest.approx(np.log(4))
    assert np.isnan(found[1:]).all()


def test_times_that_go_back_are_no_span():
    found = activity_of_padded(tf.constant([[1000, 999], [1000, 500]], tf.int64), tf.constant([2, 2]), 6).numpy()
    assert found[:, 1:].tolist() == [[0, 0], [0, 0]]


def test_reconstruction_counts_what_the_user_has_and_times_what_is_read():
    people = Histories.from_rows(np.zeros(40, int), np.zeros(40, int), 1_000 + np.arange(40) ** 2, 1)
    params = SoftmaxParams(history_dropout=0.5, empty_history_share=0, max_history=30)
    examples = reconstruct(people, params, np.random.default_rng(0))
    found = activity_of_examples(people.timestamps, examples, 30)
    read = people.timestamps[examples.positions]  # the last first
    assert 5 < len(read) < 30
    assert found.shape == (1, NUM_ACTIVITY)
    assert found[0].tolist() == pytest.approx(
        [np.log(31), np.log1p(read[0] - read[4]), np.log1p(read[0] - read[-1])], rel=1e-6
    )
