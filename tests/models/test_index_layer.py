"""Why the exported models hold an index of their own: what TFRS' index layer gives, and where it ends."""

import contenders
import numpy as np
import pytest
import tensorflow_recommenders as tfrs
from small import no_features, queries

from bakeoff.models.base.serving_module import NO_ITEM, ServingModule
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.popularity.graph import PopularityEncoder
from bakeoff.models.popularity.popularity import PopularityRetriever

WORLD = contenders.World(queries([[0, 3], [4]]), 5, no_features(5))
ITEM_IDS = WORLD.item_ids
SEEN = [["item 0", "item 3"]]
"""By the first of the two."""
ENCODER = PopularityEncoder(PopularityRetriever(np.array([5, 4, 3, 2, 1])))
SERVING = ServingModule(ENCODER, *WORLD.catalogue)
ASKED = tf.ones([1, 1])


@pytest.fixture(scope="module")
def layer():
    layer = tfrs.layers.factorized_top_k.BruteForce()
    return layer.index(tf.constant(ENCODER.item_embeddings), tf.constant(ITEM_IDS))


def ours(k):
    answer = SERVING.recommend_for_users(tf.constant(["user 0"]), k)
    return answer["item_ids"].numpy().astype(str).tolist(), answer["scores"].numpy().tolist()


def test_both_give_the_same_lists_where_enough_is_left(layer):
    scores, items = layer.query_with_exclusions(ASKED, tf.constant(SEEN), k=3)
    assert ours(3) == (items.numpy().astype(str).tolist(), scores.numpy().tolist())
    assert ours(3)[0] == [["item 1", "item 2", "item 4"]]


def test_a_list_that_runs_out_is_filled_up_where_the_layer_fails(layer):
    with pytest.raises(ValueError, match="last dimension >= k = 6 but is 5"):
        layer.query_with_exclusions(ASKED, tf.constant(SEEN), k=4)
    assert ours(4)[0] == [["item 1", "item 2", "item 4", NO_ITEM]]


def test_the_layer_cannot_be_traced_for_whatever_number_of_seen_items(layer):
    signature = [tf.TensorSpec([None, 1]), tf.TensorSpec([None, None], tf.string), tf.TensorSpec([], tf.int32)]
    traced = tf.function(layer.query_with_exclusions, input_signature=signature)
    with pytest.raises(ValueError, match="None values not supported"):
        traced.get_concrete_function()
