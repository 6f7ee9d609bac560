import numpy as np
import pytest

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.query_tower import NUM_ACTIVITY, QueryTower
from bakeoff.models.neural.spec import SoftmaxParams

PARAMS = SoftmaxParams(dim=4, hidden=(6,), recency_scales=(1.0, 5.0), max_history=3, dropout=0.5)
SIZES = {"job": 2}
WITH_USERS = {"job": 2, "user_id": 5}
UNKNOWN = [0.0, np.nan, np.nan]


def example(params=PARAMS, sizes=SIZES, seed=0):
    """Four queries, the last without a history: pooled, activity, dense, categorical."""
    rng = np.random.default_rng(seed)
    pooled = rng.normal(0, 1, (4, max(1, len(params.recency_scales)), params.dim)).astype(np.float32)
    pooled[3] = 0
    activity = rng.normal(0, 1, (4, NUM_ACTIVITY)).astype(np.float32)
    activity[3] = UNKNOWN
    return pooled, activity, np.full((4, 1), 0.5, np.float32), np.ones((4, len(sizes)), np.int32)


def tower(params=PARAMS, sizes=SIZES, seed=0):
    made = QueryTower(params, sizes, seed)
    ask(made, *example(params, sizes))
    return made


def ask(tower, pooled, activity, dense, categorical, **options):
    return tower(*map(tf.constant, (pooled, activity, dense, categorical)), **options).numpy()


def changed(**values):
    return PARAMS.model_copy(update=values)


def test_queries_have_length_one():
    found = ask(tower(), *example())
    assert found.shape == (4, 4)
    assert np.linalg.norm(found, axis=-1) == pytest.approx(np.ones(4), rel=1e-5)


def test_without_normalisation_only_the_length_differs():
    free, bound = tower(changed(normalize=False)), tower()
    bound.set_weights(free.get_weights())
    found = ask(free, *example())
    lengths = np.linalg.norm(found, axis=-1, keepdims=True)
    assert np.abs(lengths - 1).min() > 1e-3
    assert found / lengths == pytest.approx(ask(bound, *example()), abs=1e-5)


def test_the_query_starts_near_the_mean_of_the_heads():
    pooled, *rest = example()
    mean = pooled.mean(axis=1)
    cosine = np.sum(ask(tower(), pooled, *rest) * mean, axis=-1)[:3] / np.linalg.norm(mean[:3], axis=-1)
    assert (cosine > 0.9).all()


def test_each_head_has_a_map_of_its_own():
    made = tower(changed(hidden=()))
    pooled, *rest = example()
    made.head_maps.assign([2 * np.eye(4), np.zeros((4, 4))])
    made._output.kernel.assign(tf.zeros_like(made._output.kernel))
    expected = pooled[:3, 0] / np.linalg.norm(pooled[:3, 0], axis=-1, keepdims=True)
    assert ask(made, pooled, *rest)[:3] == pytest.approx(expected, abs=1e-5)


def test_user_features_tilt_the_query_unless_they_are_switched_off():
    for used in (True, False):
        made = tower(changed(use_user_features=used))
        pooled, activity, dense, categorical = example()
        first = ask(made, pooled, activity, dense, categorical)
        by_number = ask(made, pooled, activity, dense + 5, categorical)
        by_code = ask(made, pooled, activity, dense, categorical - 1)
        assert [np.allclose(first, by_number, atol=1e-6), np.allclose(first, by_code, atol=1e-6)] == [not used] * 2


def test_features_may_be_absent_altogether():
    pooled, activity, _, _ = example()
    nothing = np.zeros((4, 0), np.float32)
    found = ask(QueryTower(PARAMS, {}, 0), pooled, activity, nothing, nothing.astype(np.int32))
    assert np.isfinite(found).all()


def test_hidden_layers_may_be_left_out():
    assert np.isfinite(ask(tower(changed(hidden=())), *example())).all()


@pytest.mark.parametrize("used", [True, False])
def test_a_user_id_is_known_by_a_vector_of_its_own(used):
    made = tower(changed(use_user_features=used), WITH_USERS)
    pooled, activity, dense, categorical = example(sizes=WITH_USERS)
    categorical[:, 1] = [1, 2, 0, 5]
    first = ask(made, pooled, activity, dense, categorical)
    assert made.user_embeddings.shape == (6, 4)
    made.user_embeddings.assign(tf.tensor_scatter_nd_update(made.user_embeddings, [[0], [2]], tf.eye(4)[:2]))
    moved = np.abs(ask(made, pooled, activity, dense, categorical) - first).max(axis=1) > 1e-3
    assert moved.tolist() == [False, True, False, False]


def test_a_user_id_that_is_not_known_has_no_effect():
    # Without a network beside it, the query of a stranger is that of the history alone.
    made, plain = tower(changed(hidden=()), WITH_USERS), tower(changed(hidden=()))
    for each in (made, plain):
        each._output.kernel.assign(tf.zeros_like(each._output.kernel))
    pooled, activity, dense, categorical = example(sizes=WITH_USERS)
    categorical[:, 1] = 0
    expected = ask(plain, pooled, activity, dense, categorical[:, :1])
    assert ask(made, pooled, activity, dense, categorical) == pytest.approx(expected, abs=1e-5)


def test_a_known_user_without_history_is_found_by_the_id_alone():
    made = tower(changed(hidden=()), WITH_USERS)
    made._output.kernel.assign(tf.zeros_like(made._output.kernel))
    pooled, activity, dense, categorical = example(sizes=WITH_USERS)
    categorical[:, 1] = 3
    own = made.user_embeddings.numpy()[3]
    found = ask(made, pooled, activity, dense, categorical)[3]
    assert found == pytest.approx(own / np.linalg.norm(own), abs=1e-5)


def test_the_column_of_the_user_id_may_stand_anywhere():
    first, last = tower(sizes={"user_id": 5, "job": 2}), tower(sizes=WITH_USERS)
    last.set_weights(first.get_weights())
    pooled, activity, dense, categorical = example(sizes=WITH_USERS)
    categorical[:] = [[2, 4]] * 4
    found = ask(last, pooled, activity, dense, categorical)
    assert ask(first, pooled, activity, dense, categorical[:, ::-1]) == pytest.approx(found, abs=1e-6)


def test_dropout_acts_in_training_alone():
    made, asked = tower(), example()
    assert ask(made, *asked).tolist() == ask(made, *asked).tolist()
    assert not np.allclose(ask(made, *asked, drop_at=0), ask(made, *asked), atol=1e-4)


def test_what_is_dropped_follows_from_the_number_of_the_step_and_the_seed():
    made, asked = tower(seed=1), example()
    first = ask(made, *asked, drop_at=7)
    assert ask(made, *asked, drop_at=7).tolist() == first.tolist()
    assert not np.allclose(ask(made, *asked, drop_at=8), first, atol=1e-4)
    other = tower(seed=2)
    other.set_weights(made.get_weights())
    assert not np.allclose(ask(other, *asked, drop_at=7), first, atol=1e-4)


def test_without_dropout_training_asks_as_serving_does():
    made, asked = tower(changed(dropout=0.0)), example()
    assert ask(made, *asked, drop_at=3).tolist() == ask(made, *asked).tolist()


def test_the_scale_of_activity_comes_from_what_is_known():
    made = tower()
    made.standardise_activity(np.array([[0, 2, 3], [2, 4, 9], [1, np.nan, np.nan]], np.float32))
    assert made.activity_mean.numpy().tolist() == pytest.approx([1, 3, 6])
    assert made.activity_std.numpy().tolist() == pytest.approx([np.std([0, 2, 1]), 1, 3])


def test_activity_is_read_on_that_scale():
    plain, scaled = tower(), tower()
    scaled.set_weights(plain.get_weights())
    scaled.standardise_activity(np.array([[0, 2, 3], [2, 6, 9]], np.float32))  # means 1, 4, 6; deviations 1, 2, 3
    pooled, activity, dense, categorical = example()
    expected = ask(plain, pooled, activity, dense, categorical)
    raw = activity * np.array([1, 2, 3], np.float32) + np.array([1, 4, 6], np.float32)
    assert ask(scaled, pooled, raw, dense, categorical)[:3] == pytest.approx(expected[:3], abs=1e-5)


def test_unknown_activity_counts_as_average():
    made = tower()
    made.standardise_activity(np.array([[0, 2, 3], [2, 4, 9], [1, np.nan, np.nan]], np.float32))
    pooled, _, dense, categorical = example()
    average, unknown = (np.array([row] * 4, np.float32) for row in ([1, 3, 6], [1, np.nan, np.nan]))
    found = ask(made, pooled, unknown, dense, categorical)
    assert np.isfinite(found).all()
    assert found == pytest.approx(ask(made, pooled, average, dense, categorical), abs=1e-6)
    assert not np.allclose(ask(made, pooled, average + np.float32([0, 2, 0]), dense, categorical), found, atol=1e-6)


def test_activity_that_never_differs_or_is_never_known_has_a_scale_of_one():
    made = tower()
    made.standardise_activity(np.array([[2, np.nan, 1], [2, np.nan, 1]], np.float32))
    assert made.activity_mean.numpy().tolist() == [2, 0, 1]
    assert made.activity_std.numpy().tolist() == [1] * NUM_ACTIVITY
