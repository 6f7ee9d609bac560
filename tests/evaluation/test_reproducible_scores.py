from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bakeoff.evaluation.ranking import reproducible_scores as exact

VALUES = st.floats(-(2.0**40), 2.0**40, width=32)


def embeddings(num_rows: int, dim: int):
    return arrays(np.float32, (num_rows, dim), elements=VALUES)


@given(dim=st.integers(1, 40), data=st.data())
def test_scores_are_the_sums_of_fractions_rounded_once(dim, data):
    queries, items = (exact.rounded(data.draw(embeddings(2, dim))) for _ in range(2))
    found = exact.scores(queries, items)
    for row, query in enumerate(queries):
        for column, item in enumerate(items):
            total = sum(Fraction(float(q)) * Fraction(float(v)) for q, v in zip(query, item, strict=True))
            assert Fraction(float(np.float64(total))) == total  # exact in float64
            assert found[row, column] == np.float32(float(total))


@pytest.mark.parametrize("dim", [2, 33, 64, 100, 1000])
def test_scores_do_not_depend_on_the_order_of_dimensions_or_on_the_place(dim):
    rng = np.random.default_rng(dim)
    queries, items = (exact.rounded(rng.standard_normal((rows, dim)).astype(np.float32)) for rows in (70, 301))
    whole = exact.scores(queries, items)
    order = rng.permutation(dim)
    np.testing.assert_array_equal(exact.scores(queries[:, order], items[:, order]), whole)
    np.testing.assert_array_equal(exact.scores(queries[5:12], items[7:30]), whole[5:12, 7:30])


@given(dim=st.integers(1, 40), data=st.data())
def test_no_value_moves_by_more_than_half_a_unit_of_its_row(dim, data):
    given = data.draw(embeddings(3, dim))
    moved = np.abs(exact.rounded(given).astype(np.float64) - given)
    assert (moved <= np.abs(given).max(axis=1, keepdims=True) * 2.0 ** -exact.bits(dim)).all()


def test_in_few_dimensions_what_a_float32_holds_is_kept():
    # the last bit of the largest value
    given = np.float32([[1.0, 0.5], [1.0000001, -0.25]])
    np.testing.assert_array_equal(exact.rounded(given), given)


@pytest.mark.parametrize(("dim", "bits"), [(1, 24), (2, 24), (32, 24), (33, 23), (128, 23), (129, 22), (1 << 17, 18)])
def test_the_sum_of_so_many_products_of_so_many_bits_is_exact(dim, bits):
    assert exact.bits(dim) == bits
    assert 2 * bits + np.ceil(np.log2(dim)) <= 53


def test_zeros_and_no_rows_stay_as_they_are():
    assert exact.rounded(np.zeros((2, 3), np.float32)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert exact.rounded(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert exact.scores(np.zeros((0, 3), np.float32), np.zeros((4, 3), np.float32)).shape == (0, 4)


def test_many_rows_are_rounded_as_each_alone(monkeypatch):
    given = np.random.default_rng(1).standard_normal((11, 5)).astype(np.float32)
    whole = exact.rounded(given)
    monkeypatch.setattr(exact, "_VALUES_PER_CHUNK", 15)
    np.testing.assert_array_equal(exact.rounded(given), whole)
