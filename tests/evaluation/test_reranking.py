from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.evaluation.ranking import TopLists, reorder


@dataclass
class Same:
    """Every query has the same scores."""

    scores: list[float]

    @property
    def item_embeddings(self):
        return np.asarray(self.scores, np.float32)[:, None]

    def embed_queries(self, queries):
        return np.ones((len(queries), 1), np.float32)

    def uses_fallback(self, queries):
        return np.zeros(len(queries), np.bool_)


def histories(rows):
    lengths = [len(row) for row in rows]
    items = np.asarray([item for row in rows for item in row], np.int64)
    return Histories.from_rows(np.repeat(np.arange(len(rows)), lengths), items, np.zeros_like(items), len(rows))


def ranked(scores, candidates, truth, users_per_block=1024):
    n = len(candidates)
    queries = Queries(histories([[]] * n), np.zeros((n, 0), np.float32), np.zeros((n, 0), np.int32))
    lists = TopLists(np.int32(candidates), np.zeros(np.shape(candidates), np.float32))
    return reorder(Same(scores), queries, lists, histories(truth), users_per_block)


def test_candidates_are_put_in_the_order_of_the_scorer():
    found = ranked([1, 2, 3, 4], [[0, 3, 2], [1, 0, 3]], [[], []])
    assert found.items.tolist() == [[3, 2, 0], [3, 1, 0]]
    assert found.scores.tolist() == [[4, 3, 1], [4, 2, 1]]


def test_what_is_no_candidate_stays_out():
    assert 3 not in ranked([1, 2, 3, 4], [[0, 1, 2]], [[3]]).items


def test_a_tied_positive_ranks_last_and_other_ties_go_by_index():
    assert ranked([5, 5, 5, 5], [[3, 0, 2, 1]], [[0]]).items.tolist() == [[1, 2, 3, 0]]


def test_padding_stays_at_the_end():
    found = ranked([1, -2, 3], [[1, 2, PAD, PAD], [PAD] * 4], [[], []])
    assert found.items.tolist() == [[2, 1, PAD, PAD], [PAD] * 4]
    assert found.scores.tolist() == [[3, -2, -np.inf, -np.inf], [-np.inf] * 4]


@given(st.data())
def test_lists_do_not_depend_on_the_size_of_blocks(data):
    scores = data.draw(st.lists(st.integers(-2, 2), min_size=5, max_size=5))
    n = data.draw(st.integers(1, 4))
    candidates = data.draw(st.lists(st.permutations(range(5)).map(lambda row: row[:3]), min_size=n, max_size=n))
    truth = data.draw(st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=n, max_size=n))
    whole = ranked(scores, candidates, truth)
    assert whole.items.tolist() == ranked(scores, candidates, truth, users_per_block=1).items.tolist()
    expected = [sorted(row, key=lambda i: (-scores[i], i in of, i)) for row, of in zip(candidates, truth, strict=True)]
    assert whole.items.tolist() == expected
