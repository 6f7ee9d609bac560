from collections import Counter
from dataclasses import dataclass, replace
from math import log2

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation import sampled
from bakeoff.evaluation.metrics import formulas
from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.evaluation.ranking import rank
from bakeoff.evaluation.ranking.protocol import TEST, EvalQueries, EvalSet
from bakeoff.evaluation.results import UserBatch
from bakeoff.evaluation.sampled import draw_candidates, full_metrics, sampled_metrics
from bakeoff.models.popularity.popularity import PopularityRetriever


@dataclass
class Table:
    """Query u has the dense feature u, and its scores are row u of a table."""

    table: np.ndarray

    @property
    def item_embeddings(self):
        return np.eye(self.table.shape[1], dtype=np.float32)

    def embed_queries(self, queries):
        return self.table[queries.dense[:, 0].astype(int)].astype(np.float32)

    def uses_fallback(self, queries):
        return np.zeros(len(queries), np.bool_)


def histories(rows):
    lengths = [len(row) for row in rows]
    items = np.asarray([item for row in rows for item in row], np.int64)
    return Histories.from_rows(np.repeat(np.arange(len(rows)), lengths), items, np.zeros_like(items), len(rows))


def queries(seen):
    return Queries(histories(seen), np.arange(len(seen), dtype=np.float32)[:, None], np.zeros((len(seen), 0), np.int32))


def measure(table, seen, truth, num_candidates=99, seed=0, users_per_block=1024, exclude=None):
    table = np.asarray(table, np.float32)
    exclude = seen if exclude is None else exclude
    eval_set = EvalSet(np.arange(len(table)), queries(seen), histories(exclude), histories(truth), histories(exclude))
    return sampled_metrics(Table(table), eval_set, num_candidates, np.random.default_rng(seed), users_per_block)


def draw(seen, num_items, count, times=1, seed=0):
    rows = np.repeat(np.arange(len(seen)), times)
    return draw_candidates(rows, histories(seen), num_items, count, np.random.default_rng(seed))


def test_the_rank_among_the_candidates_counts():
    # Items 2, 3 and 4 are all that the user never had; the test item 1 beats two of them: rank 2.
    found = measure([[9, 5, 1, 7, 2]], [[0]], [[1]])
    assert found["ndcg@10"].tolist() == [pytest.approx(1 / log2(3))]
    assert found["mrr@10"].tolist() == [1 / 2]
    assert found["hit_rate@10"].tolist() == [1]


def test_a_user_counts_as_the_mean_over_the_test_items():
    # Candidates 2 and 3: item 0 comes first, item 1 third.
    found = measure([[9, 1, 2, 3]], [[]], [[0, 1]])
    assert found["mrr@10"].tolist() == [pytest.approx((1 + 1 / 3) / 2)]


def test_a_test_item_that_is_named_twice_counts_once():
    once, twice = (measure([[9, 1, 2, 3]], [[]], [truth])["mrr@10"] for truth in ([0, 1], [0, 0, 1]))
    assert once == twice


def test_ranks_below_the_tenth_count_nothing():
    scores = np.arange(20)
    found = measure([scores, scores], [[], []], [[10], [9]])
    # Nine items are better than item 10, ten are better than item 9.
    assert found["hit_rate@10"].tolist() == [1, 0]
    assert found["mrr@10"].tolist() == [1 / 10, 0]
    assert found["ndcg@10"].tolist() == [pytest.approx(1 / log2(11)), 0]


def test_ties_count_against_the_model():
    assert measure([[1, 1, 1, 1]], [[]], [[2]])["mrr@10"].tolist() == [1 / 4]


def test_nothing_is_said_of_users_without_a_test_item_or_without_a_candidate():
    found = measure([[1, 2, 3], [1, 2, 3], [1, 2, 3]], [[0], [0, 1], [0]], [[], [2], [2]])
    assert np.isnan(found["ndcg@10"]).tolist() == [True, True, False]


def test_with_all_items_as_candidates_it_is_the_full_ranking():
    rng = np.random.default_rng(2)
    table = rng.integers(0, 30, (40, 60))  # with ties
    chosen = np.array([rng.permutation(60)[:11] for _ in range(40)])
    seen, truth = chosen[:, :10].tolist(), chosen[:, 10:].tolist()
    lists = rank(Table(table.astype(np.float32)), queries(seen), histories(seen), histories(truth), 10, 100)
    relevant = formulas.relevance(lists, histories(truth))
    found = measure(table, seen, truth, num_candidates=60)
    np.testing.assert_allclose(found["ndcg@10"], formulas.ndcg(relevant, np.ones(40, np.int64), 10))
    np.testing.assert_allclose(found["mrr@10"], formulas.mrr(relevant, np.ones(40, np.int64), 10))


def test_all_models_meet_the_same_candidates():
    # With one candidate, a model and its opposite disagree on every pair: one ranks the test item first, the other
    # second, 1 + 1/2 together – if both meet the same candidate.
    rng = np.random.default_rng(3)
    table = rng.permuted(np.tile(np.arange(50), (30, 1)), axis=1)
    truth = rng.permuted(np.tile(np.arange(50), (30, 1)), axis=1)[:, :8].tolist()
    one, opposite = (measure(scores, [[]] * 30, truth, num_candidates=1)["mrr@10"] for scores in (table, -table))
    np.testing.assert_allclose(one + opposite, 1.5)


def test_figures_do_not_depend_on_the_size_of_blocks(monkeypatch):
    rng = np.random.default_rng(4)
    table = rng.standard_normal((25, 80))
    truth = [rng.integers(0, 80, size).tolist() for size in rng.integers(0, 9, 25)]
    whole = measure(table, [[]] * 25, truth, num_candidates=12)
    monkeypatch.setattr(sampled, "_PAIRS_PER_CHUNK", 3)
    for size in (1, 7):
        parts = measure(table, [[]] * 25, truth, num_candidates=12, users_per_block=size)
        for name, values in whole.items():
            np.testing.assert_array_equal(parts[name], values)


@given(st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=4), st.integers(1, 13), st.integers(0, 100))
def test_candidates_are_different_items_that_the_user_never_had(seen, count, seed):
    found = draw([sorted(had) for had in seen], 12, count, times=2, seed=seed)
    assert found.shape == (2 * len(seen), count)
    for had, items in zip(np.repeat(seen, 2), found.tolist(), strict=True):
        drawn = min(count, 12 - len(had))
        assert items[drawn:] == [PAD] * (count - drawn)
        assert len(set(items[:drawn])) == drawn
        assert set(items[:drawn]) <= set(range(12)) - had


def test_every_set_of_candidates_is_as_likely_as_any_other():
    # Never had: 0, 2, 3, 5, 6; ten pairs of them, 2,000 draws each of 20,000; the standard deviation is 42.
    found = draw([[1, 4, 4]], 7, 2, times=20_000)
    pairs = Counter(frozenset(pair) for pair in found.tolist())
    assert len(pairs) == 10
    assert all(abs(count - 2000) < 210 for count in pairs.values())


def test_each_test_item_has_candidates_of_its_own():
    found = draw([[0]], 1000, 5, times=2)
    assert found[0].tolist() != found[1].tolist()


def full(table, seen, truth, list_length, exclude=None):
    table = np.asarray(table, np.float32)
    exclude = seen if exclude is None else exclude
    lists = rank(Table(table), queries(seen), histories(exclude), histories(truth), list_length, 1024)
    return full_metrics(lists, histories(truth))


@given(data=st.data())
def test_with_every_other_item_as_a_candidate_both_ways_are_one(data):
    num_items, n = data.draw(st.integers(2, 30)), data.draw(st.integers(1, 4))
    scores = st.lists(st.integers(0, 5), min_size=num_items, max_size=num_items)
    table = data.draw(st.lists(scores, min_size=n, max_size=n))
    rows = st.lists(st.lists(st.integers(0, num_items - 1), max_size=num_items), min_size=n, max_size=n)
    truth = data.draw(rows)
    seen = [[item for item in row if item not in mine] for row, mine in zip(data.draw(rows), truth, strict=True)]
    found, expected = full(table, seen, truth, num_items), measure(table, seen, truth, num_items)
    for name, values in expected.items():
        # there is no rank among nobody; in a list of test items alone each of them is first
        known = ~np.isnan(values)
        np.testing.assert_allclose(found[name][known], values[known])


def test_both_ways_rank_a_test_item_among_what_was_had_where_lists_may_hold_it():
    # items 0, 1 and 3 are better than the test item 2: the user had 0 and 1
    one = {"table": [[9, 8, 6, 7, 5]], "seen": [[0, 1]], "truth": [[2]]}
    again, anew = one | {"exclude": [[]]}, one
    assert full(**again, list_length=5)["mrr@10"].tolist() == measure(**again)["mrr@10"].tolist() == [1 / 4]
    assert full(**anew, list_length=5)["mrr@10"].tolist() == measure(**anew)["mrr@10"].tolist() == [1 / 2]


@pytest.mark.parametrize("keeps_repeats", [False, True])
def test_figures_do_not_depend_on_the_number_of_batches(keeps_repeats):
    rng = np.random.default_rng(0)
    num_users, num_items = 12, 60
    had = [rng.choice(8, 6, replace=keeps_repeats).tolist() for _ in range(num_users)]
    nothing = histories([[]] * num_users)
    users = pd.DataFrame({"user_id": [str(user) for user in range(num_users)], "is_new": False})
    items = pd.DataFrame({"item_id": [str(item) for item in range(num_items)], "title": "x"})
    prepared = Prepared.encoded(users, items, FeatureEncoding(), histories([[9]] * num_users), nothing)
    prepared = replace(prepared, keeps_repeats=keeps_repeats)
    asked = EvaluateParams(cutoffs=(10,), list_length=10, users_per_block=2)
    of_split = EvalQueries(prepared, HeldOut(histories(had), nothing, nothing), asked, seed=42, sampled_candidates=20)
    model = PopularityRetriever(rng.random(num_items))

    def found(wanted):
        batches = of_split.batches(TEST, wanted)
        assert len(batches) == wanted
        return np.concatenate([UserBatch.measure(of_split, model, TEST, each).sampled["ndcg@10"] for each in batches])

    np.testing.assert_array_equal(found(3), found(1))
    np.testing.assert_array_equal(found(6), found(1))


def test_other_test_items_do_not_stand_before_a_test_item():
    found = full([[9, 8, 7, 6]], [[]], [[0, 1, 3]], 4)
    assert found["mrr@10"].tolist() == [pytest.approx((1 + 1 + 1 / 2) / 3)]


def test_a_list_too_short_to_tell_says_nothing():
    scores = np.arange(40)[::-1]
    # item 39 is beyond a list of 11, in which 10 others are: it is beyond the cutoff; in one of 10 it may be the tenth
    assert full([scores], [[]], [[0, 39]], 11)["hit_rate@10"].tolist() == [0.5]
    assert np.isnan(full([scores], [[]], [[0, 39]], 10)["hit_rate@10"]).all()
    assert np.isnan(full([scores], [[]], [[]], 10)["hit_rate@10"]).all()
