from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.core.histories import PAD, Histories
from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.data.features.value_sets import value_sets
from bakeoff.evaluation.metrics import formulas
from bakeoff.evaluation.metrics.table import AllLists, popularity_per_user
from bakeoff.evaluation.ranking import TopLists

COUNTS = np.array([8, 4, 2, 1, 0])


def lists_of(items):
    items = np.array(items, np.int32)
    return TopLists(items, np.zeros(items.shape, np.float32))


LISTS = lists_of([[0, 1, 2], [3, 0, PAD], [PAD, PAD, PAD]])


def per_user(name, lists=LISTS, counts=COUNTS, num_users=8, users=None):
    """A popularity metric, named with its cutoff; each event is of a user of its own unless `users` is given."""
    users = counts if users is None else users
    nothing = Histories(np.zeros(len(lists) + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    return popularity_per_user(lists, nothing, counts, users, num_users, [int(name.partition("@")[2])])[name]


def lift(lists, histories):
    """Popularity lift of users who come one by one."""
    found = AllLists(5, [1])
    for both in zip(lists, histories, strict=True):
        listed, own = np.array(both, np.float64)[:, None]
        found.add(lists_of([[PAD]]), {"arp@1": listed, "history_arp": own})
    return found.figures()["popularity_lift@1"]


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


def test_novelty_counts_users_and_not_how_often_they_had_an_item():
    # item 0: 8 events of 2 of 4 users, 1 bit; item 1: 4 events of all 4, 0 bits, where counting events gives −1 and 0
    users = np.array([2, 4, 1, 1, 0])
    assert per_user("novelty@2", lists_of([[0, 1]]), num_users=4, users=users).tolist() == [0.5]


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


def histories_of(rows):
    owner = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([item for row in rows for item in row], np.int64)
    return Histories.from_rows(owner, items, np.zeros(len(items), np.int64), len(rows))


def test_a_hit_on_a_rare_item_counts_more_in_debiased_ndcg():
    # weights 1/φ at β = 1: 1/8 1/4 1/2 1 1 (the last has no interaction and counts as if it had one). Discounts 1 and
    # 1/log2(3) = d. User 0 likes items 0 and 2, and finds 0 first and 2 not: 1/8 of 1/2 + 1/8 d. User 1 likes 3 and
    # finds it first. User 2 has no list, user 3 no truth.
    lists = lists_of([[0, 1], [3, 0], [PAD, PAD], [0, 1]])
    truth = histories_of([[2, 0, 0], [3], [1], []])
    weights = formulas.popularity_weights(COUNTS, 1)
    assert weights.tolist() == [1 / 8, 1 / 4, 1 / 2, 1, 1]
    found = debiased(lists, truth, weights, 2)
    expected = 1 / 8 / (1 / 2 + 1 / 8 / log2(3))
    assert found == pytest.approx([expected, 1, 0, np.nan], nan_ok=True)
    # of one place, the ideal list has the rarest item alone
    assert debiased(lists, truth, weights, 1)[0] == pytest.approx((1 / 8) / (1 / 2))


@settings(max_examples=50)
@given(seed=st.integers(0, 100), k=st.integers(1, 6))
def test_debiased_ndcg_without_an_exponent_is_ndcg_and_the_ideal_list_has_one(seed, k):
    rng = np.random.default_rng(seed)
    lists = lists_of(np.argsort(rng.random((20, 9)), axis=1)[:, :5])
    truth = histories_of([rng.integers(0, 9, rng.integers(0, 7)) for _ in range(20)])
    counts = rng.integers(0, 50, 9)
    relevant, sizes = formulas.relevance(lists, truth), formulas.num_relevant(truth)
    plain = debiased(lists, truth, formulas.popularity_weights(counts, 0), k)
    np.testing.assert_allclose(plain, formulas.ndcg(relevant, sizes, k), atol=1e-12)
    weights = formulas.popularity_weights(counts, 0.5)
    best = np.full((20, 6), PAD, np.int32)
    for row, mine in zip(best, np.split(truth.items, truth.offsets[1:-1]), strict=True):
        items = np.unique(mine)
        row[: len(items)] = items[np.argsort(-weights[items], kind="stable")]
    ideal = debiased(lists_of(best), truth, weights, k)
    np.testing.assert_allclose(ideal[sizes > 0], 1)
    assert (debiased(lists, truth, weights, k)[sizes > 0] <= ideal[sizes > 0] + 1e-12).all()


def debiased(lists, truth, weights, k):
    return formulas.debiased_ndcg(lists, formulas.relevance(lists, truth), truth, weights, k)


def directions_of(tags, colours=None):
    sets = value_sets(*map(np.array, zip(*tags, strict=True)), 5, 3)
    codes = np.zeros((5, 0), np.int32) if colours is None else np.array(colours, np.int32)[:, None]
    sizes = () if colours is None else (2,)
    return EncodedFeatures(np.ones((5, 1), np.float32), codes, sizes, (sets,)).directions


# items 0 and 1 are comedies, 1 is a drama too, 2 is a drama, 3 has tag 2 alone, 4 none
TAGS = [(0, 0), (1, 0), (1, 1), (2, 1), (3, 2)]


def test_intra_list_diversity_is_the_mean_distance_of_pairs():
    # cosines: (0, 1) and (1, 2) √½, (0, 2) 0; items 3 and 4 share nothing with anyone
    found = formulas.intra_list_diversity(lists_of([[0, 1, 2], [3, 4, PAD], [0, PAD, PAD]]), directions_of(TAGS), 3)
    assert found == pytest.approx([1 - 2 * 0.5**0.5 / 3, 1, np.nan], nan_ok=True)
    assert formulas.intra_list_diversity(lists_of([[0, 1, 2]]), directions_of(TAGS), 2) == pytest.approx(1 - 0.5**0.5)


def test_categories_count_as_tags_do_and_numbers_do_not():
    # items 0 and 2 have colour 1, item 1 colour 2, the others none: 0 is (comedy, colour 1), 2 is (drama, colour 1)
    directions = directions_of(TAGS, [1, 2, 1, 0, 0])
    assert directions.shape == (5, 5)
    assert formulas.intra_list_diversity(lists_of([[0, 2]]), directions, 2) == pytest.approx(1 / 2)


def test_without_features_there_is_no_diversity():
    nothing = EncodedFeatures(np.ones((5, 1), np.float32), np.zeros((5, 0), np.int32), ()).directions
    assert nothing.shape == (5, 0)
    assert np.isnan(formulas.intra_list_diversity(LISTS, nothing, 2)).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 100))
def test_diversity_of_blocks_is_that_of_every_pair(seed):
    rng = np.random.default_rng(seed)
    tags = [(item, tag) for item in range(5) for tag in range(3) if rng.random() < 0.5] or [(0, 0)]
    directions = directions_of(tags)
    lists = lists_of(np.argsort(rng.random((7, 5)), axis=1)[:, :4])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formulas, "_LISTS_PER_BLOCK", 2)
        found = formulas.intra_list_diversity(lists, directions, 4)
    cosines = (directions @ directions.T).toarray()
    pairs = [[1 - cosines[i, j] for i in row for j in row if i != j] for row in lists.items]
    assert found == pytest.approx([np.mean(row) for row in pairs])
