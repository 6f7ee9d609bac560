from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.core.histories import PAD, Histories
from bakeoff.evaluation.metrics import formulas
from bakeoff.evaluation.metrics.table import ListTotals, popularity_per_user
from bakeoff.evaluation.ranking import TopLists

COUNTS = np.array([8, 4, 2, 1, 0])


def lists_of(items):
    items = np.array(items, np.int32)
    return TopLists(items, np.zeros(items.shape, np.float32))


LISTS = lists_of([[0, 1, 2], [3, 0, PAD], [PAD, PAD, PAD]])


def per_user(name, lists=LISTS, counts=COUNTS, num_users=8):
    """A popularity metric, named with its cutoff."""
    nothing = Histories(np.zeros(len(lists) + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    return popularity_per_user(lists, nothing, counts, num_users, [int(name.partition("@")[2])])[name]


def lift(lists, histories):
    """Popularity lift of users who come one by one."""
    found = ListTotals(np.zeros(5, np.int64))
    for both in zip(lists, histories, strict=True):
        listed, own = np.array(both, np.float64)[:, None]
        found.add(np.zeros(5, np.int64), listed, own)
    return found.popularity_lift()


def test_average_popularity_is_the_mean_count_of_the_list():
    # user 0: (8 + 4) / 2; user 1: (1 + 8) / 2; user 2 has no list
    assert per_user("arp@2") == pytest.approx([6, 4.5, np.nan], nan_ok=True)


def test_padding_does_not_lower_the_average():
    # user 1 has two items although three were asked for; PAD would be the last item, count 0
    assert per_user("arp@3")[1] == pytest.approx(4.5)


def test_history_popularity_counts_every_event():
    histories = Histories.from_rows(np.array([0, 0, 0, 2]), np.array([0, 0, 3, 4]), np.zeros(4, np.int64), 3)
    # user 0: (8 + 8 + 1) / 3; user 1 has no history; user 2: item 4 has no count
    assert formulas.history_popularity(histories, COUNTS) == pytest.approx([17 / 3, np.nan, 0], nan_ok=True)


def test_lists_twice_as_popular_as_histories_have_lift_one():
    assert lift([6, 2], [3, 1]) == 1


def test_lift_is_over_users_who_have_both():
    # user 0 has no list, user 1 no history: only user 2 counts, 5 / 4 − 1
    assert lift([np.nan, 9, 5], [1, np.nan, 4]) == 0.25


def test_lift_without_popularity_in_histories_is_not_defined():
    assert np.isnan(lift([1], [0]))
    assert np.isnan(lift([], []))


def test_novelty_is_the_mean_surprise_in_bits():
    # of 8 users all have item 0 (0 bits) and half have item 1 (1 bit)
    assert per_user("novelty@2")[0] == pytest.approx(0.5)


def test_an_item_that_nobody_has_is_as_novel_as_one_that_one_user_has():
    assert per_user("novelty@1", lists_of([[3], [4]])).tolist() == [log2(8), log2(8)]


def test_the_head_is_the_shortest_run_that_gathers_its_share():
    # 15 interactions, 80 % are 12: items 0 and 1 have exactly 12
    assert formulas.long_tail(COUNTS).tolist() == [False, False, True, True, True]


def test_an_item_that_crosses_the_share_belongs_to_the_head():
    # 16 interactions, 80 % are 12.8: items 0 and 1 have 12, so the third is needed
    assert formulas.long_tail(np.array([2, 8, 2, 4])).tolist() == [False, False, True, False]


def test_without_interactions_everything_is_tail():
    assert formulas.long_tail(np.zeros(3, np.int64)).all()


def test_long_tail_share_is_per_list():
    # user 0: item 2 of 3; user 1: item 3 of 2 items
    assert per_user("long_tail_share@3") == pytest.approx([1 / 3, 1 / 2, np.nan], nan_ok=True)


def test_coverage_is_the_share_of_items_in_any_list():
    # items 0, 1 and 3 within the first two ranks, of five
    assert formulas.coverage(formulas.slots(LISTS, 5, 2)) == pytest.approx(3 / 5)


def test_equal_slots_have_gini_zero():
    assert formulas.gini(formulas.slots(lists_of([[0, 1], [2, 3]]), 4, 2)) == 0


def test_one_item_in_all_slots_has_gini_one():
    assert formulas.gini(formulas.slots(lists_of([[2], [2]]), 4, 1)) == pytest.approx(1)


def test_gini_by_hand():
    # slots 0, 1, 3 of 4: Σ (2j − 4) p_j / 2 = (−2·0 + 0·1/4 + 2·3/4) / 2 = 3/4
    assert formulas.gini(formulas.slots(lists_of([[1], [2], [2], [2]]), 3, 1)) == pytest.approx(0.75)


def test_gini_of_a_single_item_is_zero_and_of_no_slot_nan():
    assert formulas.gini(formulas.slots(lists_of([[0]]), 1, 1)) == 0
    assert np.isnan(formulas.gini(formulas.slots(lists_of([[PAD]]), 3, 1)))


@settings(deadline=None)
@given(rows=st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6), min_size=1, max_size=6))
def test_list_figures_equal_their_definitions(rows):
    counts = np.arange(10, 0, -1)
    lists = lists_of([row + [PAD] * (6 - len(row)) for row in rows])
    tops = [row[:4] for row in rows]
    arp = [np.mean([counts[i] for i in top]) if top else np.nan for top in tops]
    miuf = [-np.mean([log2(counts[i] / 10) for i in top]) if top else np.nan for top in tops]
    np.testing.assert_allclose(per_user("arp@4", lists, counts), arp)
    np.testing.assert_allclose(per_user("novelty@4", lists, counts, 10), miuf, atol=1e-12)
    assert formulas.coverage(formulas.slots(lists, 10, 4)) == len({i for top in tops for i in top}) / 10
