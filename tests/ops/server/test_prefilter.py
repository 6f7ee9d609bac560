"""The prefilter passes over nothing that belongs to a list: the lists are those of brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bakeoff.ops.server import prefilter
from bakeoff.ops.server.kernels import UNDERFLOW
from bakeoff.ops.server.prefilter import FEW, PrefilteredSearch, Quantised
from bakeoff.ops.server.search import ExactSearch

NUM_QUERIES = 6  # four at once, and two one by one


def made(num_items, dim=24):
    """Items around a few tastes, of very different lengths, and queries near them."""
    rng = np.random.default_rng(0)
    tastes = rng.standard_normal((12, dim))
    items = tastes[rng.integers(0, 12, num_items)] + 0.4 * rng.standard_normal((num_items, dim))
    items *= rng.lognormal(0, 1, (num_items, 1))
    queries = tastes[:NUM_QUERIES] + 0.1 * rng.standard_normal((NUM_QUERIES, dim))
    return items.astype(np.float32), queries.astype(np.float32)


def by_hand(items, query, left_out, k):
    scores = items.astype(np.float64) @ query.astype(np.float64)
    scores[left_out] = -np.inf
    best = np.argsort(-scores, kind="stable")[:k]
    return best[np.isfinite(scores[best])]


@pytest.mark.parametrize("num_items", [1, 2, 3, 4, 5, 7, 9, 4001])
def test_lists_are_those_of_sorting_all_scores(num_items):
    items, queries = made(num_items)
    search = PrefilteredSearch(items)
    rng = np.random.default_rng(1)
    for size in (0, 1, num_items // 2, num_items - 1, num_items):
        left_out = [rng.permutation(num_items)[:size] for _ in queries]
        for k in {1, min(20, num_items), num_items}:
            for query, out, found in zip(queries, left_out, search.find(queries, left_out, k), strict=True):
                assert found.items.tolist() == by_hand(items, query, out, k).tolist()
                np.testing.assert_allclose(found.scores, items[found.items] @ query, rtol=1e-5, atol=1e-5)


def test_few_items_are_scored(monkeypatch):
    items, queries = made(4001)
    search, scored = PrefilteredSearch(items), []
    vectors = search.vectors
    monkeypatch.setattr(search, "vectors", lambda chosen: (scored.append(len(chosen)), vectors(chosen))[1])
    search.find(queries, [np.arange(0)] * NUM_QUERIES, 10)
    assert len(scored) == NUM_QUERIES
    assert min(scored) >= 10
    assert max(scored) < 100


NUMBERS = st.floats(-(2.0**20), 2.0**20, width=32)
EMBEDDINGS = st.tuples(st.integers(1, 9), st.integers(1, 40)).flatmap(
    lambda shape: st.tuples(arrays(np.float32, shape, elements=NUMBERS), arrays(np.float32, shape[1], elements=NUMBERS))
)


def bounds(items, queries):
    """Lower and upper bounds of all scores, [B, n]."""
    search = PrefilteredSearch(items)
    lengths = np.linalg.norm(queries.astype(np.float64), axis=1).astype(np.float32)
    lower = search.lower_bounds(queries, lengths).astype(np.float64)
    return lower, lower + 2 * (np.outer(lengths, search.quantised.errors) + np.float64(UNDERFLOW))


@pytest.mark.parametrize("num_queries", [1, 2, 3, 4, 5, 7, 8])  # four at once, and those that are left, one by one
@given(found=EMBEDDINGS)
def test_every_score_lies_within_its_bounds(num_queries, found):
    items, query = found
    queries = np.outer(np.linspace(1, -2, num_queries), query).astype(np.float32)
    lower, upper = bounds(items, queries)
    for scores in (queries.astype(np.float64) @ items.T.astype(np.float64), queries @ items.T):
        assert (lower <= scores).all()
        assert (scores <= upper).all()


def test_bounds_are_close():
    items, queries = made(500)
    lower, upper = bounds(items, queries)
    lengths = np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(items, axis=1))
    assert ((upper - lower) < 0.02 * lengths).all()


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=NUMBERS))
def test_the_largest_value_of_an_item_has_the_largest_code(items):
    quantised = Quantised.of(items)
    largest = np.abs(items).max(axis=1)
    expected = np.where(largest > 1e-30, 127, np.abs(quantised.codes).max(axis=1))
    assert np.abs(quantised.codes).max(axis=1).tolist() == expected.tolist()


def test_equal_items_are_in_the_order_of_their_index(monkeypatch):
    items, queries = made(4001)
    best = items[by_hand(items, queries[0], [], 1)[0]]
    items[[17, 400, 401, 3000]] = 2 * best  # better than all others, and alike
    search = PrefilteredSearch(items)
    monkeypatch.setattr(ExactSearch, "find", None)  # not by brute force
    [found] = search.find(queries[:1], [np.array([400])], 3)
    assert found.items.tolist() == [17, 401, 3000]
    [found] = search.find(queries[:1], [np.array([400])], 2)
    assert found.items.tolist() == [17, 401]


def test_added_items_are_found_as_in_a_search_made_with_them():
    items, queries = made(3007)
    added = PrefilteredSearch(items[:3000]).joined(items[3000:])
    nothing = [np.arange(0)] * NUM_QUERIES
    whole = PrefilteredSearch(items).find(queries, nothing, 50)
    for mine, other in zip(added.find(queries, nothing, 50), whole, strict=True):
        assert mine.items.tolist() == other.items.tolist()
        assert mine.scores.tolist() == other.scores.tolist()


def test_many_queries_at_once_are_one_product(monkeypatch):
    items, queries = made(4001)
    search = PrefilteredSearch(items)
    many, nothing = np.repeat(queries, 2, axis=0)[: FEW + 1], [np.arange(0)] * (FEW + 1)
    monkeypatch.setattr(search, "lower_bounds", None)  # not asked for
    expected = ExactSearch(items).find(many, nothing, 10)
    assert [each.items.tolist() for each in search.find(many, nothing, 10)] == [
        each.items.tolist() for each in expected
    ]


def test_where_bounds_exclude_little_all_items_are_scored(monkeypatch):
    # One number is so large that the others have a code of 0: queries that don't ask for it learn nothing from codes.
    rng = np.random.default_rng(0)
    items = rng.standard_normal((2000, 8)).astype(np.float32)
    items[:, 0] = 1e4 * np.arange(2000)
    queries = rng.standard_normal((3, 8)).astype(np.float32)
    queries[[0, 2], 0] = 0
    search, by_force = PrefilteredSearch(items), []
    find = ExactSearch.find
    monkeypatch.setattr(ExactSearch, "find", lambda *given: (by_force.append(len(given[1])), find(*given))[1])
    left_out = [np.arange(5), np.arange(1990, 2000), np.arange(0)]
    for query, out, found in zip(queries, left_out, search.find(queries, left_out, 10), strict=True):
        assert found.items.tolist() == by_hand(items, query, out, 10).tolist()
    assert by_force == [1, 1]


@pytest.mark.parametrize(("of_items", "of_query"), [(1e-10, 1e36), (1e25, 1e-20), (1e16, 1e16), (1e-38, 1e-5)])
def test_very_large_and_very_small_numbers_are_ranked(of_items, of_query):
    items, queries = made(100)
    items, queries = (items * np.float32(of_items)), (queries * np.float32(of_query))
    [found] = PrefilteredSearch(items).find(queries[:1], [np.arange(3)], 5)
    [expected] = ExactSearch(items).find(queries[:1], [np.arange(3)], 5)
    assert found.items.tolist() == expected.items.tolist()


@pytest.mark.parametrize("num_added", [0, 97])
def test_an_item_that_is_no_number_does_not_empty_the_lists(num_added):
    items, queries = made(100)
    items[3] = np.nan
    search = PrefilteredSearch(items[:3]).joined(items[3:]) if num_added else PrefilteredSearch(items)
    [found] = search.find(queries[:1], [np.array([3])], 5)
    assert found.items.tolist() == by_hand(np.nan_to_num(items), queries[0], [3], 5).tolist()


def test_queries_of_another_size_are_refused():
    items, queries = made(100)
    with pytest.raises(ValueError, match="mismatch"):
        PrefilteredSearch(items).find(queries[:, :5], [np.arange(0)] * NUM_QUERIES, 5)


def test_threads_share_the_items(monkeypatch):
    items, queries = made(4001)
    nothing = [np.arange(0)] * NUM_QUERIES
    one = PrefilteredSearch(items)
    monkeypatch.setattr(prefilter, "num_cores", lambda: 3)
    several = PrefilteredSearch(items)
    lengths = np.linalg.norm(queries, axis=1)
    alone = one.lower_bounds(queries, lengths).copy()
    monkeypatch.setattr(prefilter, "PARALLEL", 0)
    np.testing.assert_allclose(several.lower_bounds(queries, lengths), alone, rtol=1e-5, atol=1e-5)
    for mine, other in zip(several.find(queries, nothing, 20), one.find(queries, nothing, 20), strict=True):
        assert mine.items.tolist() == other.items.tolist()
