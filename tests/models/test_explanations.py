"""What each item of a history contributes to a score, where it can be worked out by hand."""

import numpy as np
import pytest
from small import queries

from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.ease.ease import EASERetriever
from bakeoff.models.ease.graph import EASEEncoder
from bakeoff.models.mf.graph import MFEncoder
from bakeoff.models.mf.mf import MFRetriever
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.neural.encoder import integrated_gradients
from bakeoff.ops.reasons import reasons


def contributions(encoder, history, items):
    return EncoderRetriever(encoder).contributions(queries([history]), np.array(items))


# B[i, j], the weight of item i for item j: 1 counts 5 for 0, 2 counts 3 for 0 and 4 for 1.
B = np.array([[0, 2, 1], [5, 0, 0.5], [3, 4, 0]], np.float32)


def ease(recency_scale=None):
    return EASEEncoder(EASERetriever(B.T.copy(), np.array([0.5, 0.25, 0.25], np.float32), recency_scale))


def test_of_ease_they_are_the_weights_of_items_on_items():
    assert contributions(ease(), [1, 2], [0, 1]).tolist() == [[5, 3], [0, 4]]


def test_of_ease_they_fade_as_the_query_does():
    # The last item weighs 1, the one before exp(−1/2).
    [[before, last]] = contributions(ease(recency_scale=2.0), [1, 2], [0])
    assert (before, last) == (pytest.approx(5 * np.exp(-0.5)), 3)


def test_of_ease_an_item_counts_once_however_often_it_was_met():
    # Item 1 weighs what its last event weighs, 1, which its two events share.
    assert contributions(ease(), [1, 2, 1], [0]).tolist() == [[2.5, 3, 2.5]]


def mf(**settings):
    """Items 1, 2 and 3 in one dimension, of which the Gramian is 14."""
    params = MFParams(dim=1, regularization=1.0, regularization_exponent=0.0, **settings)
    items = np.array([[1], [2], [3]], np.float32)
    return MFRetriever(items, np.array([14], np.float32), np.array([0.1], np.float32), params)


def test_of_mf_they_are_the_terms_of_the_folded_in_score():
    # A = 1² + 2² + λ = 6, so that x = (1 + 2) / 6 and the score of item 2 is 3 · 1/6 + 3 · 2/6 = 0.5 + 1.
    model = mf(unobserved_weight=0.0)
    assert contributions(MFEncoder(model), [0, 1], [2])[0] == pytest.approx([0.5, 1.0])
    assert (model.embed_queries(queries([[0, 1]])) * 3)[0] == pytest.approx([1.5])


def test_of_mf_confidence_and_unobserved_items_take_part():
    # A = w·1² + 1·2² + ½·14 + 1 with w = exp(−1) for the item before the last.
    weight = np.exp(-1)
    system = weight + 4 + 7 + 1
    found = contributions(MFEncoder(mf(unobserved_weight=0.5, recency_scale=1.0)), [0, 1], [2])[0]
    assert found == pytest.approx([3 * weight / system, 3 * 2 / system])


def explained(embed, read, items, max_history=100):
    """Contributions of events with these embeddings to items with those, for a query of nothing else."""
    read, items = np.array([read], np.float32), np.array(items, np.float32)
    history = np.zeros(read.shape[:2], np.int32)
    query = (history, history.astype(np.int64), np.zeros((1, 0), np.float32), np.zeros((1, 0), np.int32))
    return np.asarray(integrated_gradients(embed, tf.constant(read), query, items, max_history))


def total(read, *_):
    return tf.reduce_sum(read, axis=1)


def test_of_a_linear_network_they_are_its_terms():
    found = explained(total, [[1, 2], [3, -1]], [[1, 0], [2, 1]])
    assert found == pytest.approx(np.array([[1, 3], [4, 5]]), rel=1e-5)


def test_of_a_hidden_layer_they_follow_the_path():
    # relu(e₁ + e₂ − 1) with e₁ = 3, e₂ = 1: it is open for α > 1/4, so that each counts 3/4 of itself: 3 = relu(4 − 1).
    found = explained(lambda read, *_: tf.nn.relu(total(read) - 1), [[3.0], [1.0]], [[1.0]])
    assert found[0] == pytest.approx([2.25, 0.75], abs=0.02)


@pytest.mark.parametrize("length", [0.01, 1.0, 100.0])
def test_of_a_normalised_query_equal_items_share_alike_whatever_their_length(length):
    # ψ turns from (1, 0) to the direction of (1, 2·length): what item (0, 1) gains is its second coordinate.
    def embed(read, *_):
        return tf.math.l2_normalize(tf.constant([[1.0, 0.0]]) + total(read), axis=-1)

    found = explained(embed, [[0, length], [0, length]], [[0, 1]])
    gained = 2 * length / np.hypot(1, 2 * length)
    assert found[0] == pytest.approx([gained / 2, gained / 2], rel=1e-3)


def test_they_add_up_where_the_network_turns_at_once():
    # The sign of the sum: no step sees it turn, for all its gradients are 0 after it; e₁ and e₂ are 3 and 1 of 4 parts.
    def embed(read, *_):
        return tf.math.l2_normalize(total(read), axis=-1)

    found = explained(embed, [[3.0], [1.0]], [[1.0]])
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert found[0] == pytest.approx([0.75, 0.25], abs=1e-3)


def test_what_a_network_does_not_read_contributes_nothing():
    found = explained(total, [[1.0], [2.0], [4.0]], [[1.0]], max_history=2)
    assert found[0] == pytest.approx([0, 2, 4], rel=1e-5)


NAMES = [f"i{j}" for j in range(6)], [f"title {j}" for j in range(6)]


def parts_of(encoder, history, score, model="ease"):
    [found] = reasons(EncoderRetriever(encoder), model, queries([history]), [0], [score], NAMES)
    return [(part.kind, part.item_id, part.title, part.contribution) for part in found]


def test_the_parts_name_the_largest_and_add_up_to_the_score():
    # Of item 0: 5 from item 1, which was met twice, and 3 from item 2; 0.5 is said to come from elsewhere.
    assert parts_of(ease(), [1, 2, 1], 8.5) == [
        ("item", "i1", "title 1", 5.0),
        ("item", "i2", "title 2", 3.0),
        ("remainder", None, "no history: the mean of all", 0.5),
    ]


def test_items_that_speak_against_are_among_the_others():
    class Encoder:
        item_embeddings = np.ones((6, 1), np.float32)

        def explain(self, history, *_):
            return np.array([[-1, 5, 1, 4, 3]])

    assert parts_of(Encoder(), [1, 2, 3, 4, 5], 13.0, "popularity") == [
        ("item", "i2", "title 2", 5.0),
        ("item", "i4", "title 4", 4.0),
        ("item", "i5", "title 5", 3.0),
        ("others", None, "2 other items of the history", 0.0),
        ("remainder", None, "number of events", 1.0),
    ]
