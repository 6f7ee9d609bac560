"""Lists become metrics: ties count against the system."""

import numpy as np
import pyarrow as pa
import pytest
import tiny_bench as tiny
from harness.score import over_seeds_too, per_user, read_lists, with_intervals
from peers.lists import top_lists, write_lists

ROWS = np.array([0, 1, 2])
TRUTH = tiny.histories([0, 0, 1, 1, 2, 2], [4, 5, 4, 5, 4, 5])


def lists_of(scores, tmp_path, data=None, length=6):
    data = tiny.data() if data is None else data
    table = top_lists(lambda rows: np.broadcast_to(np.float32(scores), (len(rows), 6)), data, length)
    write_lists(tmp_path / "lists.parquet", table)
    return read_lists(tmp_path / "lists.parquet", ROWS, TRUTH, length)


def test_best_items_come_first_and_what_a_user_had_is_left_out(tmp_path):
    lists = lists_of([6, 5, 4, 3, 2, 1], tmp_path)
    assert lists.items.tolist() == [[1, 2, 3, 4, 5, -1], [0, 2, 3, 4, 5, -1], [0, 1, 3, 4, 5, -1]]


def test_equal_scores_put_hits_last(tmp_path):
    lists = lists_of([0, 0, 0, 0, 0, 0], tmp_path)
    assert lists.items[0].tolist() == [1, 2, 3, 4, 5, -1]
    # hits at ranks 4 and 5 of 5: (1/log2 5 + 1/log2 6) / (1 + 1/log2 3)
    expected = (1 / np.log2(5) + 1 / np.log2(6)) / (1 + 1 / np.log2(3))
    assert per_user(lists, TRUTH.take(ROWS))["ndcg@10"][0] == pytest.approx(expected)


def test_a_tie_gains_nothing_over_ranking_the_hits_last(tmp_path):
    tied = per_user(lists_of([0, 0, 0, 0, 0, 0], tmp_path), TRUTH.take(ROWS))
    last = per_user(lists_of([6, 5, 4, 3, 1, 0], tmp_path), TRUTH.take(ROWS))
    assert tied["ndcg@10"].tolist() == last["ndcg@10"].tolist()


def test_recall_of_all_divides_by_all_that_is_to_be_found():
    items = np.arange(25)
    truth = tiny.histories(np.zeros(25, int), items, 1)
    data = tiny.data(tiny.histories(np.zeros(0, int), np.zeros(0, int), 1), rows=[0], num_items=30)
    table = top_lists(lambda rows: -np.arange(30, dtype=np.float32)[np.newaxis], data, 20)
    assert table.num_rows == 20
    from bakeoff.evaluation.ranking import TopLists

    lists = TopLists(table["item"].to_numpy()[np.newaxis], table["score"].to_numpy()[np.newaxis])
    scores = per_user(lists, truth)
    assert scores["recall@20"].tolist() == [1.0]
    assert scores["recall_of_all@20"].tolist() == [20 / 25]


def test_lists_of_somebody_who_was_not_asked_are_refused(tmp_path):
    table = pa.table({"row": [3], "rank": [1], "item": [0], "score": np.float32([1])})
    write_lists(tmp_path / "lists.parquet", table)
    with pytest.raises(ValueError, match="not asked"):
        read_lists(tmp_path / "lists.parquet", ROWS, TRUTH, 6)


def test_an_item_twice_in_a_list_is_refused(tmp_path):
    table = pa.table({"row": [1, 1], "rank": [1, 2], "item": [4, 4], "score": np.float32([2, 1])})
    write_lists(tmp_path / "lists.parquet", table)
    with pytest.raises(ValueError, match="twice"):
        read_lists(tmp_path / "lists.parquet", ROWS, TRUTH, 6)


def test_a_user_without_a_list_scores_nothing(tmp_path):
    table = pa.table({"row": [0], "rank": [1], "item": [4], "score": np.float32([1])})
    write_lists(tmp_path / "lists.parquet", table)
    scores = per_user(read_lists(tmp_path / "lists.parquet", ROWS, TRUTH, 6), TRUTH.take(ROWS))
    assert scores["recall@20"].tolist() == [0.5, 0, 0]


def test_a_score_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        lists_of([np.nan, 0, 0, 0, 0, 0], tmp_path)


def test_an_interval_holds_its_mean_and_equal_values_have_one_of_length_zero():
    found = with_intervals({"a": np.array([0.0, 1.0] * 50), "b": np.ones(100)}, 1, 500)
    mean, low, high = found["a"]
    assert low < mean == 0.5 < high
    assert found["b"] == (1, 1, 1)


def test_seeds_widen_an_interval_by_the_root_of_the_sum_of_squares():
    """Of two seeds that differ by 0.2 the mean has a standard error of 0.1, which Student's t takes 12.706 times."""
    assert over_seeds_too((0.5, 0.2, 0.6), [0.5]) == pytest.approx((0.5, 0.2, 0.6))
    away = 12.7062
    mean, low, high = over_seeds_too((0.5, 0.2, 0.6), [0.4, 0.6])
    assert (mean, low, high) == pytest.approx((0.5, 0.5 - np.hypot(0.3, 0.1 * away), 0.5 + np.hypot(0.1, 0.1 * away)))
    both = over_seeds_too((0.0, 0.0, 0.0), [0.4, 0.6], [0.1, 0.3])
    assert both == pytest.approx((0, -np.hypot(1, 1) * 0.1 * away, np.hypot(1, 1) * 0.1 * away), rel=1e-4)


def test_seeds_that_reach_the_same_change_nothing():
    assert over_seeds_too((0.5, 0.2, 0.6), [0.5, 0.5, 0.5]) == pytest.approx((0.5, 0.2, 0.6))
