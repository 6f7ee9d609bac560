from functools import partial

import numpy as np
import pytest

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural import selection
from bakeoff.models.neural.selection import selected_logits
from bakeoff.models.neural.spec import NegativesParams

USERS, CUTS, POOL = 3, 2, 20
LOG_COUNT = np.log(np.random.default_rng(3).uniform(0.05, 1, POOL)).astype(np.float32)


def scores(scale=1.5):
    return np.random.default_rng(4).normal(0, scale, (USERS, CUTS, POOL)).astype(np.float32)


def some_own():
    own = np.random.default_rng(5).random((USERS, POOL)) < 0.3
    own[1] = False
    return own


def hard(count, temperature=1.0, corrected=True):
    return NegativesParams(
        selection="hard", num_selected=count, hard_temperature=temperature, logq_correction=corrected
    )


def top_k(count, corrected=True):
    return NegativesParams(selection="top-k", num_selected=count, logq_correction=corrected)


def select(negatives, logits, log_count=LOG_COUNT, own=None, seed=(1, 2)):
    own = np.zeros((logits.shape[0], logits.shape[2]), bool) if own is None else own
    given = (tf.constant(each) for each in (logits, log_count, own, seed))
    chosen = selection.select(negatives, *given)
    return type(chosen)(*(part.numpy() for part in chosen))


def partition(logits, own, log_count=LOG_COUNT):
    """Σ over the pool outside own items of exp(s)/π, [U, C]."""
    return np.where(own[:, None], 0, np.exp(logits - log_count)).sum(-1)


def estimate(logits, chosen):
    picked = np.take_along_axis(logits, chosen.index, axis=2)
    return np.where(chosen.is_own, 0, np.exp(picked - chosen.log_expected_count)).sum(-1)


@pytest.mark.parametrize("negatives", [hard(7), top_k(7)])
def test_each_query_gets_the_number_that_was_asked_for(negatives):
    chosen = select(negatives, scores(), own=some_own())
    assert {part.shape for part in chosen} == {(USERS, CUTS, 7)}
    assert (chosen.index.dtype, chosen.log_expected_count.dtype, chosen.is_own.dtype) == (np.int32, np.float32, bool)


@pytest.mark.parametrize("negatives", [hard(40), hard(40, 50.0), top_k(10)])
@pytest.mark.parametrize("corrected", [True, False])
def test_own_items_are_never_selected(negatives, corrected):
    own = some_own()
    own[:, :3] = True
    # Own items score highest.
    logits = scores() + np.float32(20) * own[:, None]
    chosen = select(negatives.model_copy(update={"logq_correction": corrected}), logits, own=own)
    assert not chosen.is_own.any()
    assert not np.take_along_axis(np.repeat(own[:, None], CUTS, 1), chosen.index, 2).any()


@pytest.mark.parametrize("negatives", [hard(4), hard(4, 0.1), top_k(4)])
def test_where_nothing_but_own_items_is_left_all_of_them_are_marked(negatives):
    chosen = select(negatives, scores(), own=np.ones((USERS, POOL), bool))
    assert chosen.is_own.all()
    assert np.isfinite(chosen.log_expected_count).all()


def test_hard_draws_are_as_frequent_as_their_probability():
    # The counts of the pool are part of it: q ∝ exp(s/τ)/π.
    logits, own = scores(), some_own()
    chosen = select(hard(20_000, temperature=2.0), logits, own=own)
    weights = np.where(own[:, None], 0, np.exp(logits / 2 - LOG_COUNT))
    expected = weights / weights.sum(-1, keepdims=True)
    found = np.stack([[np.bincount(row, minlength=POOL) for row in user] for user in chosen.index]) / 20_000
    assert np.abs(found - expected).max() < 5 * np.sqrt(0.25 / 20_000)


def test_without_correction_hard_draws_take_the_pool_as_it_is():
    logits = scores()
    chosen = select(hard(20_000, 0.5, corrected=False), logits)
    weights = np.exp(logits / 0.5)
    found = np.stack([[np.bincount(row, minlength=POOL) for row in user] for user in chosen.index]) / 20_000
    assert np.abs(found - weights / weights.sum(-1, keepdims=True)).max() < 5 * np.sqrt(0.25 / 20_000)
    assert (chosen.log_expected_count == 0).all()


def test_the_expected_count_of_a_hard_draw_by_hand():
    # Weights e^0/(1/2) = 2 and e^(log 6)/1 = 6, so q = 1/4 and 3/4; four draws, the first item in half of the pools:
    # 4 · 1/4 · 1/2 = 1/2 and 4 · 3/4 · 1 = 3.
    logits = np.log([[[1, 6]]]).astype(np.float32)
    chosen = select(hard(4), logits, np.log([0.5, 1]).astype(np.float32))
    expected = np.array([0.5, 3])[chosen.index]
    assert np.exp(chosen.log_expected_count) == pytest.approx(expected, rel=1e-5)


def test_at_temperature_one_the_partition_function_of_the_pool_is_met_exactly():
    logits, own = scores(), some_own()
    chosen = select(hard(3), logits, own=own)
    assert estimate(logits, chosen) == pytest.approx(partition(logits, own), rel=1e-4)


@pytest.mark.parametrize("temperature", [0.7, 3.0])
def test_at_any_temperature_the_partition_function_of_the_pool_is_met_on_average(temperature):
    logits, own = repeated(scores(1.0)), repeated(some_own())
    chosen = select(hard(50, temperature), logits, own=own)
    assert_is_mean(estimate(logits, chosen), partition(scores(1.0), some_own()), precision=0.02)


def test_over_pools_and_draws_it_is_the_partition_function_of_the_catalogue():
    # Each item joins a user's pool on its own with its chance π; what has not joined is masked.
    logits, own = repeated(scores(1.0)), repeated(some_own())
    absent = np.random.default_rng(6).random(own.shape) >= np.exp(LOG_COUNT)
    chosen = select(hard(30, 2.0), logits, own=own | absent)
    assert_is_mean(estimate(logits, chosen), partition(scores(1.0), some_own(), np.zeros(POOL)), precision=0.05)


REPEATS = 600


def repeated(rows):
    """REPEATS times the same users."""
    return np.concatenate([rows] * REPEATS)


def assert_is_mean(runs, expected, precision):
    """Of [REPEATS · U, C], within 4.5 standard errors, which are at most a share `precision` of it."""
    runs = runs.reshape(REPEATS, *expected.shape)
    error = runs.std(axis=0) / np.sqrt(REPEATS)
    assert (np.abs(runs.mean(axis=0) - expected) < 4.5 * error).all()
    assert (error / expected).max() < precision


def test_the_same_seed_draws_the_same_candidates_and_another_seed_others():
    first, again, other = (select(hard(50), scores(), seed=seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert (first.index == again.index).all()
    assert (first.index != other.index).any()


def test_a_low_temperature_draws_only_the_hardest():
    chosen = select(hard(30, temperature=0.01), scores(), np.zeros(POOL, np.float32))
    assert (chosen.index == scores().argmax(-1)[:, :, None]).all()


@pytest.mark.parametrize("negatives", [hard(6, 2.0), top_k(6)])
def test_no_gradient_flows_through_the_selection(negatives):
    logits = tf.Variable(scores())
    with tf.GradientTape() as tape:
        others = (tf.constant(each) for each in (LOG_COUNT, some_own(), [1, 2]))
        chosen = selection.select(negatives, logits, *others)
        total = tf.reduce_sum(chosen.log_expected_count)
    assert tape.gradient(total, logits) is None


def test_top_k_takes_the_highest_scored_in_order():
    logits, own = scores(), some_own()
    chosen = select(top_k(5), logits, own=own)
    expected = np.argsort(-np.where(own[:, None], -np.inf, logits), axis=-1)[:, :, :5]
    assert (chosen.index == expected).all()
    assert (chosen.log_expected_count == LOG_COUNT[expected]).all()


def test_top_k_without_correction_subtracts_nothing():
    assert (select(top_k(5, corrected=False), scores()).log_expected_count == 0).all()


def test_top_k_of_more_than_there_are_is_the_whole_pool():
    chosen = select(top_k(500), scores())
    assert (np.sort(chosen.index, axis=-1) == np.arange(POOL)).all()


def test_top_k_estimates_less_than_the_partition_function():
    logits, own = scores(), some_own()
    assert (estimate(logits, select(top_k(5), logits, own=own)) < partition(logits, own)).all()


def test_selected_logits_are_those_of_the_pool():
    rng = np.random.default_rng(8)
    queries = tf.constant(rng.normal(size=(USERS, CUTS, 4)), tf.float32)
    embeddings = tf.constant(rng.normal(size=(POOL, 4)), tf.float32)
    logits = tf.einsum("ucd,sd->ucs", queries, embeddings).numpy()
    chosen = select(hard(6), logits)
    expected = np.take_along_axis(logits, chosen.index, axis=2)
    assert selected_logits(queries, embeddings, chosen.index).numpy() == pytest.approx(expected, abs=1e-5)


def test_selection_works_in_a_graph_whose_lengths_are_unknown():
    spec = [tf.TensorSpec([None] * rank, kind) for rank, kind in ((3, tf.float32), (1, tf.float32), (2, tf.bool))]
    signature = [*spec, tf.TensorSpec([2], tf.int32)]
    select_in_graph = tf.function(partial(selection.select, hard(5)), input_signature=signature)
    chosen = select_in_graph(scores(), LOG_COUNT, some_own(), tf.constant([1, 2]))
    assert (chosen.index.numpy() == select(hard(5), scores(), own=some_own()).index).all()
