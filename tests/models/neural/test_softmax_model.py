from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from small import FAST, no_features, numbered

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.batches import Batches, target_chances
from bakeoff.models.neural.model import SoftmaxDNN
from bakeoff.models.neural.proposals import make_sampler
from bakeoff.models.neural.spec import NegativesParams

NUM_ITEMS = 12
PARAMS = FAST.model_copy(
    update={"target_window": 2, "cuts_per_user": 2, "users_per_batch": 3, "dropout": 0.0, "max_history": 3}
)
ROWS = [[0, 1, 2, 3, 4], [5, 6], [7], [8, 2, 9]]
SEED = 5
"""Of a batch in which some query has two targets."""
SIZES = {"number": len(ROWS)}
ALL_NEGATIVES = [{"sampler": "full"}, {"sampler": "uniform", "num_sampled": 6}, {"sampler": "in-batch"}]


def settings(negatives=(), **values):
    return PARAMS.model_copy(update={"negatives": NegativesParams(**dict(negatives)), **values})


def sampler_of(params, people):
    chances = partial(target_chances, params=params)
    return make_sampler(people.histories, NUM_ITEMS, params.negatives, chances, params.users_per_batch)


def first_batch(params=PARAMS, people=None, seed=0):
    people = numbered(ROWS) if people is None else people
    sampler = sampler_of(params, people)
    pooling = SoftmaxDNN(params, no_features(NUM_ITEMS), np.ones(NUM_ITEMS, bool), {}, 0).query_tower.pooling
    made = Batches(people, pooling, params, NUM_ITEMS, np.random.default_rng(seed), sampler)
    return {name: tf.constant(array) for name, array in next(made.epoch()).items()}


def model_of(params=PARAMS, like=None):
    made = SoftmaxDNN(params, no_features(NUM_ITEMS), np.ones(NUM_ITEMS, bool), SIZES, 0)
    made.compute_loss(first_batch(params))
    if like is not None:
        made.set_weights(like.get_weights())
    return made


def query_by_hand(model, items, user, history):
    """Query embedding [d] of a user of ROWS who has this history, a second between items."""
    read = items[history[-3:]][::-1].astype(np.float64)
    lags = np.arange(len(read))
    heads = [np.exp(-lags / scale) * (lags <= 7 * scale) for scale in PARAMS.recency_scales]
    pooled = [weights @ read / weights.sum() if history else np.zeros(PARAMS.dim) for weights in heads]
    span = np.log(len(read)) if history else np.nan  # log(1 + the seconds between n items) = log n
    activity = [np.log1p(len(read)), span, span]
    inputs = np.array([pooled]), np.array([activity]), np.array([[user, 10 * user]])
    return model.query_tower(*(tf.constant(each, tf.float32) for each in inputs), tf.constant([[user]])).numpy()[0]


def loss_by_hand(model, batch, inclusion, per_pair, shared):
    """Query by query; the mean. Expected counts [n], and that of item 2, which two users have, by the other one."""
    items = model.item_tower(tf.range(NUM_ITEMS)).numpy()
    candidates = batch["item_ids"].numpy()[batch["candidates"].numpy()]
    counts = np.where(inclusion > 0, inclusion, 1)
    losses = []
    for user, cut in zip(users_of(batch), cuts_of(batch), strict=True):
        logits = items @ query_by_hand(model, items, user, ROWS[user][:cut]) / PARAMS.temperature
        negatives = [np.exp(logits[c]) / counts[c] for c in candidates if c not in ROWS[user]]
        positives = ROWS[user][cut : cut + 2]
        each = []
        for positive in positives:
            others = [np.exp(logits[other]) for other in positives if other != positive and not per_pair]
            own = np.exp(logits[positive]) / (shared[user] if positive == 2 else counts[positive])
            each.append(np.log(sum(negatives) + sum(others) + own) - np.log(own))
        losses.append(np.mean(each))
    return np.mean(losses)


def users_of(batch):
    """Of each query."""
    return np.repeat(batch["categorical"].numpy().ravel(), 2)


def cuts_of(batch):
    """The number of items before each query's cut: where its first target stands."""
    targets, rows = batch["item_ids"].numpy()[batch["targets"].numpy()], batch["target_rows"].numpy()
    return [ROWS[user].index(targets[rows == row][0]) for row, user in enumerate(users_of(batch))]


@pytest.mark.parametrize("negatives", ALL_NEGATIVES)
@pytest.mark.parametrize("loss", ["multi-hot", "per-pair"])
def test_the_loss_of_a_batch_is_that_of_its_queries_one_by_one(loss, negatives):
    params = settings(negatives, loss=loss)
    model, batch = model_of(params), first_batch(params, seed=SEED)
    assert max(cuts_of(batch)) > 0
    assert np.bincount(batch["target_rows"]).max() == 2
    sampler, histories = sampler_of(params, numbered(ROWS)), numbered(ROWS).histories
    shared = np.full(len(ROWS), sampler.inclusion[2])
    if negatives["sampler"] == "in-batch":  # two others of three are in the batch
        shared[[3, 0]] = 2 / 3 * target_chances(histories, params)[histories.items == 2]
    expected = loss_by_hand(model, batch, sampler.inclusion, loss == "per-pair", shared)
    assert float(model.compute_loss(batch)) == pytest.approx(expected, rel=1e-4)


def test_the_correction_is_made_only_where_the_settings_say_so():
    batch = first_batch(settings({"sampler": "uniform", "num_sampled": 6}))
    with_it = model_of(settings({"logq_correction": True}))
    without = model_of(settings({"logq_correction": False}), like=with_it)
    names = "log_expected_count", "target_log_expected_count"
    bare = batch | {name: tf.zeros_like(batch[name]) for name in names}
    assert float(without.compute_loss(batch)) == float(without.compute_loss(bare)) == float(with_it.compute_loss(bare))
    for name in names:
        alone = float(with_it.compute_loss(bare | {name: batch[name]}))
        assert abs(alone - float(without.compute_loss(batch))) > 0.1


def test_targets_stand_as_they_are_where_the_settings_leave_them_uncorrected():
    batch = first_batch(settings({"sampler": "uniform", "num_sampled": 6}))
    with_it = model_of(settings({"correct_targets": True}))
    without = model_of(settings({"correct_targets": False}), like=with_it)
    name = "target_log_expected_count"
    bare = batch | {name: tf.zeros_like(batch[name])}
    assert float(without.compute_loss(batch)) == float(with_it.compute_loss(bare))
    assert abs(float(with_it.compute_loss(batch)) - float(with_it.compute_loss(bare))) > 0.1


@pytest.mark.parametrize("corrected", [True, False])
def test_the_best_of_all_candidates_are_all_of_them(corrected):
    negatives = {"sampler": "uniform", "num_sampled": 6, "logq_correction": corrected}
    batch = first_batch(settings(negatives))
    plain = model_of(settings(negatives))
    top = model_of(settings(negatives | {"selection": "top-k", "num_selected": 99}), like=plain)
    assert float(top.compute_loss(batch)) == pytest.approx(float(plain.compute_loss(batch)), rel=1e-5)


def test_fewer_candidates_make_a_smaller_partition_function():
    batch = first_batch(settings({"sampler": "full"}))
    plain = model_of()
    losses = [
        float(model_of(settings({"selection": "top-k", "num_selected": k}), like=plain).compute_loss(batch))
        for k in (1, 3, 6)
    ]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1] < float(plain.compute_loss(batch))


def test_hard_draws_estimate_the_loss_over_all_candidates():
    # At temperature 1 the estimate has no scatter: every draw counts with the inverse of its chance.
    batch = first_batch(settings({"sampler": "full"}))
    plain = model_of()
    hard = model_of(settings({"selection": "hard", "num_selected": 2}), like=plain)
    assert float(hard.compute_loss(batch)) == pytest.approx(float(plain.compute_loss(batch)), rel=1e-4)


def test_hard_draws_follow_from_the_step():
    batch = first_batch(settings({"sampler": "full"}))
    model = model_of(settings({"selection": "hard", "num_selected": 2, "hard_temperature": 3.0}))
    model.compile(optimizer=tf.keras.optimizers.legacy.SGD(0.0))

    def loss_at(step):
        model.optimizer.iterations.assign(step)
        return float(model.compute_loss(batch, training=True))

    assert loss_at(4) == loss_at(4)
    assert len({loss_at(step) for step in range(6)}) > 1


def test_dropout_follows_from_the_step_and_acts_in_training_alone():
    params = settings(dropout=0.5)
    model, batch = model_of(params), first_batch(params)
    model.compile(optimizer=tf.keras.optimizers.legacy.SGD(0.0))
    first, again = (float(model.compute_loss(batch, training=True)) for _ in range(2))
    model.optimizer.iterations.assign(1)
    assert first == again != float(model.compute_loss(batch, training=True))
    assert float(model.compute_loss(batch)) == float(model.compute_loss(batch)) != first


def queries_of(model, people, params):
    """Queries of a batch, and the number of items that each reads."""
    batch = first_batch(params, people)
    return model._queries(batch, model.item_tower(batch["item_ids"]), None).numpy(), np.diff(batch["history_offsets"])


@pytest.fixture(scope="module")
def what_comes_before_and_after():
    """Queries about a history at random cuts; the same where its items and times from place 3 on are others."""
    params = settings(cuts_per_user=40, max_history=64, empty_history_share=0.2)
    people = numbered([[0, 1, 2, 3, 4, 5]])
    people = replace(people, dense=np.zeros((1, 2), np.float32))
    items, times = people.histories.items.copy(), people.histories.timestamps.copy()
    items[3:], times[3:] = [9, 10, 11], times[3:] + 86_400
    other = replace(people, histories=replace(people.histories, items=items, timestamps=times))
    model = model_of(params)
    first, cuts = queries_of(model, people, params)
    second, _ = queries_of(model, other, params)
    return np.abs(first - second).max(axis=1), cuts


def test_nothing_after_a_cut_reaches_its_query(what_comes_before_and_after):
    difference, cuts = what_comes_before_and_after
    assert set(cuts[cuts <= 3].tolist()) == {0, 1, 2, 3}
    assert difference[cuts <= 3] == pytest.approx(0, abs=1e-6)


def test_the_item_just_before_a_cut_does(what_comes_before_and_after):
    difference, cuts = what_comes_before_and_after
    assert difference[cuts == 4].min() > 1e-3


def test_the_temperature_starts_as_set_and_is_learned_unless_the_settings_say_no():
    for learned in (True, False):
        model = model_of(settings(learn_temperature=learned))
        assert np.exp(-model.log_scale.numpy()) == pytest.approx(PARAMS.temperature)
        assert any(weight is model.log_scale for weight in model.trainable_weights) == learned
        assert any(weight is model.log_scale for weight in model.weights)
