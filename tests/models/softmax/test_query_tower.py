import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.models.softmax.query_tower import NUM_ACTIVITY, QueryTower, activity
from bakeoff.models.tensorflow import tf
from bakeoff.params import SoftmaxParams

PARAMS = SoftmaxParams(dim=4, hidden=(6,), recency_scales=(1.0, 5.0), max_history=3, dropout=0.5)
DAY = 86_400


def tower(params=PARAMS, sizes=(2,)):
    made = QueryTower(params, sizes)
    ask(made, *example(params, sizes))
    return made


def example(params=PARAMS, sizes=(2,), width=6, seed=0):
    """One user with `width` items: embeddings, timestamps, cuts, dense, categorical."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(0, 1, (1, width, params.dim)).astype(np.float32)
    timestamps = np.cumsum(rng.integers(1, 10 * DAY, (1, width)), axis=1)
    cuts = np.array([[0, 1, 3, width]], np.int32)
    return embeddings, timestamps, cuts, np.full((1, 1), 0.5, np.float32), np.ones((1, len(sizes)), np.int32)


def ask(tower, embeddings, timestamps, cuts, dense, categorical, training=False):
    constants = (tf.constant(x) for x in (embeddings, timestamps, cuts, dense, categorical))
    return tower(*constants, training=training).numpy()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), max_history=st.integers(1, 8))
def test_each_head_is_the_exponentially_weighted_mean_of_the_last_items(seed, max_history):
    params = PARAMS.model_copy(update={"max_history": max_history})
    embeddings, _, cuts, _, _ = example(params, seed=seed)
    found = QueryTower(params, ())._pool(tf.constant(embeddings), tf.constant(cuts)).numpy()
    for place, cut in enumerate(cuts[0]):
        read = embeddings[0, max(0, cut - max_history) : cut].astype(np.float64)
        lags = np.arange(len(read))[::-1]
        for head, scale in enumerate(params.recency_scales):
            weights = np.exp(-lags / scale)
            expected = weights @ read / weights.sum() if cut else np.zeros(params.dim)
            assert found[0, place, head] == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("scale", [0.05, 1.0, 80.0, 1e4])
def test_weights_of_equal_items_sum_to_one_whatever_the_scale(scale):
    # a mean of equal items is the item: the closed form of Σ exp(−l/τ) must be the sum itself
    params = PARAMS.model_copy(update={"recency_scales": (scale,), "max_history": 256})
    ones = tf.ones([1, 300, 4])
    found = QueryTower(params, ())._pool(ones, tf.constant([[1, 2, 100, 300]])).numpy()
    assert found == pytest.approx(np.ones((1, 4, 1, 4)), rel=2e-4)


def test_queries_have_length_one():
    found = ask(tower(), *example())
    assert found.shape == (1, 4, 4)
    assert np.linalg.norm(found, axis=-1) == pytest.approx(np.ones((1, 4)), rel=1e-5)


def test_what_lies_before_the_last_max_history_items_has_no_effect():
    made = tower()
    embeddings, timestamps, _, dense, categorical = example()
    cuts = np.array([[6]], np.int32)
    other, earlier = embeddings.copy(), timestamps.copy()
    other[:, :3] = embeddings[:, 2::-1]
    earlier[:, :3] -= 1000 * DAY
    first = ask(made, embeddings, timestamps, cuts, dense, categorical)
    assert ask(made, other, timestamps, cuts, dense, categorical).tolist() == first.tolist()
    # The last five items' time reaches beyond the three that are read: it alone may move.
    made.activity_std.assign([1, np.inf, 1])
    first = ask(made, embeddings, timestamps, cuts, dense, categorical)
    assert ask(made, other, earlier, cuts, dense, categorical).tolist() == first.tolist()


def test_the_order_of_what_is_read_matters():
    made = tower()
    embeddings, timestamps, _, dense, categorical = example()
    cuts = np.array([[6]], np.int32)
    forth, back = (ask(made, e, timestamps, cuts, dense, categorical) for e in (embeddings, embeddings[:, ::-1]))
    assert not np.allclose(forth, back, atol=1e-3)


def test_nothing_after_a_cut_reaches_its_query():
    made = tower()
    embeddings, timestamps, _, dense, categorical = example()
    cuts = np.array([[0, 2, 4]], np.int32)
    other, later = embeddings.copy(), timestamps.copy()
    other[:, 4:] = 100
    later[:, 4:] += 100 * DAY
    first = ask(made, embeddings, timestamps, cuts, dense, categorical)
    assert ask(made, other, later, cuts, dense, categorical).tolist() == first.tolist()


def test_the_item_just_before_a_cut_does():
    made = tower()
    embeddings, timestamps, _, dense, categorical = example()
    cuts = np.array([[4]], np.int32)
    other = embeddings.copy()
    other[:, 3] *= -1
    first = ask(made, embeddings, timestamps, cuts, dense, categorical)
    assert not np.allclose(ask(made, other, timestamps, cuts, dense, categorical), first, atol=1e-3)


def test_user_features_tilt_the_query_unless_they_are_switched_off():
    for used in (True, False):
        made = tower(PARAMS.model_copy(update={"use_user_features": used}))
        embeddings, timestamps, cuts, dense, categorical = example()
        first = ask(made, embeddings, timestamps, cuts, dense, categorical)
        by_number = ask(made, embeddings, timestamps, cuts, dense + 5, categorical)
        by_code = ask(made, embeddings, timestamps, cuts, dense, categorical - 1)
        assert [np.allclose(first, by_number, atol=1e-6), np.allclose(first, by_code, atol=1e-6)] == [not used] * 2


def test_features_may_be_absent_altogether():
    embeddings, timestamps, cuts, _, _ = example()
    nothing = np.zeros((1, 0), np.float32)
    made = QueryTower(PARAMS, ())
    found = ask(made, embeddings, timestamps, cuts, nothing, nothing.astype(np.int32))
    assert np.isfinite(found).all()


def test_dropout_acts_in_training_alone():
    made = tower()
    asked = example()
    assert ask(made, *asked).tolist() == ask(made, *asked).tolist()
    assert not np.allclose(ask(made, *asked, training=True), ask(made, *asked), atol=1e-4)


def test_hidden_layers_may_be_left_out():
    made = tower(PARAMS.model_copy(update={"hidden": ()}))
    assert np.isfinite(ask(made, *example())).all()


def test_the_query_starts_near_the_mean_of_the_heads():
    made = tower()
    made.activity_std.assign([np.inf] * NUM_ACTIVITY)  # raw activity, which nobody standardised here, is large
    asked = example()
    mean = made._pool(tf.constant(asked[0]), tf.constant(asked[2])).numpy().mean(axis=2)
    cosine = np.sum(ask(made, *asked) * mean, axis=-1) / np.maximum(np.linalg.norm(mean, axis=-1), 1e-9)
    assert (cosine[0, 1:] > 0.9).all()


def test_activity_by_hand():
    times = tf.constant([[100, 110, 130, 160, 200, 250, 310]], tf.int64)
    found = activity(times, tf.constant([[0, 1, 7]]), max_history=6).numpy()[0]
    assert found[0, 0] == 0
    assert np.isnan(found[0, 1:]).all()
    assert found[1].tolist() == pytest.approx([np.log(2), 0, 0])
    # 6 of 7 items are read; the last five took 310 − 130 seconds, those that are read 310 − 110
    assert found[2].tolist() == pytest.approx([np.log(7), np.log(181), np.log(201)], rel=1e-6)


def test_a_timestamp_of_zero_is_not_a_time():
    found = activity(tf.zeros([1, 3], tf.int64), tf.constant([[3]]), max_history=6).numpy()[0, 0]
    assert found[0] == pytest.approx(np.log(4))
    assert np.isnan(found[1:]).all()


def test_unknown_activity_counts_as_average():
    made = tower()
    made.standardise_activity(np.array([[0, 2, 3], [2, 4, 9], [1, np.nan, np.nan]], np.float32))
    embeddings, timestamps, _, dense, categorical = example()
    cuts = np.array([[3]], np.int32)
    # the mean of the second and third measure, exactly: exp(3) − 1 and exp(6) − 1 seconds
    seconds = np.array([[1, 1 + np.expm1(6) - np.expm1(3), 1 + np.expm1(6)]])
    read_three = (np.log(4) - 1) / np.std([0, 2, 1])
    assert made.activity_mean.numpy().tolist() == pytest.approx([1, 3, 6])
    assert made.activity_std.numpy().tolist() == pytest.approx([np.std([0, 2, 1]), 1, 3])
    assert read_three > 0
    unknown = ask(made, embeddings, 0 * timestamps, cuts, dense, categorical)
    assert np.isfinite(unknown).all()
    made.activity_std.assign([np.std([0, 2, 1]), np.inf, np.inf])  # both times pushed onto their mean
    assert ask(made, embeddings, seconds.astype(np.int64), cuts, dense, categorical) == pytest.approx(unknown, abs=1e-6)


def test_activity_that_never_differs_or_is_never_known_has_a_scale_of_one():
    made = tower()
    made.standardise_activity(np.array([[2, np.nan, 1], [2, np.nan, 1]], np.float32))
    assert made.activity_mean.numpy().tolist() == [2, 0, 1]
    assert made.activity_std.numpy().tolist() == [1] * NUM_ACTIVITY
