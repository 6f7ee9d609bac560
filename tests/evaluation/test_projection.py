import numpy as np
import pytest

from bakeoff.evaluation.item_space import DECIMALS, directions, project


def groups(count, size, dim=16, noise=0.2):
    """Items of `count` groups around as many axes, [count · size, dim], and the group of each."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(count), size)
    return directions(np.float32(np.eye(dim)[group] + noise * rng.standard_normal((count * size, dim)))), group


def test_groups_lie_apart():
    unit, group = groups(3, 25)
    places = project(unit, seed=0)
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (group[distance.argmin(axis=1)] == group).mean() > 0.95
    centres = np.stack([places[group == g].mean(axis=0) for g in range(3)])
    spread = max(np.linalg.norm(places[group == g] - centres[g], axis=1).mean() for g in range(3))
    assert min(np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > 2 * spread


def test_the_same_embeddings_give_the_same_bytes():
    unit, _ = groups(2, 15)
    assert project(unit, seed=3).tobytes() == project(unit, seed=3).tobytes()


def test_coordinates_fill_the_square_and_have_few_digits():
    places = project(groups(2, 15)[0], seed=0)
    assert places.dtype == np.float32
    assert np.abs(places).max() == 1
    np.testing.assert_array_equal(places, places.round(DECIMALS))


def test_a_few_items_are_laid_out_by_principal_components():
    # Angles of 0°, 10° and 60°: along the first component the middle one lies nearer to the first.
    angle = np.radians([0, 10, 60])
    places = project(np.float32(np.stack([np.cos(angle), np.sin(angle)], axis=1)), seed=0)
    assert abs(places[1, 0] - places[0, 0]) < abs(places[1, 0] - places[2, 0])
    assert np.abs(places[:, 0]).max() == 1


@pytest.mark.parametrize("count", [0, 1, 2, 5, 30])
def test_items_that_all_point_one_way_lie_at_the_origin(count):
    unit = directions(np.ones((count, 3), np.float32))
    np.testing.assert_array_equal(project(unit, seed=0), np.zeros((count, 2)))


@pytest.mark.parametrize("count", [10, 11, 40])
def test_groups_of_items_that_are_equal_have_finite_places(count):
    unit = directions(np.float32(np.eye(4)[np.arange(count) % 2]))
    assert np.isfinite(project(unit, seed=0)).all()


def test_two_dimensions_are_enough():
    unit = directions(np.random.default_rng(0).standard_normal((20, 2)).astype(np.float32))
    assert project(unit, seed=0).shape == (20, 2)
