from dataclasses import replace

import numpy as np
import pytest
from small import FAST, no_features, queries

from bakeoff.models.encoder import EncoderRetriever
from bakeoff.models.softmax.batches import Batches
from bakeoff.models.softmax.model import SoftmaxDNN
from bakeoff.models.softmax.trainer import SoftmaxTrainer, make_sampler
from bakeoff.models.tensorflow import tf
from bakeoff.params import NegativesParams

NUM_ITEMS = 12
PARAMS = FAST.model_copy(update={"target_window": 2, "cuts_per_user": 2, "users_per_batch": 3, "dropout": 0.0})
ROWS = [[0, 1, 2, 3, 4], [5, 6], [7], [8, 2, 9]]


def first_batch(rows=ROWS, params=PARAMS):
    people = queries(rows)
    sampler = make_sampler(people.histories, NUM_ITEMS, params)
    made = Batches(people, sampler, params, NUM_ITEMS, np.random.default_rng(0))
    return {name: tf.constant(array) for name, array in next(made.epoch()).items()}


def negatives(**values):
    return PARAMS.model_copy(update={"negatives": NegativesParams(**values)})


@pytest.fixture
def model():
    made = SoftmaxDNN(PARAMS, NUM_ITEMS, no_features(NUM_ITEMS), ())
    made.compute_loss(first_batch())
    return made


def test_the_loss_of_a_batch_is_that_of_its_queries_one_by_one(model):
    params = negatives(sampler="full")
    batch = first_batch(params=params)
    items = model.item_tower(tf.range(NUM_ITEMS)).numpy()
    losses = []
    for user, line in enumerate(batch["history"].numpy()):
        history = batch["item_ids"].numpy()[line[line >= 0]]
        for cut in batch["cuts"].numpy()[user]:
            positives = history[cut : cut + 2]
            query = model.query_tower(
                tf.constant(items[history])[None],
                batch["timestamps"][user : user + 1, : len(history)],
                tf.constant([[cut]]),
                batch["dense"][user : user + 1],
                batch["categorical"][user : user + 1],
            )
            logits = query.numpy().ravel() @ items.T / PARAMS.temperature
            seen = np.setdiff1d(history, positives)
            partition = np.log(np.exp(np.delete(logits, seen)).sum())
            losses.append(partition - logits[positives].mean())
    assert float(model.compute_loss(batch)) == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_correction_is_made_only_where_the_settings_say_so():
    batch = first_batch(params=negatives(sampler="uniform", num_sampled=6))
    with_it, without = (
        SoftmaxDNN(negatives(logq_correction=on), NUM_ITEMS, no_features(NUM_ITEMS), ()) for on in (True, False)
    )
    for model in (with_it, without):
        model.compute_loss(batch)
    without.set_weights(with_it.get_weights())
    bare = batch | {"log_expected_count": tf.zeros_like(batch["log_expected_count"])}
    assert float(without.compute_loss(batch)) == float(without.compute_loss(bare)) == float(with_it.compute_loss(bare))
    assert float(with_it.compute_loss(batch)) > float(without.compute_loss(batch)) + 0.1


def test_the_temperature_starts_as_set_and_is_learned(model):
    assert np.exp(-model.log_scale.numpy()) == pytest.approx(PARAMS.temperature)
    assert any(weight is model.log_scale for weight in model.trainable_weights)


def trainer(params=PARAMS, rows=ROWS, seed=1):
    return SoftmaxTrainer(queries(rows), NUM_ITEMS, no_features(NUM_ITEMS), (), params, seed)


@pytest.mark.parametrize("sampler", ["uniform", "popularity", "in-batch", "full"])
def test_training_lowers_the_loss_with_every_sampler(sampler):
    # Users of two kinds, each with the items of its kind in an order of its own.
    rng = np.random.default_rng(2)
    rows = [rng.permutation(np.arange(6) + 6 * (user % 2)).tolist() for user in range(12)]
    trained = trainer(negatives(sampler=sampler, num_sampled=8), rows)
    losses = [trained.run_epoch() for _ in range(6)]
    assert losses[-1] < losses[0] - 0.1
    assert np.isfinite(losses).all()


def test_notes_tell_the_temperature_and_the_share_of_masked_false_negatives():
    trained = trainer()
    trained.run_epoch()
    notes = trained.notes()
    assert notes["temperature"] > 0
    assert notes["temperature"] != pytest.approx(PARAMS.temperature, rel=1e-6)
    assert 0 < notes["masked_false_negatives_share"] < 1


def test_parameters_are_the_trained_weights():
    # items 12·8, heads 2·8·8, hidden (2·8 + 3 activity + 0 features)·8 + 8, output 8·8 + 8, temperature 1
    assert trainer().num_parameters == 96 + 128 + (19 * 8 + 8) + 72 + 1


def test_changing_what_comes_after_a_history_changes_no_query():
    trained = trainer()
    trained.run_epoch()
    retriever = EncoderRetriever(trained.encoder())
    known = queries([[1, 2, 3]])
    cut = queries([[1, 2, 3, 8, 9]]).histories.first(3)
    found = retriever.embed_queries(known)
    assert retriever.embed_queries(replace(known, histories=cut)).tolist() == found.tolist()
    assert not np.allclose(retriever.embed_queries(queries([[1, 2, 4]])), found, atol=1e-4)


def test_serving_asks_the_tower_as_training_does():
    trained = trainer()
    trained.run_epoch()
    model, encoder = trained._model, trained.encoder()
    asked = queries([[4, 1, 7], [2]])
    history, timestamps = asked.histories.padded(3)
    items = model.item_tower(tf.range(NUM_ITEMS)).numpy()
    cuts = tf.constant([[0, 3], [0, 1]])
    in_training = model.query_tower(
        tf.constant(items[np.maximum(history, 0)]), timestamps, cuts, asked.dense, asked.categorical
    ).numpy()
    served = EncoderRetriever(encoder)
    assert served.embed_queries(asked) == pytest.approx(in_training[:, 1], abs=1e-6)
    assert served.embed_queries(queries([[], []])) == pytest.approx(in_training[:, 0], abs=1e-6)
