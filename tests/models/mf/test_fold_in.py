from dataclasses import replace

import numpy as np
import pytest
import reference_als
from small import histories, queries, random_rows

from bakeoff.models.encoder import EncoderRetriever
from bakeoff.models.mf.trainer import MFTrainer
from bakeoff.params import MFParams

NUM_ITEMS = 15
PARAMS = MFParams(dim=4, unobserved_weight=0.2, regularization=0.05)


@pytest.fixture
def rows():
    return [row or [1] for row in random_rows(np.random.default_rng(3), 12, NUM_ITEMS, 7)]


def trained(rows, params=PARAMS, epochs=3):
    trainer = MFTrainer(histories(rows), NUM_ITEMS, params, seed=1)
    for _ in range(epochs):
        trainer.run_epoch()
    return trainer


def test_folding_a_trained_user_in_gives_the_embedding_that_training_gave(rows):
    trainer = trained(rows)
    retriever = EncoderRetriever(trainer.encoder())
    assert retriever.embed_queries(queries(rows)) == pytest.approx(trainer._als.user_embeddings, abs=1e-5)


def test_someone_without_history_gets_the_mean_user_and_is_said_to(rows):
    trainer = trained(rows)
    retriever = EncoderRetriever(trainer.encoder())
    asked = queries([[], [1, 2]])
    mean = trainer._als.user_embeddings.mean(axis=0)
    assert retriever.embed_queries(asked)[0] == pytest.approx(mean, abs=1e-6)
    assert retriever.uses_fallback(asked).tolist() == [True, False]
    assert "mean of all users" in trainer.encoder().FALLBACK


def test_recent_items_weigh_more_where_a_recency_scale_says_so(rows):
    params = PARAMS.model_copy(update={"recency_scale": 2.0})
    trainer = trained(rows, params)
    asked = [[5, 1, 3], [2]]
    found = EncoderRetriever(trainer.encoder()).embed_queries(queries(asked))
    items = trainer._als.item_embeddings
    weights = np.exp([-2 / 2, -1 / 2, 0])
    assert found[0] == pytest.approx(
        reference_als.solve_row([5, 1, 3], items, 0.2, 0.05, 1, weights), rel=1e-3, abs=1e-4
    )
    assert found[1] == pytest.approx(reference_als.solve_row([2], items, 0.2, 0.05, 1), rel=1e-3, abs=1e-4)


def test_a_recency_scale_is_of_fold_in_and_leaves_training_alone(rows):
    plain = trained(rows)
    weighted = trained(rows, PARAMS.model_copy(update={"recency_scale": 2.0}))
    assert plain.encoder().item_embeddings.numpy().tolist() == weighted.encoder().item_embeddings.numpy().tolist()


def test_without_a_recency_scale_order_means_nothing(rows):
    retriever = EncoderRetriever(trained(rows).encoder())
    forth, back = retriever.embed_queries(queries([[1, 2, 3], [3, 2, 1]]))
    assert forth == pytest.approx(back, abs=1e-6)


def test_parameters_are_the_entries_of_both_tables(rows):
    assert trained(rows).num_parameters == (len(rows) + NUM_ITEMS) * 4


def test_an_encoder_follows_further_training(rows):
    trainer = trained(rows, epochs=1)
    before = trainer.encoder().item_embeddings.numpy().copy()
    trainer.run_epoch()
    after = EncoderRetriever(trainer.encoder())
    assert not np.allclose(before, after.item_embeddings, atol=1e-5)
    assert after.embed_queries(queries(rows)) == pytest.approx(trainer._als.user_embeddings, abs=1e-5)


@pytest.mark.parametrize(("timestamp", "scale"), [(0, None), (1_600_000_000, 2.0)])
def test_recency_plays_no_part_where_no_event_has_a_time(rows, timestamp, scale):
    events = histories(rows)
    events = replace(events, timestamps=np.full_like(events.timestamps, timestamp))
    trainer = MFTrainer(events, NUM_ITEMS, PARAMS.model_copy(update={"recency_scale": 2.0}), seed=1)
    trainer.run_epoch()
    assert trainer.settings()["recency_scale"] == scale
    weighs_the_same = trainer.encoder()._params.recency_scale is None
    assert weighs_the_same == (scale is None)
