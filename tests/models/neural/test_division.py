"""What a worker has of a table that is divided; real workers divide one in test_several_workers.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.division import Division

TABLE = np.random.default_rng(0).standard_normal((11, 3)).astype(np.float32)
ROWS = np.array([0, 10, 3, 4, 7], np.int32)


def divisions(count):
    return [Division(SimpleNamespace(index=index, count=count), len(TABLE)) for index in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_every_row_is_of_one_worker(count):
    rows = np.concatenate([np.arange(len(TABLE))[division.own] for division in divisions(count)])
    assert sorted(rows) == list(range(len(TABLE)))
    assert [division.num_own for division in divisions(count)] == [len(TABLE[d.own]) for d in divisions(count)]


def test_own_rows_are_found_from_any_row_on():
    for division in divisions(3):
        rows = np.arange(len(TABLE))
        own = rows[division.own]
        for start in range(len(TABLE)):
            assert rows[start:][division.own_from(start)].tolist() == own[own >= start].tolist()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_all_add_are_the_rows(count):
    added = [division.share_of(tf.constant(TABLE[division.own]), tf.constant(ROWS)) for division in divisions(count)]
    np.testing.assert_array_equal(np.sum(added, axis=0), TABLE[ROWS])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_gets_the_gradient_of_its_own_rows(count):
    gradient = np.arange(len(ROWS) * 3, dtype=np.float32).reshape(-1, 3)
    whole = np.zeros_like(TABLE)
    whole[ROWS] = gradient
    for division in divisions(count):
        own = tf.convert_to_tensor(division.own_gradient(tf.constant(gradient), tf.constant(ROWS)))
        np.testing.assert_array_equal(own, whole[division.own])


def test_a_worker_without_any_row_of_a_step_changes_nothing():
    [_, other] = divisions(2)
    gradient = other.own_gradient(tf.ones([2, 3]), tf.constant([0, 2]))
    assert gradient.indices.shape == (0,)
    assert gradient.dense_shape == (5, 3)
