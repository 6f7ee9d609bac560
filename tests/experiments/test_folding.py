import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bakeoff.core.histories import PAD
from bakeoff.experiments.folding import Calibration, Relatedness, calibrate, folding_per_user, off_group_at_k


def test_a_score_is_worth_the_chance_that_it_is_of_a_positive():
    # Score 2 has 2 of 3 positives and 1 of 4 random pairs: (2/3) / (2/3 + 1/4) = 8/11.
    calibration = calibrate(np.array([2.0, 2.0, 3.0]), np.array([0.0, 1.0, 1.0, 2.0]))
    assert calibration(np.array([0.0, 1.0, 2.0, 3.0])) == pytest.approx([0, 0, 8 / 11, 1])


def test_scores_that_violate_the_order_are_pooled():
    # Alone, scores 1 and 2 would be worth 1 and 0; together they have half of either: 1/2.
    calibration = calibrate(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0.0, 0.0, 2.0, 2.0]))
    assert calibration(np.array([0.0, 1.0, 1.5, 2.0, 3.0])) == pytest.approx([0, 0.5, 0.5, 0.5, 1])


def test_scores_between_and_beyond_those_that_were_seen_are_worth_what_lies_between_and_at_the_ends():
    calibration = calibrate(np.array([3.0]), np.array([1.0]))
    assert calibration(np.array([[-9.0, 2.0], [2.5, 9.0]])) == pytest.approx(np.array([[0, 0.5], [0.75, 1]]))


def test_ties_of_everything_tell_nothing():
    calibration = calibrate(np.full(5, 0.3), np.full(7, 0.3))
    assert calibration(np.array([-1.0, 0.3, 8.0])) == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize(("positives", "random"), [([], [1.0]), ([1.0], []), ([], [])])
def test_without_positives_or_random_pairs_nothing_can_be_said(positives, random):
    assert np.isnan(calibrate(np.array(positives), np.array(random))(np.array([0.0, 1.0]))).all()


SCORES = hnp.arrays(np.float32, st.integers(1, 30), elements=st.integers(-8, 8).map(float))


@given(positives=SCORES, random=SCORES)
def test_calibration_keeps_the_order_stays_within_bounds_and_knows_no_scale(positives, random):
    every = np.arange(-10, 11, 0.5, np.float32)
    values = calibrate(positives, random)(every)
    assert (np.diff(values) >= 0).all()
    assert values.min() >= 0
    assert values.max() <= 1
    assert calibrate(4 * positives - 8, 4 * random - 8)(4 * every - 8) == pytest.approx(values)


def test_folding_is_the_mean_of_what_scores_claim_beyond_the_relatedness():
    # Claimed too much: .6 and .2; what is claimed too little (.5 against .8) counts nothing. (.6 + .2) / 4 = .2
    scores = np.array([[1.0, 0.5], [0.2, 0.0]])
    related = np.array([[0.4, 0.8], [0.0, 0.0]])
    assert folding_per_user(scores, related).mean() == pytest.approx(0.2)
    assert folding_per_user(scores, related) == pytest.approx([0.3, 0.1])


def test_scores_that_equal_the_relatedness_do_not_fold_and_the_opposite_folds_wholly():
    related = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert folding_per_user(related, related).tolist() == [0] * len(related)
    assert folding_per_user(np.ones((2, 2)), np.zeros((2, 2))).tolist() == [1, 1]


def test_folding_of_nobody_or_of_no_item_is_not_defined():
    assert folding_per_user(np.zeros((0, 3)), np.zeros((0, 3))).tolist() == []
    assert np.isnan(folding_per_user(np.zeros((2, 0)), np.zeros((2, 0)))).all()


def spurious_at_k(lists, related, k, threshold):
    """With this relatedness of the users to all items, [n, num_items]."""
    same = Calibration(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    relatedness = Relatedness(related.astype(np.float32), np.eye(related.shape[1], dtype=np.float32), same, threshold)
    return relatedness.spurious_at_k(lists, np.arange(len(related)), k)


def test_an_item_below_the_threshold_is_spurious_and_one_at_it_is_not():
    # User 0 is given items 2, 0, 1 with relatedness .1, .5, .9; user 1 items 0, 1 with .2 and .3.
    lists = np.array([[2, 0, 1], [0, 1, PAD]], np.int32)
    related = np.array([[0.5, 0.9, 0.1], [0.2, 0.3, 0.9]])
    assert spurious_at_k(lists, related, k=3, threshold=0.5) == pytest.approx([1 / 3, 1])
    assert spurious_at_k(lists, related, k=1, threshold=0.25) == pytest.approx([1, 1])


def test_an_empty_list_has_no_share_of_anything():
    nothing = np.full((1, 2), PAD, np.int32)
    assert np.isnan(spurious_at_k(nothing, np.zeros((1, 3)), 2, 0.5)).all()
    assert np.isnan(off_group_at_k(nothing, np.array([0]), np.array([0, 0, 0]), 2)).all()


def test_off_group_is_the_share_of_the_list_that_is_of_other_groups():
    # Items 0 and 2 are of group 0, item 1 of group 1; the padding is of no group.
    item_groups = np.array([0, 1, 0])
    lists = np.array([[0, 1], [0, 1], [2, PAD]], np.int32)
    assert off_group_at_k(lists, np.array([0, 1, 1]), item_groups, k=2) == pytest.approx([0.5, 0.5, 1])
    assert off_group_at_k(lists, np.array([0, 1, 1]), item_groups, k=1) == pytest.approx([0, 1, 1])
