import numpy as np
import pytest

from bakeoff.ops.server import approximate
from bakeoff.ops.server.approximate import ApproximateSearch
from bakeoff.ops.server.search import ExactSearch

NUM_ITEMS, DIM = 4000, 8


@pytest.fixture(scope="module")
def items():
    """Items around a few tastes, as trained ones are."""
    rng = np.random.default_rng(0)
    tastes = rng.standard_normal((20, DIM))
    return (tastes[rng.integers(0, 20, NUM_ITEMS)] + 0.3 * rng.standard_normal((NUM_ITEMS, DIM))).astype(np.float32)


@pytest.fixture(scope="module")
def exact(items):
    return ExactSearch(items)


@pytest.fixture(scope="module")
def search(items):
    return ApproximateSearch(items)


@pytest.fixture(scope="module")
def batch(items):
    """64 queries, each with what it excludes: the items that it likes best, or all but a few, or nothing."""
    rng = np.random.default_rng(1)
    queries = (items[rng.integers(0, NUM_ITEMS, 64)] + 0.1 * rng.standard_normal((64, DIM))).astype(np.float32)
    best = np.argsort(-(queries @ items.T), axis=1)
    sizes = rng.permutation(np.repeat([0, 5, 100, NUM_ITEMS - 3], 16))
    return queries, [row[:size] for row, size in zip(best, sizes, strict=True)]


def by_hand(items, query, exclude, k):
    scores = items @ query
    scores[exclude] = -np.inf
    best = np.argsort(-scores, kind="stable")[:k]
    return best[np.isfinite(scores[best])]


def test_exact_search_is_what_sorting_gives(items, exact, batch):
    queries, exclude = batch
    for query, out, found in zip(queries, exclude, exact.find(queries, exclude, 20), strict=True):
        assert found.items.tolist() == by_hand(items, query, out, 20).tolist()
        np.testing.assert_allclose(found.scores, items[found.items] @ query, rtol=1e-5, atol=1e-5)


def test_equal_scores_are_ordered_by_item():
    found = ExactSearch(np.ones((6, 1), np.float32)).find(np.ones((1, 1), np.float32), [np.array([1, 1])], 3)[0]
    assert found.items.tolist() == [0, 2, 3]


def test_the_recall_is_that_compared_with_brute_force(items, search, batch):
    queries, exclude = batch
    search.tune(queries, exclude)
    assert search.recall >= approximate.RECALL
    assert search.probes < search.lists
    shares = [
        len(set(found.items.tolist()) & set(true.tolist())) / len(true)
        for found, true in zip(
            search.find(queries, exclude, 50),
            [by_hand(items, query, out, 50) for query, out in zip(queries, exclude, strict=True)],
            strict=True,
        )
    ]
    assert search.recall == pytest.approx(np.mean(shares))
    assert f"recall {search.recall:.3f}" in search.description


@pytest.mark.parametrize("longest", [approximate.LONGEST_OVERFETCH, 10, 0])
def test_no_excluded_item_is_found_and_no_list_is_short(search, batch, monkeypatch, longest):
    # 0: all of them by brute force
    monkeypatch.setattr(approximate, "LONGEST_OVERFETCH", longest)
    queries, exclude = batch
    for out, found in zip(exclude, search.find(queries, exclude, 20), strict=True):
        assert not set(out.tolist()) & set(found.items.tolist())
        assert len(set(found.items.tolist())) == min(20, NUM_ITEMS - len(out))
        assert (np.diff(found.scores) <= 0).all()


def test_neighbours_are_those_with_the_largest_cosine(items, exact):
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    found = exact.nearest(7, 5)
    cosines = unit @ unit[7]
    assert found.items.tolist() == np.argsort(-cosines, kind="stable")[1:6].tolist()
    np.testing.assert_allclose(found.scores, cosines[found.items], rtol=1e-5)


def test_an_item_without_direction_has_no_neighbours_and_is_none():
    search = ExactSearch(np.array([[1, 0], [0, 0], [2, 0]], np.float32))
    assert len(search.nearest(1, 2).items) == 0
    assert search.nearest(0, 2).items.tolist() == [2]


@pytest.mark.parametrize("num_added", [1, 30, NUM_ITEMS - 1])
def test_joined_searches_find_what_one_of_all_items_finds(items, exact, batch, num_added):
    queries, exclude = batch
    joined = ExactSearch(items[:-num_added]).joined(items[-num_added:])
    for k in (20, 50):  # more than were added, too
        pairs = zip(joined.find(queries, exclude, k), exact.find(queries, exclude, k), strict=True)
        for found, expected in pairs:
            assert found.items.tolist() == expected.items.tolist()
            np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-5)
    some = np.arange(0, NUM_ITEMS, 7)
    assert joined.find_among(queries[0], some, 5).items.tolist() == exact.find_among(queries[0], some, 5).items.tolist()
    assert joined.vectors(some[::-1]).tolist() == items[some[::-1]].tolist()
    popularity, strengths = np.linspace(-1, 1, NUM_ITEMS, dtype=np.float32), [2.0] * len(queries)
    for mine, other in zip(
        joined.find_debiased(queries, exclude, 10, popularity, strengths),
        exact.find_debiased(queries, exclude, 10, popularity, strengths),
        strict=True,
    ):
        assert mine[0].items.tolist() == other[0].items.tolist()
    for item in (0, NUM_ITEMS - 1):
        assert joined.nearest(item, 5).items.tolist() == exact.nearest(item, 5).items.tolist()


def test_equal_scores_of_joined_searches_are_ordered_by_item():
    joined = ExactSearch(np.ones((3, 1), np.float32)).joined(np.ones((3, 1), np.float32))
    [found] = joined.find(np.ones((1, 1), np.float32), [np.array([1, 4])], 3)
    assert found.items.tolist() == [0, 2, 3]
