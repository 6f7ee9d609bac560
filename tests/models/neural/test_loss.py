import numpy as np
import pytest
import tensorflow_recommenders as tfrs
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.model import MultiHotSampledSoftmax

EACH = pytest.mark.parametrize("per_pair", [False, True])


def loss(targets, rows, candidates, log_counts, own, weights=None, per_pair=False, target_log_counts=0.0):
    """Of plain lists: targets, rows, weights [P], candidates [U, C, K], log_counts [K] or [U, C, K], own [U, K]."""
    own = np.asarray(own, bool)
    return MultiHotSampledSoftmax(per_pair)(
        floats(targets),
        tf.constant(rows, tf.int32),
        floats([1] * len(rows) if weights is None else weights),
        floats(candidates),
        floats(log_counts),
        own[:, np.newaxis] if own.ndim == 2 else own,
        floats(target_log_counts),
    )


def floats(values):
    return values if isinstance(values, tf.Variable) else tf.constant(np.asarray(values, np.float32))


def gradients(targets, rows, candidates, own, weights=None, per_pair=False):
    """The loss without correction, and its gradients with respect to targets and candidates."""
    variables = [tf.Variable(np.asarray(values, np.float32)) for values in (targets, candidates)]
    with tf.GradientTape() as tape:
        found = loss(variables[0], rows, variables[1], np.zeros(variables[1].shape[-1]), own, weights, per_pair)
    return (float(found), *(gradient.numpy() for gradient in tape.gradient(found, variables)))


def test_a_tiny_case_by_hand():
    # One query with positives at logits 1 and 0, negatives at 2 and −1 whose expected counts are 1/2 and 1:
    # Z = e + 1 + 2 e² + e⁻¹, and the mean positive is 1/2.
    found = loss([1, 0], [0, 0], [[[2, -1]]], np.log([0.5, 1]), [[0, 0]], [0.5, 0.5])
    assert float(found) == pytest.approx(np.log(np.e + 1 + 2 * np.e**2 + 1 / np.e) - 0.5, rel=1e-6)


def test_a_tiny_case_per_pair_by_hand():
    # As above, but each positive stands alone against N = 2 e² + e⁻¹.
    found = loss([1, 0], [0, 0], [[[2, -1]]], np.log([0.5, 1]), [[0, 0]], [0.5, 0.5], per_pair=True)
    negatives = 2 * np.e**2 + 1 / np.e
    assert float(found) == pytest.approx((np.log1p(negatives / np.e) + np.log1p(negatives)) / 2, rel=1e-6)


def test_pairs_count_by_their_weights():
    # log Z = log(e + 1 + 1); positives at 1 and 0 that weigh 3 and 1: their mean is 3/4.
    found = loss([1, 0], [0, 0], [[[0]]], [0], [[0]], [3, 1])
    assert float(found) == pytest.approx(np.log(np.e + 2) - 0.75, rel=1e-6)
    # Per pair: log(1 + e⁻¹) and log 2.
    found = loss([1, 0], [0, 0], [[[0]]], [0], [[0]], [3, 1], per_pair=True)
    assert float(found) == pytest.approx((3 * np.log1p(1 / np.e) + np.log(2)) / 4, rel=1e-6)


def test_the_scale_of_the_weights_does_not_matter():
    small, large = (loss([1, 0], [0, 1], [[[0], [2]]], [0], [[0]], [w, 2 * w]) for w in (0.1, 10))
    assert float(small) == pytest.approx(float(large), rel=1e-6)


def test_with_weights_that_a_query_shares_out_queries_count_alike():
    # Query 0 has one positive at 0, query 1 two at 0; a negative at 0 each: log 2 and log 3.
    arguments = [0, 0, 0], [0, 1, 1], [[[0], [0]]], [0], [[0]]
    by_query, by_pair = loss(*arguments, [1, 0.5, 0.5]), loss(*arguments, [1, 1, 1])
    assert float(by_query) == pytest.approx((np.log(2) + np.log(3)) / 2, rel=1e-6)
    assert float(by_pair) == pytest.approx((np.log(2) + 2 * np.log(3)) / 3, rel=1e-6)


def test_rarely_drawn_candidates_weigh_more():
    often, rarely = (loss([0], [0], [[[0]]], [np.log(q)], [[0]]) for q in (1, 0.25))
    # Z = 1 + 1 and Z = 1 + 4
    assert [float(often), float(rarely)] == pytest.approx([np.log(2), np.log(5)], rel=1e-6)


def test_positives_are_corrected_as_candidates_are():
    # Positives at 1 and 0 that are expected 1/2 and 1/4 times a step, a negative at 2: they count as log 2 e and log 4
    # for themselves. For the other they compete as they are: R = 1 + e² and R = e + e²; per pair, R = e² for both.
    counts = np.log([0.5, 0.25])
    arguments = [1, 0], [0, 0], [[[2]]], [0], [[0]], [0.5, 0.5]
    together, alone = (loss(*arguments, per_pair, counts) for per_pair in (False, True))
    square = np.e**2
    expected = np.log1p((1 + square) / (2 * np.e)) + np.log1p((np.e + square) / 4)
    assert float(together) == pytest.approx(expected / 2, rel=1e-6)
    expected = np.log1p(square / (2 * np.e)) + np.log1p(square / 4)
    assert float(alone) == pytest.approx(expected / 2, rel=1e-6)


@EACH
def test_a_query_without_a_target_counts_nowhere(per_pair):
    value, _, candidates = gradients([0], [0], [[[0], [7]]], [[0]], per_pair=per_pair)
    assert value == pytest.approx(np.log(2), rel=1e-6)
    assert candidates[0, 1].tolist() == [0]


def test_users_and_cuts_weigh_the_same():
    # log(1 + 1) and log(1 + e), for two users with one cut each, or one user with two
    expected = (np.log(2) + np.log(1 + np.e)) / 2
    two_users = loss([0, 0], [0, 1], [[[0]], [[1]]], [0], [[0], [0]])
    two_cuts = loss([0, 0], [0, 1], [[[0], [1]]], [0], [[0]])
    assert [float(two_users), float(two_cuts)] == pytest.approx([expected] * 2, rel=1e-6)


@EACH
def test_own_items_never_act_as_negatives(per_pair):
    value, _, candidates = gradients([0], [0], [[[3, 1]]], [[True, False]], per_pair=per_pair)
    assert value == pytest.approx(np.log(1 + np.e), rel=1e-6)
    own, other = candidates.ravel()
    assert own == 0
    assert other > 0


@EACH
def test_candidates_may_be_each_querys_own(per_pair):
    # Two queries of a user, each with a positive at 0: Z = 1 + e²/.5 and Z = 1 + 1/.25; a second candidate is masked
    # in the first query only, and is never expected to be missed.
    found = loss(
        [0, 0],
        [0, 1],
        [[[2, 5], [0, -1]]],
        [[[np.log(0.5), 0], [np.log(0.25), 0]]],
        np.array([[[False, True], [False, False]]]),
        per_pair=per_pair,
    )
    expected = (np.log1p(2 * np.e**2) + np.log(1 + 4 + 1 / np.e)) / 2
    assert float(found) == pytest.approx(expected, rel=1e-6)


@EACH
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_shared_candidates_are_each_querys_own_that_are_all_the_same(per_pair, seed):
    rng = np.random.default_rng(seed)
    candidates, counts, own = rng.normal(0, 2, (3, 2, 5)), np.log(rng.uniform(0.1, 1, 5)), rng.random((3, 5)) < 0.3
    rows = rng.integers(0, 6, 9)
    targets, weights = rng.normal(0, 2, 9), rng.random(9)
    shared = loss(targets, rows, candidates, counts, own, weights, per_pair)
    own, counts = (np.broadcast_to(each, (3, 2, 5)) for each in (own[:, np.newaxis], counts))
    assert float(loss(targets, rows, candidates, counts, own, weights, per_pair)) == pytest.approx(float(shared))


@EACH
@pytest.mark.parametrize("own", [False, True])
def test_a_batch_without_targets_costs_nothing_and_has_a_gradient_of_zero(own, per_pair):
    value, targets, candidates = gradients([], [], [[[2]]], [[own]], per_pair=per_pair)
    assert value == 0
    assert targets.shape == (0,)
    assert candidates.ravel().tolist() == [0]


@EACH
def test_pairs_without_weight_cost_nothing_and_have_a_gradient_of_zero(per_pair):
    value, targets, candidates = gradients([1, 2], [0, 0], [[[2]]], [[False]], [0, 0], per_pair)
    assert value == 0
    assert targets.tolist() == [0, 0]
    assert candidates.ravel().tolist() == [0]


@EACH
def test_a_query_whose_candidates_are_all_its_own_costs_nothing_and_has_a_gradient_of_zero(per_pair):
    value, targets, candidates = gradients([1], [0], [[[2, 3]]], [[True, True]], per_pair=per_pair)
    assert value == pytest.approx(0, abs=1e-6)
    assert targets.tolist() == pytest.approx([0], abs=1e-6)
    assert candidates.ravel().tolist() == [0, 0]


@EACH
@pytest.mark.parametrize("size", [1e-3, 1e3, 1e6])
def test_logits_of_any_size_give_a_finite_loss_and_gradient(size, per_pair):
    found = gradients([size, -size], [0, 1], [[[-size, size], [size, -size]]], [[False, False]], per_pair=per_pair)
    assert all(np.isfinite(each).all() for each in found)


@EACH
def test_the_gradient_at_equal_logits_is_that_of_a_softmax(per_pair):
    # One positive and one negative at the same logit: each has half of the softmax.
    _, targets, candidates = gradients([0.5], [0], [[[0.5]]], [[False]], per_pair=per_pair)
    assert targets.tolist() == pytest.approx([-0.5])
    assert candidates.ravel().tolist() == pytest.approx([0.5])


def test_the_gradient_at_equal_logits_of_several_positives_is_that_of_a_softmax():
    # Two positives and a negative at the same logit: each has a third of the softmax, half of the target or none.
    _, targets, candidates = gradients([2, 2], [0, 0], [[[2]]], [[False]])
    assert targets.tolist() == pytest.approx([1 / 3 - 1 / 2] * 2, rel=1e-5)
    assert candidates.ravel().tolist() == pytest.approx([1 / 3], rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_gradient_is_the_softmax_less_the_target(seed):
    rng = np.random.default_rng(seed)
    logits, weights = rng.normal(0, 3, 8), rng.dirichlet(np.ones(3))
    softmax = np.exp(logits) / np.exp(logits).sum()
    _, targets, candidates = gradients(logits[:3], [0] * 3, [[logits[3:]]], [[False] * 5], weights)
    assert targets == pytest.approx(softmax[:3] - weights, abs=1e-5)
    assert candidates.ravel() == pytest.approx(softmax[3:], abs=1e-5)


def full_softmax_case(seed):
    """Logits of a catalogue, the user's positives, and what the user has seen before."""
    rng = np.random.default_rng(seed)
    num_items, num_positives, num_seen = 12, rng.integers(1, 4), rng.integers(0, 5)
    own = rng.choice(num_items, num_positives + num_seen, replace=False)
    return rng.normal(0, 2, num_items).astype(np.float32), own[:num_positives], own[num_positives:]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_over_the_whole_catalogue_it_is_cross_entropy_against_the_normalised_multi_hot_target(seed):
    logits, positives, seen = full_softmax_case(seed)
    own = np.isin(np.arange(12), np.concatenate([positives, seen]))
    found = loss(logits[positives], [0] * len(positives), [[logits]], np.zeros(12), [own])
    # TensorFlow's own, over what the user had not met before: seen items are out of the softmax.
    target = np.isin(np.arange(12), positives) / len(positives)
    is_open = ~np.isin(np.arange(12), seen)
    expected = tf.nn.softmax_cross_entropy_with_logits(target[is_open].astype(np.float32), logits[is_open])
    assert float(found) == pytest.approx(float(expected), rel=1e-5, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_over_the_whole_catalogue_a_pair_is_a_softmax_without_the_users_other_items(seed):
    logits, positives, seen = full_softmax_case(seed)
    own = np.concatenate([positives, seen])
    is_own = np.isin(np.arange(12), own)
    found = loss(logits[positives], [0] * len(positives), [[logits]], np.zeros(12), [is_own], per_pair=True)
    expected = []
    for positive in positives:
        left = np.setdiff1d(np.arange(12), np.setdiff1d(own, positive))
        place = np.flatnonzero(left == positive)[0]
        expected.append(tf.nn.sparse_softmax_cross_entropy_with_logits(place, logits[left]))
    assert float(found) == pytest.approx(float(np.mean(expected)), rel=1e-5, abs=1e-5)


def test_tfrs_clips_the_correction_of_rare_items_where_ours_does_not():
    # A query with logit 0 for its positive, and one negative that is expected 1e-9 times a step. Both correct the
    # negative by −log(count); TFRS takes 1e-6 for anything smaller.
    task = tfrs.tasks.Retrieval(loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum"))
    queries = tf.constant([[1.0, 0.0]])
    candidates = tf.constant([[0.0, 1.0], [0.0, -1.0]])
    theirs = task(queries, candidates, candidate_sampling_probability=tf.constant([1.0, 1e-9]), compute_metrics=False)
    ours = loss([0], [0], [[[0]]], np.log([1e-9]), [[0]])
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
    ours = loss([0, 0], [0, 1], [[[0, 0], [0, 0]]], [0, 0], [[1, 1]])
    assert float(theirs) == pytest.approx(2 * np.log(2), rel=1e-5)
    assert float(ours) == pytest.approx(0, abs=1e-6)
