"""The blocked top k gives the lists that exact scores of all items, sorted by the definition, give."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.evaluation.ranking import TopLists, rank, reproducible_scores
from bakeoff.evaluation.ranking import blocked_topk as tiles
from bakeoff.evaluation.ranking.blocked_topk import ITEMS_PER_TILE, QUERIES_PER_TILE


class Table:
    """Query u has the history [u]; its embedding is row u."""

    def __init__(self, items: NDArray[np.float32], users: NDArray[np.float32]) -> None:
        self.item_embeddings, self._users = items, users

    def embed_queries(self, queries: Queries) -> NDArray[np.float32]:
        return self._users[queries.histories.items]

    def uses_fallback(self, queries: Queries) -> NDArray[np.bool_]:
        raise NotImplementedError


def sets(rows: Sequence[Sequence[int]]) -> Histories:
    items = np.asarray([item for row in rows for item in row], np.int64)
    index = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return Histories.from_rows(index, items, np.zeros(len(items), np.int64), len(rows))


def ask(items, users, exclude, truth, k: int, users_per_block: int = 1024) -> TopLists:
    items, users = np.asarray(items, np.float32), np.asarray(users, np.float32)
    n = len(users)
    queries = Queries(sets([[u] for u in range(n)]), np.zeros((n, 0), np.float32), np.zeros((n, 0), np.int32))
    return rank(Table(items, users), queries, sets(exclude), sets(truth), k, users_per_block)


def defined(items, users, exclude, truth, k: int) -> TopLists:
    """Lists by definition: exact scores of all items, sorted by score, then no hit first, then the smaller index."""
    items, users = (reproducible_scores.rounded(np.asarray(each, np.float32)) for each in (items, users))
    scores = reproducible_scores.scores(users, items) + np.float32(0)  # −0.0 becomes 0.0
    best = TopLists(np.full((len(users), k), PAD, np.int32), np.full((len(users), k), -np.inf, np.float32))
    for user, row in enumerate(scores):
        hit, left = np.isin(np.arange(len(row)), truth[user]), np.isin(np.arange(len(row)), exclude[user], invert=True)
        order = np.lexsort((np.arange(len(row)), hit, -row))
        order = order[left[order]][:k]
        best.items[user, : len(order)], best.scores[user, : len(order)] = order, row[order]
    return best


def same(left: TopLists, right: TopLists) -> None:
    np.testing.assert_array_equal(left.items, right.items)
    np.testing.assert_array_equal(left.scores, right.scores)


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_lists_equal_the_definition_where_queries_leave_one_by_one(data):
    # Tiles of a few items and queries, of which each that can gain no more is left out at once. Lengths fall, down to
    # products below the smallest normal number, and values are few, so that scores tie and equal their limits.
    dim, num_items, n = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 60)), data.draw(st.integers(1, 24))
    k, spare = data.draw(st.integers(1, 6)), data.draw(st.sampled_from([0, 1, 8]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    fall = data.draw(st.sampled_from([0.0, 0.25, 1.0, 4.0]))
    items = rng.integers(-2, 3, (num_items, dim)) * 2.0 ** -np.floor(fall * np.arange(num_items))[:, None]
    users = rng.integers(-2, 3, (n, dim)) * 2.0 ** -rng.integers(0, 60, (n, 1))
    exclude, truth = ([rng.integers(0, num_items, rng.integers(0, 9)).tolist() for _ in range(n)] for _ in range(2))
    asked = (items, users, exclude, truth, k)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"ITEMS_PER_TILE": 8, "QUERIES_PER_TILE": 16, "_FEWER": 1, "_SPARE": spare}.items():
            patch.setattr(tiles, name, value)
        found = ask(*asked)
    same(found, defined(*asked))


@pytest.mark.parametrize("k", [1, 100, 700])
def test_lists_equal_the_definition_over_many_tiles_of_items_and_queries(k):
    # small integers as embeddings: products are exact in whatever order they are added up
    rng = np.random.default_rng(k)
    num_items, n = 3 * ITEMS_PER_TILE + 17, QUERIES_PER_TILE + 5
    items, users = rng.integers(-4, 5, (num_items, 8)), rng.integers(-4, 5, (n, 8))
    exclude = [rng.integers(0, num_items, 200).tolist() for _ in range(n)]
    truth = [rng.integers(0, num_items, 60).tolist() for _ in range(n)]
    same(ask(items, users, exclude, truth, k), defined(items, users, exclude, truth, k))


def test_negative_zero_ties_with_zero_beyond_the_first_tile():
    # −1 · 0 is −0.0; item 0, the truth, scores 0.0 as all others do, and comes last
    items = np.zeros((2 * ITEMS_PER_TILE, 1))
    items[::2] = -0.0
    lists = ask(items, [[1]], [[]], [[0]], 2 * ITEMS_PER_TILE)
    assert lists.items[0, -1] == 0
    assert lists.items[0, :-1].tolist() == list(range(1, 2 * ITEMS_PER_TILE))


def test_items_that_rise_to_the_end_of_the_catalogue_are_found():
    # embeddings of equal length, so that the catalogue is looked at in its own order: every item displaces another
    angles = np.linspace(np.pi, 0, 2000)
    lists = ask(np.stack([np.cos(angles), np.sin(angles)], axis=1), [[1, 0]], [[1999]], [[]], 5)
    assert lists.items.tolist() == [[1998, 1997, 1996, 1995, 1994]]


def test_compiled_lists_do_not_depend_on_the_size_of_blocks():
    rng = np.random.default_rng(1)
    items, users = rng.standard_normal((1500, 33)), rng.standard_normal((300, 33))
    exclude, truth = ([rng.integers(0, 1500, 30).tolist() for _ in range(300)] for _ in range(2))
    whole = ask(items, users, exclude, truth, 20)
    for users_per_block in (1, 7, 300):
        same(ask(items, users, exclude, truth, 20, users_per_block), whole)


def test_compiled_lists_are_padded_where_everything_is_excluded():
    lists = ask([[1], [2]], [[1]], [[0, 1]], [[]], 2)
    assert lists.items.tolist() == [[PAD, PAD]]
    assert np.isneginf(lists.scores).all()


@pytest.mark.parametrize("spread", [0, 1e-7, 1e-6, 1e-5])
def test_items_closer_than_blas_can_tell_are_in_the_order_of_their_exact_scores(spread):
    # 2,000 items around one point: more of them lie within the error of a float32 product than are kept as candidates
    rng = np.random.default_rng(2)
    items = rng.standard_normal(64) + spread * rng.standard_normal((2000, 64))
    users = rng.standard_normal((40, 64))
    exclude, truth = ([rng.integers(0, 2000, 30).tolist() for _ in range(40)] for _ in range(2))
    same(ask(items, users, exclude, truth, 20), defined(items, users, exclude, truth, 20))


def test_scores_are_far_enough_apart_that_few_queries_are_told_by_exact_scores_alone(monkeypatch):
    told = []
    plain = tiles.exact_keys
    monkeypatch.setattr(tiles, "exact_keys", lambda queries, *rest: told.append(len(queries)) or plain(queries, *rest))
    rng = np.random.default_rng(3)
    ask(rng.standard_normal((5000, 64)), rng.standard_normal((1000, 64)), [[]] * 1000, [[]] * 1000, 100)
    assert sum(told) < 10


def test_queries_whose_lists_end_among_equal_items_are_told_without_looking_at_each_of_them(monkeypatch):
    # 4,000 of 5,000 items have one of four embeddings, which is what these queries look for
    looked_at = []
    plain = tiles.exact_keys
    monkeypatch.setattr(
        tiles, "exact_keys", lambda queries, items, *rest: looked_at.append(len(items)) or plain(queries, items, *rest)
    )
    rng = np.random.default_rng(4)
    items, groups = rng.standard_normal((5000, 64)), rng.standard_normal((4, 64))
    shared = rng.permutation(5000)[:4000]
    items[shared] = groups[rng.integers(0, 4, 4000)]
    exclude = [rng.choice(shared, 30).tolist() for _ in range(200)]
    truth = [rng.choice(shared, 5).tolist() for _ in range(200)]
    asked = (items, groups[rng.integers(0, 4, 200)], exclude, truth, 20)
    same(ask(*asked), defined(*asked))
    # 20 and what may be passed over, of each of the four
    assert looked_at
    assert max(looked_at) <= 1000 + 4 * (20 + 30 + 5)


def rows_looked_at(monkeypatch) -> list[int]:
    """Queries of each tile, once it is looked through."""
    counts: list[int] = []
    plain = tiles.TopKBuffer.add
    monkeypatch.setattr(
        tiles.TopKBuffer, "add", lambda self, scores, *rest: counts.append(len(scores)) or plain(self, scores, *rest)
    )
    return counts


def test_queries_are_not_asked_about_items_too_short_for_their_lists(monkeypatch):
    # lengths fall by half every 200 items: the longest 400 of 4,000 hold nearly all lists of 50
    rng = np.random.default_rng(5)
    items = rng.standard_normal((4000, 16)) * 0.5 ** (np.arange(4000) / 200)[:, None]
    users = rng.standard_normal((QUERIES_PER_TILE + 40, 16))
    exclude, truth = ([rng.integers(0, 500, 30).tolist() for _ in users] for _ in range(2))
    looked_at = rows_looked_at(monkeypatch)
    same(ask(items, users, exclude, truth, 50), defined(items, users, exclude, truth, 50))
    assert sum(looked_at) < len(users) * -(-4000 // ITEMS_PER_TILE) / 2


def test_lists_that_are_not_full_go_on_to_the_shortest_items(monkeypatch):
    # all but the shortest are excluded; a query of zeros is asked beside
    items = 0.9 ** np.arange(3 * ITEMS_PER_TILE)[:, None] * [[3.0, 4.0]]
    looked_at = rows_looked_at(monkeypatch)
    lists = ask(items, [[1, 1], [0, 0]], [list(range(len(items) - 2)), []], [[], []], 3)
    assert lists.items.tolist() == [[len(items) - 2, len(items) - 1, PAD], [0, 1, 2]]
    assert sum(looked_at) == 2 * 3


def test_an_item_that_only_equals_the_worst_of_a_full_list_may_displace_a_hit():
    # one dimension, in which all scores are what Cauchy and Schwarz allow, and equal
    items = np.ones((3 * ITEMS_PER_TILE, 1))
    lists = ask(items, [[2]], [[]], [list(range(2 * ITEMS_PER_TILE))], 5)
    assert lists.items.tolist() == [list(range(2 * ITEMS_PER_TILE, 2 * ITEMS_PER_TILE + 5))]
