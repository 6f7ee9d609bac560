from dataclasses import replace

import numpy as np
import pytest
import reference_als
from small import histories, queries, random_rows

from bakeoff.models.mf.als import ImplicitALS
from bakeoff.models.mf.spec import MFParams

NUM_ITEMS = 15
PARAMS = MFParams(dim=4, unobserved_weight=0.2, regularization=0.05)


@pytest.fixture
def rows():
    return [row or [1] for row in random_rows(np.random.default_rng(3), 12, NUM_ITEMS, 7)]


def trained(rows, params=PARAMS, epochs=3):
    trainer = ImplicitALS(histories(rows), NUM_ITEMS, params, seed=1)
    for _ in range(epochs):
        trainer.run_epoch()
    return trainer


def test_folding_a_trained_user_in_gives_the_embedding_that_training_gave(rows):
    trainer = trained(rows)
    retriever = trainer.retriever()
    assert retriever.embed_queries(queries(rows)) == pytest.approx(trainer.user_embeddings, abs=1e-5)


@pytest.mark.parametrize("dim", [4, 16])
@pytest.mark.parametrize("recency_scale", [None, 2.0])
@pytest.mark.parametrize("alpha0", [0.0, 0.2])
@pytest.mark.parametrize("nu", [0.0, 0.5, 1.0])
def test_fold_in_is_exact_with_fewer_columns_than_dimensions_and_with_more(rows, dim, recency_scale, alpha0, nu):
    params = MFParams(
        dim=dim,
        unobserved_weight=alpha0,
        regularization=0.05,
        regularization_exponent=nu,
        recency_scale=recency_scale,
    )
    trainer = trained(rows, params)
    asked = [[5, 1], [2], [3, 1, 4, 0, 5, 9, 2, 6]]
    found = trainer.retriever().embed_queries(queries(asked))
    for embedding, row in zip(found, asked, strict=True):
        weights = None if recency_scale is None else np.exp(-np.arange(len(row))[::-1] / recency_scale)
        expected = reference_als.solve_row(row, trainer.item_embeddings, alpha0, 0.05, nu, weights)
        assert embedding == pytest.approx(expected, rel=5e-3, abs=5e-4)


def test_a_padded_history_is_folded_in_as_it_is_alone(rows):
    # alone it has a 1 × 1 system, beside a long one the d × d system
    retriever = trained(rows).retriever()
    alone = retriever.embed_queries(queries([[2]]))
    beside = retriever.embed_queries(queries([[2], [3, 1, 4, 0, 5, 9]]))
    assert beside[0] == pytest.approx(alone[0], abs=1e-5)


def test_few_steps_of_conjugate_gradient_end_where_fold_in_ends(rows):
    params = MFParams(dim=24, unobserved_weight=0.2, regularization=0.05, solver="cg")
    trainer = trained(rows, params, epochs=10)
    folded = trainer.retriever().embed_queries(queries(rows))
    assert folded == pytest.approx(trainer.user_embeddings, abs=2e-3)


def test_someone_without_history_gets_the_mean_user_and_is_said_to(rows):
    trainer = trained(rows)
    retriever = trainer.retriever()
    asked = queries([[], [1, 2]])
    mean = trainer.user_embeddings.mean(axis=0)
    assert retriever.embed_queries(asked)[0] == pytest.approx(mean, abs=1e-6)
    assert retriever.uses_fallback(asked).tolist() == [True, False]
    assert "mean of all users" in trainer.retriever().fallback


def test_without_weight_on_what_was_not_observed_someone_without_history_still_gets_an_answer(rows):
    params = PARAMS.model_copy(update={"unobserved_weight": 0.0})
    found = trained(rows, params).retriever().embed_queries(queries([[], [1]]))
    assert np.isfinite(found).all()


def test_recent_items_weigh_more_where_a_recency_scale_says_so(rows):
    params = PARAMS.model_copy(update={"recency_scale": 2.0})
    trainer = trained(rows, params)
    asked = [[5, 1, 3], [2]]
    found = trainer.retriever().embed_queries(queries(asked))
    items = trainer.item_embeddings
    weights = np.exp([-2 / 2, -1 / 2, 0])
    assert found[0] == pytest.approx(
        reference_als.solve_row([5, 1, 3], items, 0.2, 0.05, 1, weights), rel=1e-3, abs=1e-4
    )
    assert found[1] == pytest.approx(reference_als.solve_row([2], items, 0.2, 0.05, 1), rel=1e-3, abs=1e-4)


def test_a_recency_scale_is_of_fold_in_and_leaves_training_alone(rows):
    plain = trained(rows)
    weighted = trained(rows, PARAMS.model_copy(update={"recency_scale": 2.0}))
    assert plain.retriever().item_embeddings.tolist() == weighted.retriever().item_embeddings.tolist()


def test_training_on_windows_is_training_on_users_who_have_no_more(rows):
    long = [rows[0] + rows[1] + rows[2], *rows[3:]]
    size = len(long[0]) // 3 + 1
    whole = histories(long)
    windows = [part.tolist() for part in np.split(whole.items, whole.windows(size).offsets[1:-1])]
    assert len(windows) > len(long)
    cut = trained(long, PARAMS.model_copy(update={"window": size}))
    assert cut.retriever().item_embeddings.tolist() == trained(windows).retriever().item_embeddings.tolist()
    assert cut.num_parameters == (len(windows) + NUM_ITEMS) * 4


def test_without_a_recency_scale_order_means_nothing(rows):
    retriever = trained(rows).retriever()
    forth, back = retriever.embed_queries(queries([[1, 2, 3], [3, 2, 1]]))
    assert forth == pytest.approx(back, abs=1e-6)


def test_parameters_are_the_entries_of_both_tables(rows):
    assert trained(rows).num_parameters == (len(rows) + NUM_ITEMS) * 4


def test_a_retriever_follows_further_training(rows):
    trainer = trained(rows, epochs=1)
    before = trainer.retriever().item_embeddings.copy()
    trainer.run_epoch()
    after = trainer.retriever()
    assert not np.allclose(before, after.item_embeddings, atol=1e-5)
    assert after.embed_queries(queries(rows)) == pytest.approx(trainer.user_embeddings, abs=1e-5)


@pytest.mark.parametrize(
    ("first", "step", "scale", "window"),
    [(0, 0, None, None), (1_600_000_000, 0, None, None), (1_600_000_000, 1, 2.0, 2)],
)
def test_order_plays_no_part_where_events_have_no_time_or_all_the_same(rows, first, step, scale, window):
    events = histories(rows)
    events = replace(events, timestamps=first + step * events.position)
    trainer = ImplicitALS(events, NUM_ITEMS, PARAMS.model_copy(update={"recency_scale": 2.0, "window": 2}), seed=1)
    trainer.run_epoch()
    assert trainer.settings()["recency_scale"] == scale
    assert len(trainer.state()["user_embeddings"]) == len(events.windows(window))
    weighs_the_same = trainer.retriever().params.recency_scale is None
    assert weighs_the_same == (scale is None)


def test_a_history_without_times_is_read_in_its_order_by_a_model_that_learned_from_one(rows):
    retriever = trained(rows, PARAMS.model_copy(update={"recency_scale": 2.0})).retriever()
    timed = queries([[1, 2, 3], [3, 2, 1]])
    untimed = replace(timed, histories=replace(timed.histories, timestamps=0 * timed.histories.timestamps))
    found = retriever.embed_queries(untimed)
    assert found.tolist() == retriever.embed_queries(timed).tolist()
    assert not np.allclose(*found, atol=1e-4)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_a_restored_training_goes_on_to_the_same_bytes(rows, solver):
    params = MFParams(dim=6, unobserved_weight=0.2, regularization=0.05, solver=solver)
    whole = trained(rows, params, epochs=2)
    state = {name: value.copy() for name, value in whole.state().items()}
    resumed = trained(rows, params, epochs=0)
    resumed.restore(state)
    assert embedded(resumed, rows).tobytes() == embedded(whole, rows).tobytes()
    assert resumed.run_epoch() == whole.run_epoch()
    assert {name: value.tobytes() for name, value in resumed.state().items()} == {
        name: value.tobytes() for name, value in whole.state().items()
    }
    assert embedded(resumed, rows).tobytes() == embedded(whole, rows).tobytes()


def embedded(trainer, rows):
    return trainer.retriever().embed_queries(queries(rows))


def test_further_training_leaves_a_state_alone(rows):
    trainer = trained(rows)
    state = trainer.state()
    before = {name: value.tobytes() for name, value in state.items()}
    trainer.run_epoch()
    assert {name: value.tobytes() for name, value in state.items()} == before


def test_a_restored_state_stays_as_it_was(rows):
    state = trained(rows).state()
    before = {name: value.tobytes() for name, value in state.items()}
    other = trained(rows, epochs=0)
    other.restore(state)
    other.run_epoch()
    assert {name: value.tobytes() for name, value in state.items()} == before
