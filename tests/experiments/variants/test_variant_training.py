from dataclasses import replace

import numpy as np
import pytest
import small_prepared
from small_prepared import PARAMS

from bakeoff.experiments.variants import measure
from bakeoff.experiments.variants.groups import POSITIVES_ONLY, Variant
from bakeoff.experiments.variants.measure import (
    LOOKS,
    false_negatives,
    steps_per_epoch,
    train_variant,
)


@pytest.fixture
def prepared():
    return small_prepared.world()[0]


SHIPPED = PARAMS.experiments


def with_settings(**settings):
    """Settings by name, with a double underscore for the dot."""
    return SHIPPED.with_values({name.replace("__", "."): value for name, value in settings.items()}, "test")


def of(model, settings, prepared):
    return Variant(model, model, model).experiment(settings, prepared)


def train(model, settings, prepared):
    return train_variant(of(model, settings, prepared))


def scored(monkeypatch, scores):
    """Validation finds these scores, one after the other; the models that were looked at."""
    looks = []
    left = iter(scores)

    def validation_scores(prepared, users):
        def validate(retriever):
            looks.append(retriever)
            return {"ndcg@10": next(left)}

        return validate

    monkeypatch.setattr(measure, "validation_scores", validation_scores)
    return looks


def after(model, settings, prepared, epochs):
    """Item embeddings of a contender after this many epochs on the train part."""
    trained = of(model, settings, prepared)
    trainer = trained.trainer(trained.queries(prepared.train))
    for _ in range(epochs):
        trainer.run_epoch()
    return trainer.retriever().item_embeddings


@pytest.mark.parametrize("model", ["mf", "softmax"])
def test_the_weights_of_the_best_epoch_on_validation_are_kept(monkeypatch, prepared, model):
    # 6 epochs and 4 looks: every second one, of which the second look, after epoch 4, is best.
    looks = scored(monkeypatch, [0.1, 0.3, 0.2])
    trained = train(model, SHIPPED, prepared)
    assert (len(looks), trained.epoch) == (3, 4)
    assert trained.retriever.item_embeddings == pytest.approx(after(model, SHIPPED, prepared, 4), abs=1e-6)


def test_weights_of_other_epochs_are_other_weights(prepared):
    # Without this the test above would say nothing.
    fourth, sixth = (after("mf", SHIPPED, prepared, epochs) for epochs in (4, 6))
    assert not np.allclose(fourth, sixth, atol=1e-4)


def test_of_equal_epochs_the_first_is_kept(monkeypatch, prepared):
    scored(monkeypatch, [0.2, 0.2, 0.2])
    assert train("mf", SHIPPED, prepared).epoch == 2


def test_the_last_epoch_is_looked_at_wherever_the_pace_ends(monkeypatch, prepared):
    # 9 epochs and 4 looks: after 3, 6 and 9; of 10 epochs after 3, 6, 9 and 10.
    for epochs, expected in ((9, 3), (10, LOOKS)):
        looks = scored(monkeypatch, np.arange(1, 10) / 10)
        params = with_settings(mf__max_epochs=epochs)
        assert train("mf", params, prepared).epoch == epochs
        assert len(looks) == expected


def test_without_validation_events_the_last_epoch_is_kept(prepared):
    nothing = replace(prepared, valid=prepared.valid.first(0))
    assert train("mf", SHIPPED, nothing).epoch == SHIPPED.mf.max_epochs


def test_training_is_on_the_train_part_alone(prepared):
    # Validation events choose the epoch and nothing else: other ones leave the weights as they are.
    params = with_settings(mf__max_epochs=1)
    others = replace(prepared, valid=prepared.valid.take(np.roll(np.arange(prepared.num_users), 1)))
    found = [train("mf", params, each).retriever.item_embeddings for each in (prepared, others)]
    assert np.array_equal(*found)


def test_settings_reach_the_trainer(prepared):
    queries = prepared.queries(prepared.train, prepared.warm_users)
    given = with_settings(softmax__hidden=[4, 4, 4]), SHIPPED
    deep, shallow = (of("softmax", settings, prepared).trainer(queries) for settings in given)
    assert deep.num_parameters - shallow.num_parameters == 2 * (4 * 4 + 4)  # two more layers of 4 on 4, with biases


def test_costs_and_false_negatives_are_known_of_the_models_that_have_them(prepared):
    params = with_settings(softmax__max_epochs=2)
    experiments = [of(model, params, prepared) for model in ("softmax", "mf", "popularity")]
    softmax, mf, popularity = map(train_variant, experiments)
    # 20 users in batches of 4: 5 steps.
    assert [steps_per_epoch(each) for each in experiments] == [5, None, None]
    # In-batch: no candidate is more than once one of a user's 4 items, and own targets always are candidates.
    assert 1 < false_negatives(softmax) / (softmax.epoch * 20) <= 4
    assert len(softmax.epoch_costs) == 1
    assert min(each.wall for each in mf.epoch_costs) > 0
    assert (false_negatives(mf), false_negatives(popularity)) == (None, None)
    assert (list(popularity.epoch_costs), popularity.epoch) == ([], None)
    assert all(each.seconds > 0 for each in (softmax, mf, popularity))


def test_without_negatives_nothing_but_the_own_positives_compete(prepared):
    # One target a query: without other positives there is no loss and nothing is learned, from whatever settings.
    shipped = with_settings(softmax__target_window=1, softmax__learning_rate=0.1, softmax__max_epochs=2)
    params = POSITIVES_ONLY.applied_to(shipped)
    found = train_variant(POSITIVES_ONLY.experiment(shipped, prepared)).retriever.item_embeddings
    assert found == pytest.approx(after("softmax", params, prepared, 0), abs=1e-6)
    assert found != pytest.approx(after("softmax", params, prepared, 2), abs=1e-2)


@pytest.mark.parametrize(("model", "num_parameters"), [("popularity", 15), ("ease", 15 * 14)])
def test_models_without_epochs_learn_from_the_train_part_as_well(prepared, model, num_parameters):
    nothing = replace(prepared, valid=prepared.valid.first(0))
    found = [train(model, SHIPPED, each) for each in (prepared, nothing)]
    assert found[0].num_parameters == num_parameters
    assert np.array_equal(*(each.retriever.item_embeddings for each in found))


def test_popularity_counts_train_events(prepared):
    found = train("popularity", SHIPPED, prepared).retriever.item_embeddings.ravel()
    assert found.tolist() == prepared.train_counts.tolist()
