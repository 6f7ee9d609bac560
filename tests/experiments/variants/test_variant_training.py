from dataclasses import replace

import numpy as np
import pytest
import small_prepared
from bakeoff.experiments.variants.training import BUILDS, LOOKS
from small_prepared import PARAMS

from bakeoff.experiments.training import warm_users
from bakeoff.experiments.variants import training
from bakeoff.experiments.variants.groups import POSITIVES_ONLY
from bakeoff.experiments.variants.variant import Variant, with_settings
from bakeoff.models.base.tensorflow import seed_everything


@pytest.fixture
def prepared():
    return small_prepared.world()[0]


def train(model, params, prepared):
    return training.train(Variant(model, model, model), params, prepared)


def scored(monkeypatch, scores):
    """Validation finds these scores, one after the other; the encoders that were looked at."""
    looks = []
    left = iter(scores)

    def validation_scores(prepared, users):
        def validate(encoder):
            looks.append(encoder)
            return {"ndcg@10": next(left)}

        return validate

    monkeypatch.setattr(training, "validation_scores", validation_scores)
    return looks


def after(model, params, prepared, epochs):
    """Item embeddings of a contender after so many epochs on the train part."""
    seed_everything(params.seed)
    trainer = BUILDS[model](prepared, prepared.queries(prepared.train, warm_users(prepared)), params)
    for _ in range(epochs):
        trainer.run_epoch()
    return trainer.encoder().item_embeddings.numpy()


@pytest.mark.parametrize("model", ["mf", "softmax"])
def test_the_weights_of_the_best_epoch_on_validation_are_kept(monkeypatch, prepared, model):
    # 6 epochs and 4 looks: every second one, of which the second look, after epoch 4, is best.
    looks = scored(monkeypatch, [0.1, 0.3, 0.2])
    trained = train(model, PARAMS, prepared)
    assert (len(looks), trained.selected_epoch) == (3, 4)
    assert trained.retriever.item_embeddings == pytest.approx(after(model, PARAMS, prepared, 4), abs=1e-6)


def test_weights_of_other_epochs_are_other_weights(prepared):
    # Without this the test above would say nothing.
    fourth, sixth = (after("mf", PARAMS, prepared, epochs) for epochs in (4, 6))
    assert not np.allclose(fourth, sixth, atol=1e-4)


def test_of_equal_epochs_the_first_is_kept(monkeypatch, prepared):
    scored(monkeypatch, [0.2, 0.2, 0.2])
    assert train("mf", PARAMS, prepared).selected_epoch == 2


def test_the_last_epoch_is_looked_at_wherever_the_pace_ends(monkeypatch, prepared):
    # 9 epochs and 4 looks: after 3, 6 and 9; of 10 epochs after 3, 6, 9 and 10.
    for epochs, expected in ((9, 3), (10, LOOKS)):
        looks = scored(monkeypatch, np.arange(1, 10) / 10)
        params = with_settings(PARAMS, {"mf.max_epochs": epochs}, "test")
        assert train("mf", params, prepared).selected_epoch == epochs
        assert len(looks) == expected


def test_without_validation_events_the_last_epoch_is_kept(prepared):
    nothing = replace(prepared, valid=prepared.valid.first(0))
    assert train("mf", PARAMS, nothing).selected_epoch == PARAMS.mf.max_epochs


def test_training_is_on_the_train_part_alone(prepared):
    # Validation events choose the epoch and nothing else: other ones leave the weights as they are.
    params = with_settings(PARAMS, {"mf.max_epochs": 1}, "test")
    others = replace(prepared, valid=prepared.valid.take(np.roll(np.arange(prepared.num_users), 1)))
    found = [train("mf", params, each).retriever.item_embeddings for each in (prepared, others)]
    assert np.array_equal(*found)


def test_settings_reach_the_trainer(prepared):
    settings = {"softmax.hidden": [4, 4, 4], "softmax.max_epochs": 1}
    deep = train("softmax", with_settings(PARAMS, settings, "test"), prepared)
    shallow = train("softmax", with_settings(PARAMS, {"softmax.max_epochs": 1}, "test"), prepared)
    assert deep.num_parameters - shallow.num_parameters == 2 * (4 * 4 + 4)  # two more layers of 4 on 4, with biases


def test_costs_and_false_negatives_are_told_of_what_has_them(prepared):
    params = with_settings(PARAMS, {"softmax.max_epochs": 2}, "test")
    softmax, mf, popularity = (train(model, params, prepared) for model in ("softmax", "mf", "popularity"))
    # 20 users in batches of 4: 5 steps.
    assert softmax.seconds_per_step == pytest.approx(softmax.seconds_per_epoch / 5)
    # In-batch: no candidate is more than once one of a user's 4 items, and own targets always are candidates.
    assert 1 < softmax.false_negatives_per_query <= 4
    assert softmax.false_negatives_per_batch == pytest.approx(4 * softmax.false_negatives_per_query)
    assert len(softmax.epoch_cpu_seconds) == 1
    assert mf.seconds_per_epoch > 0
    assert (mf.seconds_per_step, mf.false_negatives_per_query) == (None, None)
    assert (popularity.seconds_per_epoch, popularity.selected_epoch) == (None, None)
    assert all(each.training_seconds > 0 for each in (softmax, mf, popularity))


def test_without_negatives_nothing_but_the_own_positives_compete(prepared):
    # One target a query: without other positives there is no loss and nothing is learned, from whatever settings.
    settings = {"softmax.target_window": 1, "softmax.learning_rate": 0.1, "softmax.max_epochs": 2}
    params = POSITIVES_ONLY.params(with_settings(PARAMS, settings, "test"))
    found = training.train(POSITIVES_ONLY, params, prepared).retriever.item_embeddings
    assert found == pytest.approx(after("softmax", params, prepared, 0), abs=1e-6)
    assert found != pytest.approx(after("softmax", params, prepared, 2), abs=1e-2)


@pytest.mark.parametrize(("model", "num_parameters"), [("popularity", 15), ("ease", 15 * 14)])
def test_models_without_epochs_learn_from_the_train_part_as_well(prepared, model, num_parameters):
    nothing = replace(prepared, valid=prepared.valid.first(0))
    found = [train(model, PARAMS, each) for each in (prepared, nothing)]
    assert found[0].num_parameters == num_parameters
    assert np.array_equal(*(each.retriever.item_embeddings for each in found))


def test_popularity_counts_train_events(prepared):
    found = train("popularity", PARAMS, prepared).retriever.item_embeddings.ravel()
    assert found.tolist() == prepared.train_counts.tolist()
