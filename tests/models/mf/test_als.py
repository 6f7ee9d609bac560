from dataclasses import replace

import numpy as np
import pytest
import reference_als
from small import histories, random_rows

from bakeoff.core import processes
from bakeoff.core.histories import Histories
from bakeoff.models.mf import als, mf
from bakeoff.models.mf.als import ImplicitALS
from bakeoff.models.mf.spec import MFParams

NUM_ITEMS = 15


def rows_of(seed, num_users=12):
    return random_rows(np.random.default_rng(seed), num_users, NUM_ITEMS, 7)


def train(rows, num_items=NUM_ITEMS, seed=1, **params):
    settings = MFParams(**({"dim": 4, "unobserved_weight": 0.2, "regularization": 0.05} | params))
    return ImplicitALS(histories(rows), num_items, settings, seed)


def loss_of(rows, model, alpha0=0.2, lam=0.05, nu=1.0):
    total = reference_als.loss(rows, model.user_embeddings, model.item_embeddings, alpha0, lam, nu)
    return total / max(1, sum(map(len, rows)))


SOLVERS = pytest.mark.parametrize("solver", ["auto", "cholesky", "cg"])


@SOLVERS
@pytest.mark.parametrize("exponent", [0.0, 1.0])
@pytest.mark.parametrize("alpha0", [0.0, 0.2])
def test_the_loss_is_that_of_all_pairs_and_falls_with_every_half_step(solver, exponent, alpha0):
    rows = rows_of(4)
    model = train(rows, solver=solver, regularization_exponent=exponent, unobserved_weight=alpha0, cg_steps=2)
    losses = [loss_of(rows, model, alpha0, nu=exponent)]
    for _ in range(4):
        for half in (model._solve_items, model._solve_users):
            losses.append(half())
            assert losses[-1] == pytest.approx(loss_of(rows, model, alpha0, nu=exponent), rel=1e-4)
    assert (np.diff(losses) <= 1e-5).all()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("params", [{"solver": "cholesky"}, {"solver": "cg", "cg_steps": 50}, {}], ids=str)
def test_an_epoch_is_two_exact_half_steps_from_the_users_before_it(params):
    # the basis turns from half to half: scores tell, embeddings don't
    rows = rows_of(8)
    model = train(rows, **params)
    who = [[user for user, row in enumerate(rows) if item in row] for item in range(NUM_ITEMS)]
    items = np.array([reference_als.solve_row(column, model.user_embeddings, 0.2, 0.05, 1.0) for column in who])
    users = np.array([reference_als.solve_row(row, items, 0.2, 0.05, 1.0) for row in rows])
    model.run_epoch()
    assert model.user_embeddings @ model.item_embeddings.T == pytest.approx(users @ items.T, rel=1e-3, abs=1e-4)


def test_conjugate_gradient_starts_from_the_factors_before_it():
    # one step an epoch from where it stood arrives; one step from nothing would not
    rows = rows_of(3, num_users=40)
    exact, steps = train(rows, solver="cholesky"), train(rows, solver="cg", cg_steps=1)
    for _ in range(150):
        exact.run_epoch()
        steps.run_epoch()
    scores = exact.user_embeddings @ exact.item_embeddings.T
    assert steps.user_embeddings @ steps.item_embeddings.T == pytest.approx(scores, abs=0.01)


def test_auto_solves_small_systems_exactly_and_others_by_steps(monkeypatch):
    monkeypatch.setattr(als, "EXACT_SIZE", 3)
    model = train([[0, 1], [0, 1, 2], [0, 1, 2, 3], []], dim=5)
    assert (model._users.exact.tolist(), model._users.iterative.tolist()) == ([1, 0], [2])
    narrow = train([[0, 1], [0, 1, 2], [0, 1, 2, 3], []], dim=3)
    assert (narrow._users.exact.tolist(), narrow._users.iterative.tolist()) == ([2, 1, 0], [])


@SOLVERS
def test_what_has_no_event_stays_zero(solver):
    model = train([[0, 1], [], [1, 2]], num_items=5, solver=solver)
    for _ in range(2):
        model.run_epoch()
        assert not model.item_embeddings[3:].any()
        assert not model.user_embeddings[1].any()
    assert model.item_embeddings[:3].any(axis=1).all()


@SOLVERS
def test_a_training_without_any_event_has_nothing_to_learn(solver):
    model = train([[], []], solver=solver)
    assert model.run_epoch() == 0
    assert not model.user_embeddings.any()


@SOLVERS
@pytest.mark.parametrize(("rows", "num_items"), [([[0], [0], []], 1), ([[0]], 1), ([[0, 1, 1], [1, 0]], 2)])
def test_the_smallest_worlds_train(solver, rows, num_items):
    model = train(rows, num_items=num_items, solver=solver, dim=1)
    losses = [model.run_epoch() for _ in range(5)]
    assert (np.diff(losses) <= 1e-6).all()
    assert (model.user_embeddings @ model.item_embeddings.T)[0, 0] > 0.2


def test_the_seed_decides_where_training_starts():
    first, again, other = (train(rows_of(1), seed=seed) for seed in (1, 1, 2))
    assert first.item_embeddings.tobytes() == again.item_embeddings.tobytes()
    assert first.item_embeddings.tobytes() != other.item_embeddings.tobytes()


@SOLVERS
def test_the_number_of_threads_and_shares_leaves_every_byte_alone(monkeypatch, solver):
    rows, trained = rows_of(5, num_users=60), []
    for threads, share in ((1, 256), (3, 5)):
        monkeypatch.setattr(processes, "num_cores", lambda threads=threads: threads)
        monkeypatch.setattr(mf, "ROWS_PER_SHARE", share)
        monkeypatch.setattr(als, "ROWS_PER_BLOCK", 16)
        model = train(rows, solver=solver, dim=20)
        trained.append(
            [model.run_epoch(), model.run_epoch(), *map(bytes, (model.user_embeddings, model.item_embeddings))]
        )
    assert trained[0] == trained[1]


def test_initial_embeddings_have_the_norm_of_the_settings(monkeypatch):
    monkeypatch.setattr(ImplicitALS, "_solve_users", lambda self: 0.0)
    model = train([[0]], num_items=4000, dim=16, init_scale=0.5)
    # norms of N(0, .5/√16) in 16 dimensions: .5 in root mean square
    assert np.sqrt((model.item_embeddings**2).sum(1).mean()) == pytest.approx(0.5, rel=0.02)


def test_training_ends_with_items_in_their_own_eigenbasis():
    model = train(rows_of(6))
    model.run_epoch()
    gramian = model.item_embeddings.T @ model.item_embeddings
    assert gramian == pytest.approx(np.diag(model.item_spectrum), abs=1e-5)


def test_confidence_as_hu_et_al_have_it_is_the_same_family():
    # Σ α over observed + 1 elsewhere, of (1 − x·y)² and (x·y)², + λ' (‖X‖² + ‖Y‖²): the optimum of a row given Y
    alpha, lam, items = 5.0, 0.3, [1, 4, 6]
    y = np.random.default_rng(0).normal(0, 1, (NUM_ITEMS, 4))
    matrix = y.T @ y + (alpha - 1) * y[items].T @ y[items] + lam * np.eye(4)
    theirs = np.linalg.solve(matrix, alpha * y[items].sum(0))
    # ours with both sides shorter by √(α/(α − 1))
    longer = np.sqrt(alpha / (alpha - 1))
    ours = reference_als.solve_row(items, y / longer, 1 / (alpha - 1), lam / alpha, 0.0)
    assert ours * longer == pytest.approx(theirs)


@SOLVERS
def test_a_pair_of_weight_three_counts_as_three_events(solver):
    rng = np.random.default_rng(2)
    rows = rows_of(2, num_users=30)
    weights = rng.choice([1, 3], sum(map(len, rows)))
    events = histories(rows)
    settings = MFParams(dim=4, unobserved_weight=0.2, regularization=0.05, solver=solver)
    repeated = Histories.from_rows(
        np.repeat(events.rows, weights), np.repeat(events.items, weights), np.repeat(events.timestamps, weights), 30
    )
    weighted = ImplicitALS(replace(events, weights=weights.astype(np.float32)), NUM_ITEMS, settings, 1)
    others = ImplicitALS(repeated, NUM_ITEMS, settings, 1)
    for _ in range(3):
        # Per pair: there are fewer of them.
        loss = weighted.run_epoch() * len(events.items) / len(repeated.items)
        assert loss == pytest.approx(others.run_epoch(), rel=1e-3)
    scores, expected = (model.user_embeddings @ model.item_embeddings.T for model in (weighted, others))
    assert scores == pytest.approx(expected, rel=1e-2, abs=1e-3)


@SOLVERS
def test_dimensions_that_the_data_do_not_need_become_zero_and_not_ever_smaller(solver):
    groups = [np.arange(7), np.arange(7, NUM_ITEMS)]
    model = train([groups[user % 2] for user in range(12)], solver=solver, regularization=0.5)
    for _ in range(60):
        model.run_epoch()
    sizes = np.abs(np.concatenate([model.user_embeddings, model.item_embeddings]))
    assert sizes[sizes > 0].min() >= als.SMALLEST
    assert (sizes.max(axis=0) > 0.1).sum() == 2
    assert (sizes.max(axis=0) == 0).sum() == 2
    again = ImplicitALS(model._histories, NUM_ITEMS, model._params, 1, model.item_embeddings * np.float32(1e-30))
    assert not again.item_embeddings.any()
