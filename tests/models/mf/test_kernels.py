import numpy as np
import pytest
import reference_als
from hypothesis import given, settings
from hypothesis import strategies as st
from small import histories, random_rows

from bakeoff.models.mf import kernels

NUM_ITEMS, DIM = 15, 4


def problem(seed, dim=DIM, longest=9, alpha0=0.2, lam=0.05, nu=0.5, num_items=NUM_ITEMS):
    """Rows, item embeddings whose Gramian is diagonal, and what the kernels take of them."""
    rng = np.random.default_rng(seed)
    rows = [row or [num_items - 1] for row in random_rows(rng, 12, num_items, min(longest, num_items))]
    others = np.linalg.qr(rng.normal(0, 1, (num_items, dim)))[0] * rng.uniform(0.5, 2, min(num_items, dim))
    others = np.ascontiguousarray(others, np.float32)
    events = histories(rows)
    spectrum = np.float32(alpha0) * np.einsum("nd,nd->d", others, others)
    ridge = (lam * (events.lengths + alpha0 * num_items) ** nu).astype(np.float32)
    expected = np.array([reference_als.solve_row(row, others, alpha0, lam, nu) for row in rows])
    return rows, (events.offsets, events.items, others, spectrum, ridge), expected


def solved(kernel, given, start=None, steps=60, weights=(), signs=1):
    num_rows, dim = len(given[0]) - 1, given[2].shape[1]
    solution = np.full((num_rows, dim), 0.3, np.float32) if start is None else start.copy()
    values = np.full(num_rows, np.nan)
    extra = ((np.sqrt(weights) * signs).astype(np.float32), *([steps] if kernel is kernels.solve_cg else []))
    kernel(np.arange(num_rows), *given, *extra, solution, values)
    return solution, values


def minimum(rows, given, x):
    """Σ (x·y − 1)² + α₀ Σ over all items (x·y)² + λ_u ‖x‖², row by row."""
    _, _, others, spectrum, ridge = (np.asarray(part, np.float64) for part in given)
    fit = [((others[row] @ x[u] - 1) ** 2).sum() for u, row in enumerate(rows)]
    return np.array(fit) + (x.astype(np.float64) ** 2 * (spectrum + ridge[:, None])).sum(1)


KERNELS = pytest.mark.parametrize("kernel", [kernels.solve_cholesky, kernels.solve_cg], ids=["cholesky", "cg"])


@KERNELS
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    alpha0=st.sampled_from([0.0, 0.1, 2.0]),
    lam=st.floats(0.05, 1),
    nu=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_each_solver_agrees_with_the_reference_row_by_row(kernel, seed, alpha0, lam, nu):
    # 1 to 9 columns at d = 4: Cholesky solves rows of both kinds of system
    _, given, expected = problem(seed, alpha0=alpha0, lam=lam, nu=nu)
    assert solved(kernel, given)[0] == pytest.approx(expected, rel=2e-3, abs=2e-4)


@KERNELS
@pytest.mark.parametrize("dim", [1, 3, 16, 33])
def test_any_number_of_dimensions_will_do(kernel, dim):
    _, given, expected = problem(5, dim=dim, num_items=40)
    assert solved(kernel, given)[0] == pytest.approx(expected, rel=2e-3, abs=2e-4)


@KERNELS
def test_arrays_of_a_mapped_model_and_every_other_row_need_no_version_of_their_own(kernel):
    _, given, _ = problem(3)
    expected, values = solved(kernel, given)
    mapped = [part.copy() for part in given]
    for part in mapped:
        part.flags.writeable = False
    rows, found, losses = np.arange(len(expected)), np.full_like(expected, 0.3), np.full_like(values, np.nan)
    extra = (np.zeros(0, np.float32), *([60] if kernel is kernels.solve_cg else []))
    for share in (rows[::2], rows[1::2]):
        kernel(share, *mapped, *extra, found, losses)
    assert found.tobytes() == expected.tobytes()
    assert losses.tobytes() == values.tobytes()
    assert len(kernel.signatures) == 1


@KERNELS
def test_one_item_is_enough(kernel):
    _, given, expected = problem(1, dim=1, num_items=1)
    assert solved(kernel, given)[0] == pytest.approx(expected, rel=1e-4)


@KERNELS
def test_a_column_that_is_there_twice_counts_twice(kernel):
    _, (_, _, *rest), _ = problem(2)
    twice = (np.array([0, 3]), np.array([7, 2, 7], np.int32), *rest)
    ridge = float(rest[2][0])
    expected = reference_als.solve_row([7, 2], rest[0], 0.2, ridge, 0.0, weights=[2, 1])
    assert solved(kernel, twice)[0][0] == pytest.approx(expected, rel=1e-3, abs=1e-4)


@KERNELS
@pytest.mark.parametrize("dislikes", [0.0, 0.4])
@pytest.mark.parametrize("longest", [3, 9])
def test_weighted_columns_and_dislikes_agree_with_the_reference(kernel, longest, dislikes):
    rows, given, _ = problem(9, longest=longest)
    rng = np.random.default_rng(9)
    weights, likes = rng.uniform(0.2, 10, len(given[1])), (rng.random(len(given[1])) >= dislikes).astype(float)
    mine, liked = (np.split(each, given[0][1:-1]) for each in (weights, likes))
    ridge = given[4].astype(np.float64)
    expected = [
        reference_als.solve_row(row, given[2], 0.2, ridge[u], 0.0, weights=mine[u], preferences=liked[u])
        for u, row in enumerate(rows)
    ]
    x, values = solved(kernel, given, weights=weights, signs=2 * likes - 1)
    assert x == pytest.approx(np.array(expected), rel=2e-3, abs=2e-4)
    fit = [(mine[u] * (given[2][row] @ x[u] - liked[u]) ** 2).sum() for u, row in enumerate(rows)]
    dense = (x.astype(np.float64) ** 2 * (given[3] + given[4][:, None])).sum(1)
    assert values == pytest.approx(fit + dense, rel=1e-4, abs=1e-4)


@KERNELS
def test_weights_of_one_change_no_bit(kernel):
    _, given, _ = problem(9)
    for plain, weighted in zip(
        solved(kernel, given), solved(kernel, given, weights=np.ones(len(given[1]))), strict=True
    ):
        assert plain.tobytes() == weighted.tobytes()


@KERNELS
def test_the_value_of_the_minimum_comes_with_it(kernel):
    rows, given, _ = problem(3)
    x, values = solved(kernel, given)
    assert values == pytest.approx(minimum(rows, given, x), rel=1e-4)


@KERNELS
def test_only_the_given_rows_are_written(kernel):
    _, given, _ = problem(4)
    solution, values = np.full((12, DIM), 9, np.float32), np.full(12, np.nan)
    extra = (np.zeros(0, np.float32), *([3] if kernel is kernels.solve_cg else []))
    kernel(np.array([2, 5]), *given, *extra, solution, values)
    untouched = np.setdiff1d(np.arange(12), [2, 5])
    assert (solution[untouched] == 9).all()
    assert np.isnan(values[untouched]).all()
    assert np.isfinite(values[[2, 5]]).all()


def test_every_step_of_conjugate_gradient_lowers_the_objective_and_is_valued_rightly():
    rows, given, _ = problem(6, dim=12, num_items=40, longest=30)
    start = np.random.default_rng(0).normal(0, 1, (12, 12)).astype(np.float32)
    before = minimum(rows, given, start)
    for steps in range(1, 6):
        x, values = solved(kernels.solve_cg, given, start, steps)
        assert values == pytest.approx(minimum(rows, given, x), rel=1e-4)
        assert (values <= before * (1 + 1e-6)).all()
        assert values.sum() < before.sum()
        before = values


def test_conjugate_gradient_needs_one_step_more_than_a_row_has_columns():
    rows, given, expected = problem(7, dim=12, num_items=40, longest=3)
    most = 1 + max(map(len, rows))
    start = np.random.default_rng(0).normal(0, 1, (12, 12)).astype(np.float32)
    assert solved(kernels.solve_cg, given, start, most)[0] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_conjugate_gradient_stays_at_the_optimum():
    _, given, expected = problem(8)
    found, _ = solved(kernels.solve_cg, given, expected.astype(np.float32), steps=500)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
