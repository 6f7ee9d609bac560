import numpy as np
import pytest
import reference_als
from hypothesis import given, settings
from hypothesis import strategies as st
from small import histories, random_rows

from bakeoff.models.mf import als
from bakeoff.models.mf.als import ImplicitALS, padded_blocks, solve
from bakeoff.params import MFParams
from bakeoff.preparation.histories import PAD

NUM_ITEMS = 15


def rows_of(seed, num_users=12):
    return random_rows(np.random.default_rng(seed), num_users, NUM_ITEMS, 7)


def train(rows, num_items=NUM_ITEMS, seed=1, **params):
    settings = MFParams(**({"dim": 4, "unobserved_weight": 0.2, "regularization": 0.05} | params))
    return ImplicitALS(histories(rows), num_items, settings, seed)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    alpha0=st.sampled_from([0.0, 0.1, 2.0]),
    lam=st.floats(0.01, 1),
    nu=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_batched_solve_agrees_with_the_reference_row_by_row(seed, alpha0, lam, nu):
    rng = np.random.default_rng(seed)
    others = rng.normal(0, 1, (NUM_ITEMS, 4)).astype(np.float32)
    rows = [row or [3] for row in rows_of(seed)]
    columns, _ = histories(rows).padded(7)
    weights = np.where(columns == PAD, 0, rng.random(columns.shape)).astype(np.float32)
    found = solve(columns, weights, others, others.T @ others, alpha0, lam, nu).numpy()
    for row, items in enumerate(rows):
        expected = reference_als.solve_row(items, others, alpha0, lam, nu, weights[row, : len(items)])
        assert found[row] == pytest.approx(expected, rel=2e-3, abs=2e-4)


def test_without_weight_on_what_was_not_observed_the_ridge_keeps_the_system_solvable():
    # one observed pair and four dimensions: rank 1 without the ridge
    others = np.eye(4, dtype=np.float32)
    columns = np.array([[2, PAD]], np.int32)
    weights = np.array([[1, 0]], np.float32)
    found = solve(columns, weights, others, others.T @ others, 0.0, 0.5, 1.0).numpy()
    # λ · (1 + 0) = .5: 1 / 1.5 along the observed item
    assert found.tolist() == [pytest.approx([0, 0, 1 / 1.5, 0])]


def test_a_row_without_columns_is_zero():
    others = np.ones((3, 2), np.float32)
    columns, weights = np.full((1, 1), PAD, np.int32), np.zeros((1, 1), np.float32)
    assert solve(columns, weights, others, others.T @ others, 0.1, 0.1, 1.0).numpy().tolist() == [[0, 0]]


@pytest.mark.parametrize("exponent", [0.0, 1.0])
@pytest.mark.parametrize("unobserved_weight", [0.0, 0.2])
def test_the_loss_falls_with_every_half_step(exponent, unobserved_weight):
    model = train(rows_of(4), regularization_exponent=exponent, unobserved_weight=unobserved_weight)
    losses = [model.loss()]
    for _ in range(5):
        model.item_embeddings = model._solve_side(model._item_blocks, model.user_embeddings, NUM_ITEMS)
        losses.append(model.loss())
        model.user_embeddings = model._solve_side(model._user_blocks, model.item_embeddings, 12)
        losses.append(model.loss())
    assert (np.diff(losses) <= 1e-6).all()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_loss_is_that_of_all_pairs_of_users_and_items(exponent):
    rows = rows_of(7)
    model = train(rows, regularization_exponent=exponent)
    model.run_epoch()
    expected = reference_als.loss(rows, model.user_embeddings, model.item_embeddings, 0.2, 0.05, exponent)
    assert model.loss() == pytest.approx(expected / sum(map(len, rows)), rel=1e-4)


def test_an_epoch_returns_the_loss_after_it():
    model = train(rows_of(7))
    assert model.run_epoch() == model.loss()


def test_an_epoch_ends_at_the_users_optimum():
    rows = rows_of(8)
    model = train(rows)
    model.run_epoch()
    expected = [reference_als.solve_row(row, model.item_embeddings, 0.2, 0.05, 1.0) for row in rows]
    assert model.user_embeddings == pytest.approx(np.array(expected), rel=1e-3, abs=1e-4)


def test_an_epoch_solves_items_against_the_users_before_it():
    rows = rows_of(9)
    model = train(rows)
    users = model.user_embeddings
    model.run_epoch()
    item = rows[next(u for u, row in enumerate(rows) if row)][0]
    who = [user for user, row in enumerate(rows) if item in row]
    expected = reference_als.solve_row(who, users, 0.2, 0.05, 1.0)
    assert model.item_embeddings[item] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_an_item_that_nobody_has_gets_a_zero_embedding():
    model = train([[0, 1], [1, 2]], num_items=5)
    model.run_epoch()
    assert not model.item_embeddings[3:].any()
    assert model.item_embeddings[:3].any(axis=1).all()


def test_the_seed_decides_where_training_starts():
    first, again, other = (train(rows_of(1), seed=seed) for seed in (1, 1, 2))
    assert first.item_embeddings.tobytes() == again.item_embeddings.tobytes()
    assert first.item_embeddings.tobytes() != other.item_embeddings.tobytes()


def test_initial_embeddings_have_the_norm_of_the_settings():
    model = train([[0]], num_items=4000, dim=16, init_scale=0.5)
    # norms of N(0, .5/√16) in 16 dimensions: .5 in root mean square
    assert np.sqrt((model.item_embeddings**2).sum(1).mean()) == pytest.approx(0.5, rel=0.02)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), budget=st.integers(1, 40))
def test_blocks_cover_each_row_with_events_once_within_the_budget(seed, budget):
    rows = rows_of(seed, num_users=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(als, "PAIRS_PER_SOLVE", budget)
        blocks = list(padded_blocks(histories(rows)))
    covered = [(int(row), line[line != PAD].tolist()) for block in blocks for row, line in zip(*block, strict=True)]
    assert sorted(covered) == [(row, items) for row, items in enumerate(rows) if items]
    for _, columns in blocks:
        assert columns.size <= budget or len(columns) == 1
        assert (columns != PAD).any(axis=0).all()  # no wider than its longest row


def test_a_block_takes_as_many_rows_as_fit():
    # three rows of two events in a budget of four pairs: two, then one
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(als, "PAIRS_PER_SOLVE", 4)
        sizes = [len(rows) for rows, _ in padded_blocks(histories([[0, 1]] * 3))]
    assert sizes == [2, 1]


def test_the_size_of_blocks_does_not_change_the_model(monkeypatch):
    rows = rows_of(5)
    whole = train(rows)
    monkeypatch.setattr(als, "PAIRS_PER_SOLVE", 3)
    pieces = train(rows)
    assert [whole.run_epoch(), whole.run_epoch()] == pytest.approx([pieces.run_epoch(), pieces.run_epoch()])
    assert whole.user_embeddings == pytest.approx(pieces.user_embeddings, abs=1e-5)
