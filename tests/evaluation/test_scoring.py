from dataclasses import dataclass

import numpy as np

from bakeoff.core.histories import Histories, Queries
from bakeoff.evaluation.ranking import reproducible_scores
from bakeoff.evaluation.ranking.reproducible_scores import score_blocks


@dataclass
class Table:
    item_embeddings: np.ndarray
    table: np.ndarray

    def embed_queries(self, queries):
        return self.table[queries.histories.items]

    def uses_fallback(self, queries):
        return np.zeros(len(queries), np.bool_)


def blocks(items, users, users_per_block):
    n = len(users)
    histories = Histories(np.arange(n + 1), np.arange(n, dtype=np.int32), np.zeros(n, np.int64))
    queries = Queries(histories, np.zeros((n, 0), np.float32), np.zeros((n, 0), np.int32))
    retriever = Table(np.asarray(items, np.float32), np.asarray(users, np.float32))
    return list(score_blocks(retriever, queries, users_per_block))


RNG = np.random.default_rng(0)
ITEMS, USERS = RNG.standard_normal((101, 33)), RNG.standard_normal((50, 33))


def test_scores_are_dot_products():
    scores = np.concatenate([found for _, found in blocks(ITEMS, USERS, 8)])
    np.testing.assert_allclose(scores, USERS @ ITEMS.T, rtol=1e-4, atol=1e-5)


def test_scores_do_not_depend_on_the_size_of_blocks():
    [(_, whole)] = blocks(ITEMS, USERS, 50)
    for size in (1, 7):
        np.testing.assert_array_equal(np.concatenate([found for _, found in blocks(ITEMS, USERS, size)]), whole)


def test_equal_items_score_the_same_wherever_they_stand():
    [(_, scores)] = blocks(np.tile(ITEMS, (3, 1)), USERS, 50)
    thirds = scores.reshape(50, 3, 101)
    assert (thirds == thirds[:, :1]).all()


def test_blocks_are_no_larger_than_asked():
    assert [part.stop - part.start for part, _ in blocks(ITEMS, USERS, 20)] == [20, 20, 10]


def test_with_a_large_catalogue_blocks_are_smaller(monkeypatch):
    monkeypatch.setattr(reproducible_scores, "SCORES_PER_BLOCK", 1000)  # 9 users × 101 items
    assert max(len(found) for _, found in blocks(ITEMS, USERS, 20)) == 9
