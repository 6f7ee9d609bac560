import numpy as np
import pytest
import tensorflow_recommenders as tfrs
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.models.softmax.loss import MultiHotSampledSoftmax
from bakeoff.models.tensorflow import tf


def loss(targets, is_target, candidates, log_counts, own):
    """Of plain lists: targets and is_target [U, C, T], candidates [U, C, S], log_counts [S], own [U, S]."""
    floats = (tf.constant(np.asarray(x, np.float32)) for x in (targets, candidates, log_counts))
    t, c, n = floats
    return MultiHotSampledSoftmax()(t, np.asarray(is_target, bool), c, n, np.asarray(own, bool))


def test_a_tiny_case_by_hand():
    # One query with positives at logits 1 and 0 (a third place is padding), negatives at 2 and −1 whose expected
    # counts are 1/2 and 1: Z = e + 1 + 2 e² + e⁻¹, and the mean positive is 1/2.
    found = loss([[[1, 0, 9]]], [[[1, 1, 0]]], [[[2, -1]]], np.log([0.5, 1]), [[0, 0]])
    assert float(found) == pytest.approx(np.log(np.e + 1 + 2 * np.e**2 + 1 / np.e) - 0.5, rel=1e-6)


def test_rarely_drawn_candidates_weigh_more():
    often, rarely = (loss([[[0]]], [[[1]]], [[[0]]], [np.log(q)], [[0]]) for q in (1, 0.25))
    # Z = 1 + 1 and Z = 1 + 4
    assert [float(often), float(rarely)] == pytest.approx([np.log(2), np.log(5)], rel=1e-6)


def test_the_mean_is_over_the_queries_that_have_a_target():
    # Two queries of a user; the second has no target and counts nowhere.
    found = loss([[[0], [5]]], [[[1], [0]]], [[[0], [7]]], [0], [[0]])
    assert float(found) == pytest.approx(np.log(2), rel=1e-6)


def test_users_and_cuts_weigh_the_same():
    # log(1 + 1) and log(1 + e), for two users with one cut each, or one user with two
    expected = (np.log(2) + np.log(1 + np.e)) / 2
    two_users = loss([[[0]], [[0]]], [[[1]], [[1]]], [[[0]], [[1]]], [0], [[0], [0]])
    two_cuts = loss([[[0], [0]]], [[[1], [1]]], [[[0], [1]]], [0], [[0]])
    assert [float(two_users), float(two_cuts)] == pytest.approx([expected] * 2, rel=1e-6)


def test_own_items_never_act_as_negatives():
    candidates = tf.Variable([[[3.0, 1.0]]])
    with tf.GradientTape() as tape:
        found = loss_of(tf.constant([[[0.0]]]), [[[True]]], candidates, np.array([[True, False]]))
    assert float(found) == pytest.approx(np.log(1 + np.e), rel=1e-6)
    own, other = tape.gradient(found, candidates).numpy().ravel()
    assert own == 0
    assert other > 0


def loss_of(targets, is_target, candidates, own):
    return MultiHotSampledSoftmax()(targets, np.array(is_target), candidates, tf.zeros(candidates.shape[-1]), own)


def test_what_is_no_target_has_no_gradient():
    targets = tf.Variable([[[0.5, 4.0]]])
    with tf.GradientTape() as tape:
        found = loss_of(targets, [[[True, False]]], tf.constant([[[1.0]]]), np.array([[False]]))
    target, padding = tape.gradient(found, targets).numpy().ravel()
    assert target < 0
    assert padding == 0


@pytest.mark.parametrize("own", [False, True])
def test_a_batch_without_targets_costs_nothing_and_has_a_gradient_of_zero(own):
    targets, candidates = tf.Variable([[[1.0]]]), tf.Variable([[[2.0]]])
    with tf.GradientTape() as tape:
        found = loss_of(targets, [[[False]]], candidates, np.array([[own]]))
    assert float(found) == 0
    assert [g.numpy().item() for g in tape.gradient(found, [targets, candidates])] == [0, 0]


def test_a_query_whose_candidates_are_all_its_own_costs_nothing():
    targets = tf.Variable([[[1.0]]])
    with tf.GradientTape() as tape:
        found = loss_of(targets, [[[True]]], tf.constant([[[2.0, 3.0]]]), np.array([[True, True]]))
    assert float(found) == pytest.approx(0, abs=1e-6)
    assert tape.gradient(found, targets).numpy().item() == pytest.approx(0, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_over_the_whole_catalogue_it_is_cross_entropy_against_the_normalised_multi_hot_target(seed):
    rng = np.random.default_rng(seed)
    num_items, num_positives, num_seen = 12, rng.integers(1, 4), rng.integers(0, 5)
    logits = rng.normal(0, 2, num_items).astype(np.float32)
    own = rng.choice(num_items, num_positives + num_seen, replace=False)
    positives, seen = own[:num_positives], own[num_positives:]
    is_own = np.isin(np.arange(num_items), own)
    found = loss([[logits[positives]]], [[[1] * num_positives]], [[logits]], np.zeros(num_items), [is_own])
    # TensorFlow's own, over what the user had not met before: seen items are out of the softmax.
    target = np.isin(np.arange(num_items), positives) / num_positives
    open_to_all = ~np.isin(np.arange(num_items), seen)
    expected = tf.nn.softmax_cross_entropy_with_logits(target[open_to_all].astype(np.float32), logits[open_to_all])
    assert float(found) == pytest.approx(float(expected), rel=1e-5, abs=1e-5)


def test_tfrs_clips_the_correction_of_rare_items_where_ours_does_not():
    # A query with logit 0 for its positive, and one negative that is expected 1e-9 times a step. Both correct the
    # negative by −log(count); TFRS takes 1e-6 for anything smaller.
    task = tfrs.tasks.Retrieval(loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum"))
    queries = tf.constant([[1.0, 0.0]])
    candidates = tf.constant([[0.0, 1.0], [0.0, -1.0]])
    theirs = task(queries, candidates, candidate_sampling_probability=tf.constant([1.0, 1e-9]), compute_metrics=False)
    ours = loss([[[0]]], [[[1]]], [[[0]]], np.log([1e-9]), [[0]])
    assert float(theirs) == pytest.approx(np.log(1 + 1e6), rel=1e-5)
    assert float(ours) == pytest.approx(np.log(1 + 1e9), rel=1e-5)


def test_tfrs_masks_the_same_id_only_where_ours_masks_all_own_items():
    # Two queries of one user, with positives 7 and 8, all logits 0. TFRS removes "accidental hits" of the same id:
    # item 8 stays a negative of the query whose positive is 7.
    task = tfrs.tasks.Retrieval(
        loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum"), remove_accidental_hits=True
    )
    zeros = tf.zeros([2, 1])
    theirs = task(zeros, zeros, candidate_ids=tf.constant([7, 8]), compute_metrics=False)
    ours = loss([[[0], [0]]], [[[1], [1]]], [[[0, 0], [0, 0]]], [0, 0], [[1, 1]])
    assert float(theirs) == pytest.approx(2 * np.log(2), rel=1e-5)
    assert float(ours) == pytest.approx(0, abs=1e-6)
