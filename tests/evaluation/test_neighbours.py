import numpy as np
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import PAD
from bakeoff.evaluation.item_space import directions, nearest


def neighbours(embeddings, count=2, items_per_block=100):
    return nearest(directions(np.asarray(embeddings, np.float32)), np.arange(len(embeddings)), count, items_per_block)


def test_items_that_point_the_same_way_are_nearest_whatever_their_length():
    # cosines of item 0: with 1, 1; with 2, 1/√2; with 3, −1
    found = neighbours([[1, 0], [9, 0], [2, 2], [-1, 0]], count=3)
    assert found.items[0].tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.scores[0], [1, np.sqrt(0.5), -1], rtol=1e-6)


def test_an_item_is_no_neighbour_of_its_own():
    found = neighbours(np.random.default_rng(0).standard_normal((20, 4)), count=19)
    assert not (found.items == np.arange(20)[:, None]).any()


def test_an_item_without_a_direction_has_no_neighbours_and_is_none():
    found = neighbours([[1, 0], [0, 0], [1, 1]])
    assert found.items.tolist() == [[2, PAD], [PAD, PAD], [0, PAD]]
    assert np.isneginf(found.scores[1]).all()


def test_equal_similarities_are_ordered_by_index():
    assert neighbours([[1, 1]] * 4, count=3).items.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_items_that_are_asked_about_find_the_same_neighbours_among_all_of_them():
    unit = directions(np.random.default_rng(3).standard_normal((30, 4)).astype(np.float32))
    unit[7] = 0
    everyone, some = nearest(unit, np.arange(30), 3, 100), nearest(unit, np.array([2, 7, 21]), 3, 100)
    assert some.items[[2, 21]].tolist() == everyone.items[[2, 21]].tolist()
    assert (np.delete(some.items, [2, 21], axis=0) == PAD).all()


def test_a_single_item_has_no_neighbours():
    assert neighbours([[1, 2]]).items.tolist() == [[PAD, PAD]]


def test_no_item_points_anywhere_without_embeddings():
    assert neighbours(np.zeros((3, 2))).items.tolist() == [[PAD, PAD]] * 3
    assert neighbours(np.zeros((0, 2))).items.shape == (0, 2)


def test_similarities_do_not_exceed_one():
    embeddings = np.repeat(np.random.default_rng(1).standard_normal((50, 7)), 2, axis=0)
    found = neighbours(embeddings)
    assert found.scores.max() <= 1
    assert found.items[::2, 0].tolist() == list(range(1, 100, 2))


def test_very_large_and_very_small_embeddings_have_a_direction_too():
    found = neighbours([[1e30, 0], [1e-30, 1e-32], [0, 1e30]], count=1)
    assert found.items[0].tolist() == [1]
    assert found.scores[0, 0] == pytest.approx(1, abs=1e-3)


def test_neighbours_are_those_of_the_definition_whatever_the_size_of_blocks():
    embeddings = np.random.default_rng(2).standard_normal((70, 5))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    expected = np.argsort(-cosines, axis=1)[:, :6]
    for size in (1, 9, 100):
        np.testing.assert_array_equal(neighbours(embeddings, 6, size).items, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_embeddings_that_are_no_numbers_are_refused(bad):
    with pytest.raises(BakeoffError, match=r"1 of 3 item embeddings hold NaN or infinity.*row 1.*learning rate"):
        directions(np.float32([[1], [bad], [2]]))
