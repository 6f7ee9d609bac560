"""Lists with options: those of a block are what each query would get by itself."""

import numpy as np
import pandas as pd
import pytest

from bakeoff.data.features.encoding import TableEncoding
from bakeoff.models.base.list_options import debiased, standard_log_popularity
from bakeoff.ops.list_options import FEW, PLAIN, ItemFeatures, ListOptions, find
from bakeoff.ops.server.approximate import ApproximateSearch
from bakeoff.ops.server.search import ExactSearch

ITEMS, DIM = 40 * FEW, 8
RNG = np.random.default_rng(5)
EMBEDDINGS = RNG.standard_normal((ITEMS, DIM), np.float32)
POPULARITY = standard_log_popularity(RNG.integers(0, 500, ITEMS))
FEATURES = ItemFeatures(pd.DataFrame(index=range(ITEMS)), TableEncoding(), "")
SOME, MOST = np.arange(3, ITEMS, 2 * FEW), np.arange(ITEMS - 5)
WISHES = [
    PLAIN,
    ListOptions(allow=SOME),
    ListOptions(allow=MOST, diversity=0.4),
    ListOptions(debias=0.5),
    PLAIN,
    ListOptions(diversity=0.3),
    ListOptions(allow=SOME, debias=1.5, diversity=0.2),
    ListOptions(allow=np.zeros(0, np.int64)),
]
QUERIES = RNG.standard_normal((len(WISHES), DIM), np.float32)
SEEN = [RNG.choice(ITEMS, 20) for _ in WISHES]
LENGTHS = [10, 7, 4, 12, 3, 10, 5, 6]


def found(search, rows):
    chosen = [[each[row] for row in rows] for each in (SEEN, LENGTHS, WISHES)]
    return find(search, QUERIES[rows], *chosen, FEATURES, POPULARITY)


def test_a_block_with_different_options_gives_what_each_query_would_get_by_itself():
    search = ExactSearch(EMBEDDINGS)
    for row, mine in enumerate(found(search, list(range(len(WISHES))))):
        [alone] = found(search, [row])
        assert mine.items.tolist() == alone.items.tolist()
        assert mine.scores == pytest.approx(alone.scores, abs=1e-5)


@pytest.mark.parametrize("search", [ExactSearch(EMBEDDINGS), ApproximateSearch(EMBEDDINGS)], ids=["exact", "faiss"])
def test_lists_have_their_own_lengths_and_none_but_allowed_items(search):
    for row, mine in enumerate(found(search, list(range(len(WISHES))))):
        allow = WISHES[row].allow
        allowed = np.setdiff1d(np.arange(ITEMS) if allow is None else allow, SEEN[row])
        assert np.isin(mine.items, allowed).all()
        assert len(set(mine.items.tolist())) == len(mine.items) == min(LENGTHS[row], len(allowed))


@pytest.mark.parametrize("row", [1, 7])
def test_few_allowed_items_are_in_the_order_in_which_a_search_of_all_has_them(row):
    allowed = np.setdiff1d(WISHES[row].allow, SEEN[row])
    scores = EMBEDDINGS[allowed] @ QUERIES[row]
    best = np.argsort(-scores, kind="stable")[: LENGTHS[row]]
    [mine] = found(ExactSearch(EMBEDDINGS), [row])
    assert mine.items.tolist() == allowed[best].tolist()
    assert mine.scores == pytest.approx(scores[best], abs=1e-5)


def test_popularity_is_weighed_by_the_scores_of_all_items_even_where_few_are_allowed():
    [mine] = found(ExactSearch(EMBEDDINGS), [6])
    value = debiased((EMBEDDINGS @ QUERIES[6])[np.newaxis], POPULARITY, 1.5)[0]
    allowed = np.setdiff1d(SOME, SEEN[6])
    assert mine.items[0] == allowed[value[allowed].argmax()]
    assert mine.scores == pytest.approx(EMBEDDINGS[mine.items] @ QUERIES[6], abs=1e-5)
