"""Vectors in the towers, on synthetic data in which nothing but a vector says what people like."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from small import FAST, histories, no_features, queries

from bakeoff.core.histories import Queries
from bakeoff.data.features.encoding import EncodedFeatures, FeatureEncoding
from bakeoff.models.base.export import export
from bakeoff.models.base.loading import load_serving
from bakeoff.models.base.serving_module import ServingModule
from bakeoff.models.base.storage import KnownUsers
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.encoder import encoder_of, load
from bakeoff.models.neural.item_tower import ItemTower, input_labels
from bakeoff.models.neural.new_items import embed_items
from bakeoff.models.neural.spec import TwoTowerParams
from bakeoff.models.neural.trainer import SoftmaxTrainer

NUM_GROUPS, PER_GROUP, NUM_SEEN, SIZE = 4, 20, 14, 16
"""Item j is of group j % 4; the last six of each group have no event, and so are new."""
NUM_ITEMS = NUM_GROUPS * PER_GROUP
GROUP = np.arange(NUM_ITEMS) % NUM_GROUPS
NEW = np.arange(NUM_ITEMS) >= NUM_GROUPS * NUM_SEEN
SHORT = FAST.model_copy(update={"max_epochs": 10})
TWO_TOWER = TwoTowerParams(**SHORT.model_dump(exclude={"negatives"}), item_hidden=(8,))


def vectors_of_groups():
    """A direction for each group and noise of the same length: cosines are about 1/2 within a group, 0 across."""
    rng = np.random.default_rng(0)
    centres, noise = rng.normal(size=(NUM_GROUPS, SIZE)), rng.normal(size=(NUM_ITEMS, SIZE))
    found = centres[GROUP] + noise
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def with_vectors(vectors):
    return EncodedFeatures(vectors, np.zeros((len(vectors), 0), np.int32), (), num_components=vectors.shape[1])


def people():
    """48 users with eight seen items of one group each."""
    rng = np.random.default_rng(1)
    rows = [(rng.choice(NUM_SEEN, 8, replace=False) * NUM_GROUPS + u % NUM_GROUPS).tolist() for u in range(48)]
    return queries(rows)


def recall_of_new_items(params, features):
    """Share of the six new items of a user's group among the first six of all new items; by chance a quarter."""
    asked = people()
    trainer = SoftmaxTrainer(asked, NUM_ITEMS, features, {}, params, 1)
    for _ in range(params.max_epochs):
        trainer.run_epoch()
    retriever = trainer.retriever()
    scores = retriever.embed_queries(asked) @ retriever.item_embeddings[NEW].T
    # Equal scores come in random order.
    order = np.lexsort((np.random.default_rng(2).random(scores.shape), -scores), axis=1)[:, :6]
    return (GROUP[NEW][order] == np.arange(len(asked))[:, np.newaxis] % NUM_GROUPS).mean()


@pytest.mark.parametrize("params", [SHORT, TWO_TOWER], ids=["softmax", "two_tower"])
def test_new_items_are_ranked_by_their_vectors(params):
    assert recall_of_new_items(params, with_vectors(vectors_of_groups())) > 0.8


def test_without_vectors_new_items_are_ranked_by_chance():
    # 48 users × 6 places at 1/4: .25 ± .026, were they independent
    assert abs(recall_of_new_items(SHORT, no_features(NUM_ITEMS)) - 0.25) < 0.1


def test_an_unknown_vector_adds_nothing_and_a_known_one_its_projection():
    vectors = np.array([[0, 0], [0.6, 0.8]], np.float32)
    features = EncodedFeatures(
        np.concatenate([[[2], [3]], vectors], axis=1).astype(np.float32),
        np.zeros((2, 0), np.int32),
        (),
        num_components=2,
    )
    tower = ItemTower(FAST.model_copy(update={"normalize": False}), features, np.ones(2, np.bool_))
    tower(tf.range(2))
    tower.id_embeddings.assign(tf.zeros_like(tower.id_embeddings))
    number, square, first, second = tower.feature_embeddings.numpy()  # a vector has no squares
    want = [2 * number + 4 * square, 3 * number + 9 * square + 0.6 * first + 0.8 * second]
    np.testing.assert_allclose(tower(tf.range(2)).numpy(), want, atol=1e-6)


def test_the_stored_weights_of_a_tower_embed_a_new_item_by_its_number_and_its_vector():
    rng = np.random.default_rng(0)
    found = EncodedFeatures(
        rng.normal(size=(6, 3)).astype(np.float32), np.zeros((6, 0), np.int32), (), num_components=2
    )
    tower = ItemTower(TWO_TOWER, found, np.arange(6) < 5)
    tower(tf.range(6))
    for layer in (*tower._hidden, tower._output):
        layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    stored = SimpleNamespace(arrays=tower.feature_weights(), settings=TWO_TOWER.model_dump())
    np.testing.assert_allclose(embed_items(stored, found)[5], tower(tf.range(6)).numpy()[5], atol=1e-6)


def test_inputs_are_named_for_a_warm_start_in_the_order_of_their_embeddings():
    encoding = FeatureEncoding.model_validate(
        {"item": {"dense": {"year": {"mean": 0, "std": 1}}, "vector": {"vec": 2}, "tags": {"genres": ["a"]}}}
    )
    assert input_labels(encoding.item) == ["year", "year²", "vec[0]", "vec[1]", "genres=a"]


ENCODING = FeatureEncoding.model_validate(
    {"user": {"dense": {"age": {"mean": 30, "std": 10}}, "vector": {"taste": 2, "look": 1}}}
)
GROUPS_OF_USERS = np.arange(40) % 2


def strangers(count=40):
    """Users without a history whose `taste` says which half of the items they like."""
    taste = np.where(GROUPS_OF_USERS[:count, np.newaxis] == 0, [[1, 0]], [[0, 1]])
    dense = np.concatenate([np.zeros((count, 1)), taste, np.zeros((count, 1))], axis=1).astype(np.float32)
    return Queries(histories([[] for _ in range(count)]), dense, np.zeros((count, 0), np.int32))


@pytest.fixture(scope="module")
def retriever():
    rng = np.random.default_rng(0)
    rows = [(rng.choice(6, 4, replace=False) * 2 + half).tolist() for half in GROUPS_OF_USERS]
    asked = replace(strangers(), histories=histories(rows))
    params = FAST.model_copy(update={"empty_history_share": 0.5, "max_epochs": 10})
    trainer = SoftmaxTrainer(asked, 12, no_features(12), {}, params, 1)
    for _ in range(params.max_epochs):
        trainer.run_epoch()
    return trainer


def test_a_vector_of_a_user_says_what_someone_without_a_history_likes(retriever):
    found = retriever.retriever()
    scores = found.embed_queries(strangers()) @ found.item_embeddings.T
    assert (scores.argmax(axis=1) % 2 == GROUPS_OF_USERS).all()


def test_a_stored_model_gives_the_same_queries(retriever):
    trained = retriever.retriever()
    stored = SimpleNamespace(arrays=trained.arrays(), settings=retriever.settings(), encoding=ENCODING)
    np.testing.assert_array_equal(load(stored).embed_queries(strangers()), trained.embed_queries(strangers()))


def test_an_exported_model_normalises_vectors_and_takes_none_for_unknown(retriever, tmp_path):
    trained = retriever.retriever()
    known = strangers(2)
    ids = [f"i{j}" for j in range(12)]
    module = ServingModule(encoder_of(trained), ids, KnownUsers({"a": 0, "b": 1}, known), ENCODING.user)
    export(module, str(tmp_path / "m/saved_model"))
    module = load_serving(tmp_path / "m")

    def scores(dense):
        rows = len(dense)
        nothing = tf.constant([[""]] * rows), tf.zeros((rows, 1), tf.int64)
        asked = (*nothing, tf.constant(dense, tf.float32), tf.zeros((rows, 0), tf.string), tf.constant(12))
        found = module.recommend_for_histories(*asked)
        order = np.argsort(found["item_ids"].numpy(), axis=1)
        return np.take_along_axis(found["scores"].numpy(), order, axis=1)

    by_id = module.recommend_for_users(tf.constant(["a", "b"]), tf.constant(12))
    order = np.argsort(by_id["item_ids"].numpy(), axis=1)
    want = np.take_along_axis(by_id["scores"].numpy(), order, axis=1)
    np.testing.assert_allclose(scores([[30, 7, 0, 0], [30, 0, 0.2, 0]]), want, atol=1e-6)
    unknown = scores([[30, 0, 0, 0]])[0]
    for dense in ([30], [30, np.nan, 1, np.nan], [np.nan, 0, np.inf, 0], [30, 0, 0]):
        np.testing.assert_allclose(scores([dense])[0], unknown, atol=1e-6)
    encoded = ENCODING.user.encode_user({"taste": "5|0"})[0]
    np.testing.assert_allclose(scores([[30, *encoded[0, 1:]]])[0], want[0], atol=1e-6)
