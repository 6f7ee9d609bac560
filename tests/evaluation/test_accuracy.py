from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.core.histories import PAD, Histories
from bakeoff.evaluation.metrics import formulas
from bakeoff.evaluation.ranking import TopLists


def relevant(*ranks, length=5):
    """One user whose hits are at these ranks, counted from 1."""
    return np.isin(np.arange(1, length + 1), ranks)[None, :]


def sizes(*values):
    return np.asarray(values, np.int64)


def lists(rows, k):
    items = np.asarray([row + [PAD] * (k - len(row)) for row in rows], np.int32)
    return TopLists(items, np.zeros(items.shape, np.float32))


def histories(rows):
    lengths = [len(row) for row in rows]
    items = np.asarray([i for row in rows for i in row], np.int64)
    rows_of = np.repeat(np.arange(len(rows)), lengths)
    return Histories.from_rows(rows_of, items, np.zeros(len(items), np.int64), len(rows))


def test_relevance_marks_hits_of_each_user_apart():
    # item 3 is truth of the second user only
    assert formulas.relevance(lists([[3, 1], [3, 1]], 2), histories([[1], [3]])).tolist() == [
        [False, True],
        [True, False],
    ]


def test_padding_is_never_a_hit():
    # without care −1 of the second user is the largest item of the first
    assert not formulas.relevance(lists([[0], []], 2), histories([[2], [0]])).any()


def test_relevance_without_any_truth_is_empty():
    assert not formulas.relevance(lists([[0, 1]], 2), histories([[]])).any()


def test_repeats_in_the_truth_count_once():
    assert formulas.num_relevant(histories([[4, 4, 2], [], [4]])).tolist() == [2, 0, 1]


def test_recall_divides_by_the_truth_where_it_is_smaller_than_k():
    # one of two test items is among the first 5
    assert formulas.recall(relevant(4), sizes(2), 5) == pytest.approx([1 / 2])


def test_recall_divides_by_k_where_the_truth_is_larger():
    # 2 hits among the first 5, 40 test items: a perfect list would have 5
    assert formulas.recall(relevant(1, 5), sizes(40), 5) == pytest.approx([2 / 5])


def test_hits_after_k_do_not_count():
    hits = relevant(3)
    for metric in (formulas.recall, formulas.ndcg, formulas.mrr, formulas.hit_rate):
        assert metric(hits, sizes(1), 2) == [0]
        assert metric(hits, sizes(1), 3) > [0]


def test_second_rank_hit_scores_one_over_log2_of_three():
    # one relevant item at rank 2: DCG = 1/log2(3), ideal = 1
    assert formulas.ndcg(relevant(2), sizes(1), 5) == pytest.approx([1 / log2(3)])


def test_ideal_gain_ends_at_the_size_of_the_truth():
    # hits at 1 and 3 of 2 test items: (1 + 1/2) / (1 + 1/log2(3))
    assert formulas.ndcg(relevant(1, 3), sizes(2), 5) == pytest.approx([1.5 / (1 + 1 / log2(3))])


def test_ideal_gain_ends_at_k():
    # hits at both of the first 2 ranks, 10 test items
    assert formulas.ndcg(relevant(1, 2), sizes(10), 2) == pytest.approx([1])


def test_reciprocal_rank_is_that_of_the_first_hit():
    assert formulas.mrr(relevant(3, 4), sizes(2), 5) == pytest.approx([1 / 3])


def test_hit_rate_is_one_with_any_hit():
    assert formulas.hit_rate(relevant(2, 5), sizes(7), 5).tolist() == [1]


@pytest.mark.parametrize("metric", [formulas.recall, formulas.ndcg, formulas.mrr, formulas.hit_rate])
def test_no_hit_is_zero_and_no_truth_is_nan(metric):
    values = metric(np.zeros((2, 5), np.bool_), sizes(3, 0), 5)
    assert values[0] == 0
    assert np.isnan(values[1])
    assert values.dtype == np.float64


@pytest.mark.parametrize("metric", [formulas.recall, formulas.ndcg, formulas.mrr, formulas.hit_rate])
def test_ranks_beyond_the_end_of_the_list_hold_no_hit(metric):
    short = metric(relevant(2, length=3), sizes(9), 8)
    assert short == metric(relevant(2, length=8), sizes(9), 8)


def naive(items, truth, k):
    """The definitions, one user at a time."""
    truth, top = set(truth), items[:k]
    if not truth:
        return [np.nan] * 4
    ranks = [r for r, i in enumerate(top, start=1) if i in truth]
    ideal = sum(1 / log2(r + 1) for r in range(1, min(k, len(truth)) + 1))
    return [
        len(ranks) / min(k, len(truth)),
        sum(1 / log2(r + 1) for r in ranks) / ideal,
        1 / ranks[0] if ranks else 0,
        float(bool(ranks)),
    ]


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_metrics_equal_their_definitions(data):
    n, k = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 8))
    rows = data.draw(st.lists(st.lists(st.integers(0, 15), unique=True, max_size=8), min_size=n, max_size=n))
    truth = data.draw(st.lists(st.lists(st.integers(0, 15), max_size=10), min_size=n, max_size=n))
    hits = formulas.relevance(lists(rows, 8), histories(truth))
    counts = formulas.num_relevant(histories(truth))
    metrics = (formulas.recall, formulas.ndcg, formulas.mrr, formulas.hit_rate)
    found = np.stack([metric(hits, counts, k) for metric in metrics], axis=1)
    np.testing.assert_allclose(found, [naive(row, t, k) for row, t in zip(rows, truth, strict=True)])
