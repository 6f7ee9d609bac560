from dataclasses import replace

import numpy as np
import pytest
from small import FAST, histories, no_features, numbered, queries

from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.models.base.specs import spec
from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.pooling import smooth
from bakeoff.models.neural.spec import NegativesParams
from bakeoff.models.neural.trainer import SoftmaxTrainer

NUM_ITEMS = 12
PARAMS = FAST.model_copy(
    update={"target_window": 2, "cuts_per_user": 2, "users_per_batch": 3, "dropout": 0.0, "max_history": 4}
)
ROWS = [[0, 1, 2, 3, 4], [5, 6], [7], [8, 2, 9]]
UNSEEN = [10, 11]


def settings(negatives=(), **values):
    return PARAMS.model_copy(update={"negatives": NegativesParams(**dict(negatives)), **values})


def trainer(params=PARAMS, people=None, features=None, sizes=None, seed=1):
    people = queries(ROWS) if people is None else people
    return SoftmaxTrainer(people, NUM_ITEMS, features or no_features(NUM_ITEMS), sizes or {}, params, seed)


@pytest.fixture(scope="module")
def trained():
    made = trainer()
    made.run_epoch()
    return made


@pytest.mark.parametrize(
    ("objective", "negatives"),
    [
        ("next", {"sampler": "full"}),
        ("next", {"sampler": "mixed"}),  # in-batch and uniform
        ("reconstruct", {"sampler": "in-batch"}),
        ("next", {"sampler": "mixed", "selection": "hard"}),
        ("next", {"sampler": "uniform", "selection": "top-k"}),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value.values()),
)
def test_training_lowers_the_loss_with_each_kind_of_sampler_selection_and_objective(objective, negatives):
    # Popularity and log-uniform differ from uniform in their chances alone, see test_samplers.py and
    # test_unbiasedness.py. Users of two kinds, each with the items of its kind in an order of its own.
    rng = np.random.default_rng(2)
    rows = [rng.permutation(np.arange(6) + 6 * (user % 2)).tolist() for user in range(12)]
    params = settings({"num_sampled": 8, "num_selected": 4, **negatives}, objective=objective, learning_rate=0.05)
    made = trainer(params, queries(rows))
    losses = [made.run_epoch() for _ in range(6)]
    assert losses[-1] < losses[0] - 0.1
    assert np.isfinite(losses).all()


def test_notes_tell_the_temperature_and_the_share_of_masked_false_negatives(trained):
    notes = trained.notes()
    assert notes["temperature"] > 0
    assert notes["temperature"] != pytest.approx(PARAMS.temperature, rel=1e-6)
    assert 0 < notes["masked_false_negatives_share"] < 1


def test_parameters_are_the_trained_weights(trained):
    # items 12·8, heads 2·8·8, hidden (2·8 + 3 activity + 0 features)·8 + 8, output 8·8 + 8, temperature 1
    assert trained.num_parameters == 96 + 128 + (19 * 8 + 8) + 72 + 1


def test_parameters_of_user_features_and_ids_count():
    # As above, and 2 dense features and 5 dimensions of one with 4 values (5 rows) in front of the hidden layer; or
    # 5 vectors of 8 dimensions instead, which by-pass it.
    plain = 96 + 128 + (19 * 8 + 8) + 72 + 1
    by_feature, by_id = (trainer(people=numbered(ROWS), sizes={name: 4}) for name in ("town", "user_id"))
    assert by_feature.num_parameters == plain + (2 + 5) * 8 + 5 * 5
    assert by_id.num_parameters == plain + 2 * 8 + 5 * 8


def test_changing_what_comes_after_a_history_changes_no_query(trained):
    retriever = trained.retriever()
    known = queries([[1, 2, 3]])
    cut = queries([[1, 2, 3, 8, 9]]).histories.first(3)
    found = retriever.embed_queries(known)
    assert retriever.embed_queries(replace(known, histories=cut)).tolist() == found.tolist()
    assert not np.allclose(retriever.embed_queries(queries([[1, 2, 4]])), found, atol=1e-4)


def test_what_lies_before_the_last_max_history_items_has_no_effect(trained):
    retriever = trained.retriever()
    people = queries([[9, 8, 1, 2, 3, 4]])
    times = people.histories.timestamps - np.array([86_400] * 2 + [0] * 4)
    earlier = replace(
        queries([[5, 6, 1, 2, 3, 4]]), histories=replace(histories([[5, 6, 1, 2, 3, 4]]), timestamps=times)
    )
    found = retriever.embed_queries(people)
    assert retriever.embed_queries(earlier).tolist() == found.tolist()
    assert not np.allclose(retriever.embed_queries(queries([[9, 8, 7, 2, 3, 4]])), found, atol=1e-4)


def test_the_order_of_what_is_read_matters(trained):
    retriever = trained.retriever()
    forth, back = (retriever.embed_queries(queries([row])) for row in ([1, 2, 3, 4], [4, 3, 2, 1]))
    assert not np.allclose(forth, back, atol=1e-3)


def test_serving_asks_the_tower_as_training_does(trained):
    # Reconstruction that drops nothing asks about whole histories: in training, what serving is asked.
    params = settings(objective="reconstruct", history_dropout=0.0, empty_history_share=0.0)
    people = numbered(ROWS)
    made = trainer(params, people, sizes={"user_id": 4})
    made.run_epoch()
    batch = {name: tf.constant(array) for name, array in next(made._batches.epoch()).items()}
    in_training = made._model._queries(batch, made._model.item_tower(batch["item_ids"]), None).numpy()
    served = made.retriever().embed_queries(people)
    assert in_training == pytest.approx(served[batch["categorical"].numpy().ravel()], abs=1e-5)


def test_an_empty_history_is_answered_from_what_else_is_known(trained):
    found = trained.retriever().embed_queries(queries([[], []]))
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(2), rel=1e-4)
    assert not trained.retriever().uses_fallback(queries([[]])).any()


def test_item_embeddings_are_those_of_the_item_tower(trained, monkeypatch):
    expected = trained._model.item_tower(tf.range(NUM_ITEMS)).numpy()
    assert trained.retriever().item_embeddings.tolist() == expected.tolist()
    monkeypatch.setattr("bakeoff.models.neural.trainer.ITEMS_PER_BLOCK", 5)
    assert trained.retriever().item_embeddings == pytest.approx(expected, abs=1e-7)


def test_items_without_a_train_event_have_no_id_part(trained):
    ids = trained._model.item_tower.id_embeddings.numpy()
    assert np.flatnonzero(~ids.any(axis=1)).tolist() == UNSEEN
    assert trained.retriever().item_embeddings[UNSEEN].tolist() == np.zeros((2, 8)).tolist()


def test_items_without_a_train_event_have_what_their_features_say():
    codes = np.arange(NUM_ITEMS, dtype=np.int32)[:, np.newaxis] % 3
    features = EncodedFeatures(np.zeros((NUM_ITEMS, 0), np.float32), codes, (2,))
    made = trainer(features=features)
    made.run_epoch()
    found = made.retriever().item_embeddings[UNSEEN]  # codes 1 and 2
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(2), rel=1e-4)
    assert abs(found[0] @ found[1]) < 0.999


def test_items_that_have_no_features_are_not_said_to_be_ranked_by_them(trained):
    codes = np.arange(NUM_ITEMS, dtype=np.int32)[:, np.newaxis] % 3
    with_features = trainer(features=EncodedFeatures(np.zeros((NUM_ITEMS, 0), np.float32), codes, (2,)))
    assert with_features.settings() == PARAMS.model_dump(mode="json")
    for name in ("softmax", "two_tower"):
        assert spec(name).embeds_new_items(with_features.settings())
        assert not spec(name).embeds_new_items(trained.settings())


def untimed(rows, timestamp=0):
    people = queries(rows)
    return replace(people, histories=replace(people.histories, timestamps=np.full(sum(map(len, rows)), timestamp)))


@pytest.mark.parametrize("timestamp", [0, 1_600_000_000])
def test_without_times_that_differ_recency_is_off_and_the_settings_say_so(trained, timestamp):
    made = trainer(people=untimed(ROWS, timestamp))
    as_trained = PARAMS.model_dump(mode="json") | {"use_item_features": False}  # items have none
    assert made.settings() == as_trained | {"recency_scales": []}
    assert trained.settings() == as_trained
    made.run_epoch()
    forth, back = made.retriever().embed_queries(untimed([[1, 2, 3], [3, 2, 1]]))
    assert forth == pytest.approx(back, abs=1e-5)


def id_lengths(made):
    return np.linalg.norm(made._model.item_tower.id_embeddings.numpy(), axis=1)


def test_item_embeddings_are_brought_back_to_length_one_after_so_many_steps():
    # Two steps an epoch: the fourth step is the last of the second one.
    made = trainer(settings(renormalize_every=4))
    made.run_epoch()
    assert np.abs(id_lengths(made)[:10] - 1).min() > 1e-3
    made.run_epoch()
    assert id_lengths(made) == pytest.approx(np.repeat([1, 0], [10, 2]), abs=1e-5)


def test_users_own_vectors_are_brought_back_with_them():
    made = trainer(settings(renormalize_every=4), numbered(ROWS), sizes={"user_id": 4})

    def lengths():
        return np.linalg.norm(made._model.query_tower.user_embeddings.numpy(), axis=1)

    made.run_epoch()
    assert np.abs(lengths() - 1).min() > 1e-3
    made.run_epoch()
    assert lengths() == pytest.approx(np.ones(5), abs=1e-5)


def test_lengths_are_left_alone_unless_the_settings_say_so(trained):
    assert np.abs(id_lengths(trained)[:10] - 1).min() > 1e-3


def test_what_is_ranked_is_smoothed_and_what_is_read_is_not(trained):
    made = trainer(settings(smoothing=0.5))
    made.run_epoch()  # the same training as without
    plain, smoothed = (each.retriever() for each in (trained, made))
    people = queries(ROWS)
    found = smoothed.embed_queries(people)
    assert found == pytest.approx(plain.embed_queries(people), abs=1e-6)
    expected = smooth(plain.item_embeddings, found, people.histories, 0.5)
    assert smoothed.item_embeddings == pytest.approx(expected, abs=1e-6)
    assert np.abs(smoothed.item_embeddings - plain.item_embeddings)[:10].max(axis=1).min() > 0.01
