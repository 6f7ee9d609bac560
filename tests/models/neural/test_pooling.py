import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import histories

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.batches import predict_next
from bakeoff.models.neural.pooling import RecencyPooling, pool
from bakeoff.models.neural.spec import SoftmaxParams

DIM = 4
NUM_ITEMS = 10
SEEDS = st.integers(0, 2**32)
SCALES = st.lists(st.sampled_from([0.05, 0.3, 1.0, 5.0, 80.0, 1e4]), max_size=3)


def whole(rows, pooling):
    """Offsets, items, weights as a query about each whole row reads it, the last item first."""
    read = [row[-pooling.max_history :][::-1] for row in rows]
    counts = np.array([len(row) for row in read])
    lags = np.array([lag for row in read for lag in range(len(row))], np.int64)
    items = np.array([item for row in read for item in row], np.int32)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return offsets, items, pooling.weights(lags, np.repeat(counts, counts))


def random_case(seed, longest=12):
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, NUM_ITEMS, rng.integers(0, longest + 1)).tolist() for _ in range(5)]
    return rows, rng.normal(0, 1, (NUM_ITEMS, DIM)).astype(np.float32)


def mean_by_hand(row, embeddings, scale, max_history):
    """The exponentially weighted mean, the last item first, in double precision."""
    read = embeddings[row[-max_history:][::-1]].astype(np.float64)
    lags = np.arange(len(read))
    weights = np.exp(-lags / scale) * (lags <= 7 * scale)
    return weights @ read / weights.sum() if row else np.zeros(DIM)


@settings(max_examples=30, deadline=None)
@given(scales=SCALES, counts=st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_weights_of_a_history_sum_to_one_in_each_head(scales, counts):
    pooling = RecencyPooling(scales, 300)
    lags = np.concatenate([np.arange(count) for count in counts])
    found = pooling.weights(lags, np.repeat(counts, counts))
    assert found.shape == (sum(counts), max(len(scales), 1))
    sums = np.add.reduceat(found, np.concatenate([[0], np.cumsum(counts)[:-1]]), axis=0)
    assert sums == pytest.approx(np.ones_like(sums), rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, scales=SCALES.filter(len), max_history=st.integers(1, 14))
def test_each_head_is_the_exponentially_weighted_mean_of_the_last_items(seed, scales, max_history):
    rows, embeddings = random_case(seed)
    found = pool(tf.constant(embeddings), *whole(rows, RecencyPooling(scales, max_history))).numpy()
    expected = [[mean_by_hand(row, embeddings, scale, max_history) for scale in scales] for row in rows]
    assert found == pytest.approx(np.array(expected), rel=1e-4, abs=1e-5)


def test_a_head_reads_as_far_as_seven_of_its_scales():
    # scale 2: lags up to 14
    weights = RecencyPooling((2.0,), 30).weights(np.arange(30), np.full(30, 30))[:, 0]
    assert (weights[:15] > 0).all()
    assert weights[15:].tolist() == [0] * 15


def test_weights_by_hand():
    # exp(−l/τ) with τ = 1/log 2 halves from lag to lag: 1, 1/2, 1/4 of 7/4
    weights = RecencyPooling((1 / np.log(2),), 5).weights(np.arange(3), np.full(3, 3))
    assert weights.ravel().tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_without_scales_there_is_one_head_the_plain_mean():
    pooling = RecencyPooling((), 3)
    rows, embeddings = [[1, 2, 3, 4], [5]], random_case(0)[1]
    found = pool(tf.constant(embeddings), *whole(rows, pooling)).numpy()
    assert pooling.num_heads == 1
    assert found[:, 0] == pytest.approx(np.array([embeddings[[2, 3, 4]].mean(axis=0), embeddings[5]]), abs=1e-6)


def test_an_empty_history_pools_to_zero():
    rows, embeddings = [[], [3], []], random_case(0)[1]
    pooling = RecencyPooling((1.0, 5.0), 3)
    in_training = pool(tf.constant(embeddings), *whole(rows, pooling)).numpy()
    in_serving = pooling.of_padded(tf.ones([1, 2, DIM]), tf.constant([0]), tf.zeros([1, 2])).numpy()
    assert in_training[[0, 2]].tolist() == np.zeros((2, 2, DIM)).tolist()
    assert in_serving.tolist() == np.zeros((1, 2, DIM)).tolist()


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, scales=SCALES, max_history=st.integers(1, 14))
def test_serving_pools_a_padded_history_as_training_does(seed, scales, max_history):
    rows, embeddings = random_case(seed)
    pooling = RecencyPooling(scales, max_history)
    items, times = histories(rows).padded(15)
    lengths = np.array([len(row) for row in rows], np.int32)
    embedded = tf.constant(embeddings[items])  # PAD reads the last row
    served = pooling.of_padded(embedded, tf.constant(lengths), times).numpy()
    trained = pool(tf.constant(embeddings), *whole(rows, pooling)).numpy()
    assert served == pytest.approx(trained, rel=1e-4, abs=1e-5)


def test_a_query_of_training_pools_what_lies_before_its_cut():
    rows, embeddings = [[3, 1, 4, 1, 5, 9, 2, 6], [5, 3]], random_case(1)[1]
    params = SoftmaxParams(recency_scales=(1.0, 6.0), max_history=5, cuts_per_user=12)
    people = histories(rows)
    examples = predict_next(people, params, np.random.default_rng(0))
    weights = RecencyPooling(params.recency_scales, 5).weights(examples.lags, examples.counts)
    found = pool(tf.constant(embeddings), examples.offsets, people.items[examples.positions], weights).numpy()
    expected = [
        [mean_by_hand(rows[row // 12][:cut], embeddings, scale, 5) for scale in params.recency_scales]
        for row, cut in enumerate(examples.lengths)
    ]
    assert found == pytest.approx(np.array(expected), rel=1e-4, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_the_gradient_of_a_pool_is_that_of_a_dense_product(seed):
    rows, embeddings = random_case(seed)
    offsets, items, weights = whole(rows, RecencyPooling((1.0, 5.0), 8))
    dense = np.zeros((len(rows), 2, NUM_ITEMS), np.float32)
    np.add.at(dense, (np.repeat(np.arange(len(rows)), np.diff(offsets)), slice(None), items), weights)
    upstream = np.random.default_rng(seed).normal(0, 1, (len(rows), 2, DIM)).astype(np.float32)
    variable = tf.Variable(embeddings)
    with tf.GradientTape(persistent=True) as tape:
        ours = pool(tf.convert_to_tensor(variable), offsets, items, weights)
        theirs = tf.einsum("rhm,md->rhd", dense, variable)
    assert ours.numpy() == pytest.approx(theirs.numpy(), abs=1e-5)
    found, expected = (tape.gradient(each, variable, upstream).numpy() for each in (ours, theirs))
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_pool_can_be_part_of_a_graph_whose_lengths_are_not_known():
    rows, embeddings = random_case(3)
    asked = whole(rows, RecencyPooling((1.0, 5.0), 8))
    shapes = [([None, DIM], tf.float32), ([None], tf.int64), ([None], tf.int32), ([None, 2], tf.float32)]

    @tf.function(input_signature=[tf.TensorSpec(*shape) for shape in shapes])
    def graph(*arguments):
        pooled = pool(*arguments)
        assert pooled.shape.as_list() == [None, 2, DIM]
        return pooled

    assert graph(embeddings, *asked).numpy() == pytest.approx(pool(tf.constant(embeddings), *asked).numpy(), abs=1e-6)
