from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.evaluation.ranking import TopLists, rank
from bakeoff.evaluation.ranking.blocked_topk import TopKBuffer, unpack


@dataclass
class Table:
    """A retriever whose query embedding is a row of a table: query u has the history [u]."""

    item_embeddings: NDArray[np.float32]
    table: NDArray[np.float32]

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        return self.table[queries.histories.items]

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        return np.zeros(len(queries), np.bool_)


def histories(rows: Sequence[Sequence[int]]) -> Histories:
    lengths = [len(row) for row in rows]
    items = np.asarray([item for row in rows for item in row], np.int64)
    return Histories.from_rows(
        np.repeat(np.arange(len(rows)), lengths), items, np.zeros(len(items), np.int64), len(rows)
    )


def ask(items, users, exclude, truth, list_length, users_per_block=1024, among=None) -> TopLists:
    users = np.asarray(users, np.float32)
    n = len(users)
    queries = Queries(histories([[u] for u in range(n)]), np.zeros((n, 0), np.float32), np.zeros((n, 0), np.int32))
    retriever = Table(np.asarray(items, np.float32), users)
    return rank(retriever, queries, histories(exclude), histories(truth), list_length, users_per_block, among)


def brute_force(scores, exclude, truth, k):
    """The definition, item by item: by score, then no hit first, then the smaller index."""
    lists = []
    for u, row in enumerate(scores):
        left = [i for i in range(len(row)) if i not in exclude[u]]
        best = sorted(left, key=lambda i: (-row[i], i in truth[u], i))[:k]
        lists.append(best + [PAD] * (k - len(best)))
    return lists


def test_best_scores_come_first():
    # user (1, 0) scores the items 1/8, 3/8, 2/8
    lists = ask([[0.125, 9], [0.375, 9], [0.25, 9]], [[1, 0]], [[]], [[]], 3)
    assert lists.items.tolist() == [[1, 2, 0]]
    assert lists.scores.tolist() == [[0.375, 0.25, 0.125]]


def test_negative_scores_are_in_order_too():
    assert ask([[-2], [-1], [0], [1]], [[1]], [[]], [[]], 4).items.tolist() == [[3, 2, 1, 0]]


def test_excluded_items_are_left_out():
    assert ask([[1], [3], [2]], [[1]], [[1]], [[]], 2).items.tolist() == [[2, 0]]


def test_an_excluded_item_that_is_also_truth_stays_out():
    assert ask([[1], [3], [2]], [[1]], [[1]], [[1]], 3).items.tolist() == [[2, 0, PAD]]


def test_a_tied_positive_ranks_last():
    # all four items tie; item 0 is the truth
    assert ask([[1]] * 4, [[1]], [[]], [[0]], 4).items.tolist() == [[1, 2, 3, 0]]


def test_a_tied_positive_falls_off_the_end_of_the_list():
    assert ask([[1]] * 4, [[1]], [[]], [[0, 1]], 2).items.tolist() == [[2, 3]]


def test_a_positive_that_is_better_by_one_bit_is_not_tied():
    better = np.nextafter(np.float32(1), np.float32(2))
    assert ask([[1], [1], [better]], [[1]], [[]], [[2]], 1).items.tolist() == [[2]]


def test_negative_zero_ties_with_zero():
    # −0.0 sorts below 0.0 by its bits, but they are equal: the truth must not win by it. Whether a product
    # can be −0.0 depends on the BLAS, hence the test of the buffer itself.
    nothing, second = (np.array([0, 0]), np.zeros(0, np.int64)), (np.array([0, 1]), np.array([1]))
    lists = TopKBuffer(2, 2, nothing, second)
    lists.add(np.float32([[-0.0, 0.0]]), np.array([0]), 0, np.arange(2))
    assert unpack(np.sort(lists.best(), axis=1)[:, ::-1])[0].tolist() == [[0, 1]]


def test_equal_items_tie_wherever_they_stand_in_the_catalogue():
    # BLAS computes the last columns of a ragged matrix by other code; here each vector stands in three places
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((101, 65))
    lists = ask(np.tile(vectors, (3, 1)), rng.standard_normal((7, 65)), [[]] * 7, [[]] * 7, 303)
    thirds = lists.scores.reshape(7, 101, 3)
    assert (thirds == thirds[:, :, :1]).all()
    assert (lists.items.reshape(7, 101, 3) % 101 == (lists.items.reshape(7, 101, 3) % 101)[:, :, :1]).all()


def test_a_list_is_padded_where_the_catalogue_is_too_short():
    lists = ask([[1], [2]], [[1], [1]], [[1], [0, 1]], [[], []], 4)
    assert lists.items.tolist() == [[0, PAD, PAD, PAD], [PAD] * 4]
    assert lists.scores.tolist() == [[1, -np.inf, -np.inf, -np.inf], [-np.inf] * 4]
    assert lists.items.dtype == np.int32
    assert lists.scores.dtype == np.float32


def test_lists_among_some_items_hold_no_others():
    lists = ask(np.arange(6)[:, None], [[1], [1]], [[5, 0], [1, 4]], [[], []], 3, among=np.array([1, 4, 5]))
    assert lists.items.tolist() == [[4, 1, PAD], [5, PAD, PAD]]
    # items with equal embeddings among them, the truth last
    assert ask([[1]] * 6, [[1]], [[]], [[2]], 2, among=np.array([2, 3, 5])).items.tolist() == [[3, 5]]


def test_lists_among_some_items_are_those_that_exclude_all_others():
    rng = np.random.default_rng(2)
    items, users = rng.integers(-1, 2, (60, 2)), rng.integers(-2, 3, (8, 2))  # most items have an equal
    among = np.flatnonzero(rng.random(60) < 0.5)
    exclude, truth = ([rng.choice(60, size, replace=False).tolist() for _ in range(8)] for size in (9, 4))
    found = ask(items, users, exclude, truth, 5, among=among)
    excluded = [sorted({*each, *np.setdiff1d(np.arange(60), among).tolist()}) for each in exclude]
    expected = ask(items, users, excluded, truth, 5)
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_no_queries_give_no_lists():
    assert ask([[1], [2]], np.zeros((0, 1)), [], [], 2).items.shape == (0, 2)


def test_lists_do_not_depend_on_the_size_of_blocks():
    rng = np.random.default_rng(1)
    items, users = rng.standard_normal((400, 33)), rng.standard_normal((50, 33))
    exclude = [rng.integers(0, 400, 30).tolist() for _ in range(50)]
    truth = [rng.integers(0, 400, 5).tolist() for _ in range(50)]
    whole = ask(items, users, exclude, truth, 20)
    for users_per_block in (1, 7, 50):
        parts = ask(items, users, exclude, truth, 20, users_per_block)
        np.testing.assert_array_equal(parts.items, whole.items)
        np.testing.assert_array_equal(parts.scores, whole.scores)


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_lists_equal_those_of_the_definition(data):
    # Few distinct scores, so that most ranks are decided by ties; one dimension, so that products are exact.
    num_items = data.draw(st.integers(1, 60))
    k = data.draw(st.integers(1, 8))
    scores = data.draw(st.lists(st.integers(-3, 3), min_size=num_items, max_size=num_items))
    item = st.integers(0, num_items - 1)
    n = data.draw(st.integers(1, 5))
    signs = data.draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=n, max_size=n))
    exclude = data.draw(st.lists(st.lists(item, max_size=num_items), min_size=n, max_size=n))
    truth = data.draw(st.lists(st.lists(item, max_size=6), min_size=n, max_size=n))
    lists = ask(np.asarray(scores)[:, None], np.asarray(signs)[:, None], exclude, truth, k, users_per_block=2)
    expected = brute_force(np.outer(signs, scores), exclude, truth, k)
    assert lists.items.tolist() == expected


def test_long_catalogues_equal_the_definition_too():
    # 300 users × 3,000 items are more than one chunk; scores have 50 levels
    rng = np.random.default_rng(2)
    items = rng.integers(0, 50, (3000, 1))
    exclude = [rng.integers(0, 3000, 100).tolist() for _ in range(300)]
    truth = [rng.integers(0, 3000, 10).tolist() for _ in range(300)]
    lists = ask(items, np.ones((300, 1)), exclude, truth, 25)
    scores = np.tile(items[:, 0], (300, 1))
    expected = brute_force(scores[:5], exclude[:5], truth[:5], 25)
    assert lists.items[:5].tolist() == expected
    assert lists.items[-5:].tolist() == brute_force(scores[-5:], exclude[-5:], truth[-5:], 25)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_item_embeddings_that_are_no_numbers_are_refused(bad):
    with pytest.raises(BakeoffError, match=r"1 of 2 item embeddings hold NaN or infinity.*row 1.*learning rate"):
        ask([[1], [bad]], [[1]], [[]], [[]], 1)


def test_query_embeddings_that_are_no_numbers_are_refused():
    with pytest.raises(BakeoffError, match="query embeddings hold NaN"):
        ask([[1], [2]], [[np.nan]], [[]], [[]], 1)


def test_scores_that_overflow_are_refused():
    with pytest.raises(BakeoffError, match="more than float32 holds"):
        ask([[1e30]], [[1e30]], [[]], [[]], 1)


def test_queries_and_items_of_different_dimensions_are_refused():
    with pytest.raises(BakeoffError, match="3 dimensions and item embeddings 2"):
        ask([[1, 2]], [[1, 2, 3]], [[]], [[]], 1)


def test_a_model_that_embeds_the_wrong_number_of_queries_is_refused():
    retriever = Table(np.ones((2, 1), np.float32), np.ones((9, 1), np.float32))
    retriever.embed_queries = lambda queries: retriever.table
    queries = Queries(histories([[0]]), np.zeros((1, 0), np.float32), np.zeros((1, 0), np.int32))
    with pytest.raises(BakeoffError, match=r"shape \[9, 1\] where \[1, dim\] was expected"):
        rank(retriever, queries, histories([[]]), histories([[]]), 1, 10)
