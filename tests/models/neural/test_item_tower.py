import numpy as np
import pytest
from scipy.sparse import csr_array
from small import FAST, no_features

from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.item_tower import ItemInputs, ItemTower
from bakeoff.models.neural.model import SoftmaxDNN

ALL, TWO = np.array([True] * 3), np.array([True, True, False])
FEATURES = EncodedFeatures(
    dense=np.array([[2.0], [-1.0], [0.0]], np.float32),
    categorical=np.array([[1], [2], [0]], np.int32),
    categorical_sizes=(2,),
    tag_sets=(csr_array(np.array([[1, 1], [0, 1], [0, 0]], np.bool_)),),
    word_sets=(csr_array(np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]], np.bool_)),),
)
TRUST = np.array([2 / 12, 1 / 11, 1 / 11, 1 / 11])
"""n / (n + 10): two items have the first word, one has the others."""
BY_HAND = np.array(
    [
        # dense, squared, the category's two values, the share of each of two tags and of each of four words
        [2, 4, 1, 0, 1 / 2, 1 / 2, 0, 0, 0, 0],
        [-1, 1, 0, 1, 0, 1, *TRUST * [1, 0, 0, 0]],
        [0, 0, 0, 0, 0, 0, *TRUST / 4],
    ]
)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_inputs_by_hand():
    inputs = ItemInputs(FEATURES, ALL)
    found = inputs.embed(tf.range(3), tf.eye(inputs.size)).numpy()
    assert found == pytest.approx(BY_HAND, abs=1e-7)
    assert found.dtype == np.float32


def test_inputs_are_those_of_the_items_that_are_asked_for():
    inputs = ItemInputs(FEATURES, ALL)
    assert inputs.embed(tf.constant([2, 0]), tf.eye(10)).numpy() == pytest.approx(BY_HAND[[2, 0]], abs=1e-7)


def test_inputs_that_only_untrained_items_have_are_marked():
    # words 1 to 3 stand in item 2 alone
    assert ItemInputs(FEATURES, TWO).is_trained.tolist() == [True] * 7 + [False] * 3


def test_a_word_is_trusted_by_the_trained_items_that_have_it():
    # of the two items with the first word, one is trained: 1 / (1 + 10)
    found = ItemInputs(FEATURES, TWO).embed(tf.range(3), tf.eye(10)).numpy()
    assert found[1, 6:] == pytest.approx([1 / 11, 0, 0, 0], abs=1e-7)
    assert found[2, 6:] == pytest.approx([1 / 44, 0, 0, 0], abs=1e-7)


def test_words_can_be_left_out_item_by_item():
    inputs = ItemInputs(FEATURES, ALL)
    found = inputs.embed(tf.range(3), tf.eye(10), keeps_words=tf.constant([True, False, True])).numpy()
    assert found[1, 6:].tolist() == [0, 0, 0, 0]
    assert found[1, :6] == pytest.approx(BY_HAND[1, :6])
    assert found[[0, 2]] == pytest.approx(BY_HAND[[0, 2]], abs=1e-7)


def test_no_features_make_no_inputs():
    inputs = ItemInputs(no_features(3), ALL)
    assert inputs.size == 0
    assert inputs.embed(tf.range(3), tf.zeros((0, 4))).numpy().tolist() == np.zeros((3, 4)).tolist()


def test_the_gradient_of_input_embeddings_is_that_of_a_dense_product():
    inputs = ItemInputs(FEATURES, ALL)
    table, upstream = tf.Variable(tf.random.normal((10, 4))), tf.random.normal((2, 4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(inputs.embed(tf.constant([2, 0]), table) * upstream)
    expected = BY_HAND[[2, 0]].T @ upstream.numpy()
    assert tf.convert_to_tensor(tape.gradient(loss, table)).numpy() == pytest.approx(expected, abs=1e-6)


def test_embeddings_have_length_one_where_the_settings_normalise():
    for normalize in (True, False):
        found = ItemTower(FAST.model_copy(update={"normalize": normalize}), FEATURES, ALL)(tf.range(3)).numpy()
        assert (np.linalg.norm(found, axis=1) == pytest.approx(np.ones(3), rel=1e-5)) == normalize


def test_an_embedding_is_that_of_the_id_plus_a_linear_map_of_the_features():
    tower = ItemTower(FAST, FEATURES, ALL)
    found = tower(tf.constant([2, 0])).numpy()
    total = tower.id_embeddings.numpy() + BY_HAND @ tower.feature_embeddings.numpy()
    assert found == pytest.approx(unit(total)[[2, 0]], abs=1e-6)


def test_without_features_an_embedding_is_that_of_the_id():
    tower = ItemTower(FAST, None, ALL)
    assert tower(tf.range(3)).numpy() == pytest.approx(unit(tower.id_embeddings.numpy()), abs=1e-6)
    assert len(tower.trainable_weights) == 1


def test_an_untrained_item_has_nothing_but_what_trained_ones_taught_of_its_features():
    tower = ItemTower(FAST, FEATURES, TWO)
    found = tower(tf.range(3)).numpy()
    assert not tower.id_embeddings.numpy()[2].any()
    assert not tower.feature_embeddings.numpy()[-3:].any()
    # of its words, item 1 has the first as well
    assert found[2] == pytest.approx(unit(tower.feature_embeddings.numpy()[[6]])[0], abs=1e-6)


def test_words_start_next_to_zero_beside_what_the_other_features_start_with():
    tower = ItemTower(FAST, FEATURES, ALL)
    tower(tf.range(3))
    lengths = np.linalg.norm(tower.feature_embeddings.numpy(), axis=1)
    assert lengths[6:].max() < lengths[:6].min() / 5


@pytest.mark.parametrize(
    ("features", "used", "expected"), [(FEATURES, True, 2), (FEATURES, False, 1), (no_features(3), True, 1)]
)
def test_the_settings_say_whether_item_features_are_used(features, used, expected):
    model = SoftmaxDNN(FAST.model_copy(update={"use_item_features": used}), features, ALL, {}, 1)
    model.item_tower(tf.range(3))
    assert len(model.item_tower.trainable_weights) == expected


def test_a_softmax_drops_no_ids():
    tower = ItemTower(FAST, FEATURES, ALL)
    assert tower(tf.range(3), drop_at=5).numpy().tolist() == tower(tf.range(3)).numpy().tolist()
