import numpy as np
import pytest
from small import FAST, no_features

from bakeoff.models.softmax.item_tower import ItemTower, feature_matrix
from bakeoff.models.softmax.model import SoftmaxDNN
from bakeoff.models.tensorflow import tf
from bakeoff.preparation.features import EncodedFeatures

FEATURES = EncodedFeatures(
    dense=np.array([[2.0], [-1.0], [0.0]], np.float32),
    categorical=np.array([[1], [2], [0]], np.int32),
    categorical_sizes=(2,),
    tags=(np.array([[True, True], [False, True], [False, False]]),),
)
BY_HAND = [
    # dense, squared, the category's two values, the share of each of two tags
    [2, 4, 1, 0, 1 / 2, 1 / 2],
    [-1, 1, 0, 1, 0, 1],
    [0, 0, 0, 0, 0, 0],  # nothing is known: no input at all
]


def test_the_feature_matrix_by_hand():
    assert feature_matrix(FEATURES).tolist() == BY_HAND
    assert feature_matrix(FEATURES).dtype == np.float32


def test_no_features_make_no_inputs():
    assert feature_matrix(no_features(3)).shape == (3, 0)


def test_embeddings_have_length_one():
    found = ItemTower(3, 4, FEATURES)(tf.range(3)).numpy()
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(3), rel=1e-5)


def test_an_embedding_is_that_of_the_id_plus_a_linear_map_of_the_features():
    tower = ItemTower(3, 4, FEATURES)
    found = tower(tf.constant([2, 0])).numpy()
    total = tower.id_embeddings.numpy() + np.array(BY_HAND) @ tower.feature_embeddings.numpy()
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    assert found == pytest.approx(expected[[2, 0]], abs=1e-6)


def test_without_features_an_embedding_is_that_of_the_id():
    tower = ItemTower(3, 4, None)
    found = tower(tf.range(3)).numpy()
    ids = tower.id_embeddings.numpy()
    assert found == pytest.approx(ids / np.linalg.norm(ids, axis=1, keepdims=True), abs=1e-6)
    assert len(tower.trainable_weights) == 1


@pytest.mark.parametrize(
    ("features", "used", "expected"), [(FEATURES, True, 2), (FEATURES, False, 1), (no_features(3), True, 1)]
)
def test_the_settings_say_whether_item_features_are_used(features, used, expected):
    model = SoftmaxDNN(FAST.model_copy(update={"use_item_features": used}), 3, features, ())
    model.item_tower(tf.range(3))
    assert len(model.item_tower.trainable_weights) == expected
