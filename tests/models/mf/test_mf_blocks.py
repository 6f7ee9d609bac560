import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from bakeoff.core import processes
from bakeoff.core.processes import own_threads
from bakeoff.models.mf import als, mf


@pytest.fixture
def running():
    with own_threads() as threads:
        yield threads


@pytest.fixture
def matrix(monkeypatch):
    monkeypatch.setattr(als, "ROWS_PER_BLOCK", 7)
    return np.random.default_rng(0).normal(0, 1, (50, 4)).astype(np.float32)


def test_in_its_eigenbasis_a_matrix_has_a_diagonal_gramian(running, matrix):
    spectrum, basis = als.eigenbasis(running, matrix)
    before = matrix @ matrix.T
    als.rotate(running, matrix, basis)
    assert matrix.T @ matrix == pytest.approx(np.diag(spectrum), abs=1e-4)
    assert matrix @ matrix.T == pytest.approx(before, abs=1e-4)  # scores stay
    assert (np.diff(spectrum) > 0).all()


def test_eigenvalues_are_never_negative(running):
    # rank 1 in three dimensions: rounding may leave two eigenvalues on either side of 0
    matrix = np.outer(np.arange(30), [1, 2, 3]).astype(np.float32)
    spectrum, _ = als.eigenbasis(running, matrix)
    assert (spectrum >= 0).all()
    assert spectrum[2] == pytest.approx((matrix**2).sum(), rel=1e-5)


def test_only_the_given_rows_are_rotated(running, matrix):
    before, basis = matrix.copy(), np.diag([2, 3, 4, 5]).astype(np.float32)
    als.rotate(running, matrix, basis, np.array([3, 20, 41]))
    expected = before.copy()
    expected[[3, 20, 41]] *= [2, 3, 4, 5]
    assert matrix == pytest.approx(expected)


def test_every_row_is_in_one_share(running, monkeypatch):
    monkeypatch.setattr(mf, "ROWS_PER_SHARE", 8)
    shares = []
    mf.share(running, lambda rows: shares.append(rows.tolist()), np.arange(30))
    assert len(shares) == 4
    assert sorted(row for share in shares for row in share) == list(range(30))
    assert [0, 4, 8, 12, 16, 20, 24, 28] in shares  # long and short rows in each


def test_no_rows_are_no_work(running):
    mf.share(running, lambda rows: pytest.fail("there is nothing to solve"), np.zeros(0, np.int64))


def test_an_error_in_a_thread_is_raised(running):
    with pytest.raises(ZeroDivisionError):
        mf.share(running, lambda rows: 1 // 0, np.arange(3))


def test_blas_has_its_threads_back_afterwards():
    controller = ThreadpoolController()

    def counts():
        return [library["num_threads"] for library in controller.info() if library["user_api"] == "blas"]

    before = counts()
    with own_threads():
        assert set(counts()) == {1}
    assert counts() == before


@pytest.mark.parametrize(("limit", "expected"), [("1", 1), ("100000", None), ("", None), ("many", None), ("0", None)])
def test_the_limit_on_threads_that_blas_obeys_is_obeyed_here_too(monkeypatch, limit, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert processes.num_cores() == (expected or processes._available())
