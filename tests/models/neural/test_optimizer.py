import numpy as np
import pytest

from bakeoff.models.base.tensorflow import tf
from bakeoff.models.neural.trainer import LazyAdam

START = np.arange(8, dtype=np.float32).reshape(4, 2) / 10


def of_rows(values, rows):
    """Gradient of an embedding table with 4 rows."""
    return tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(rows), tf.constant([4, 2]))


def after(optimizer, gradients):
    """The table after these steps."""
    table = tf.Variable(START)
    for gradient in gradients:
        optimizer.apply_gradients([(gradient, table)])
    return table.numpy()


def random_gradients(steps, num_rows=4):
    return np.random.default_rng(0).normal(0, 1, (steps, num_rows, 2)).astype(np.float32)


def schedule():
    return tf.keras.optimizers.schedules.CosineDecay(0.1, 10)


def test_where_every_step_touches_every_row_it_is_adam():
    order = [2, 0, 3, 1]
    ours = after(LazyAdam(schedule()), [of_rows(values, order) for values in random_gradients(5)])
    sparse, dense = (
        after(tf.keras.optimizers.legacy.Adam(schedule()), gradients)
        for gradients in (
            [of_rows(values, order) for values in random_gradients(5)],
            [tf.constant(values[np.argsort(order)]) for values in random_gradients(5)],
        )
    )
    assert np.abs(ours - START).min() > 1e-3
    assert ours == pytest.approx(sparse, abs=1e-6)
    assert ours == pytest.approx(dense, abs=1e-6)


def test_dense_gradients_are_left_to_adam():
    gradients = [tf.constant(values) for values in random_gradients(3)]
    ours, theirs = (after(kind(schedule()), gradients) for kind in (LazyAdam, tf.keras.optimizers.legacy.Adam))
    assert ours.tolist() == theirs.tolist()


def test_rows_that_a_step_does_not_touch_rest():
    optimizer, table = LazyAdam(0.1), tf.Variable(START)
    first, second = random_gradients(2)
    optimizer.apply_gradients([(of_rows(first, range(4)), table)])
    tables = [table, optimizer.get_slot(table, "m"), optimizer.get_slot(table, "v")]
    before = [each.numpy() for each in tables]
    optimizer.apply_gradients([(of_rows(second[:2], [3, 1]), table)])
    moved = [np.abs(each.numpy() - old).min(axis=1) > 0 for each, old in zip(tables, before, strict=True)]
    assert [each.tolist() for each in moved] == [[False, True, False, True]] * 3


def test_gradients_of_a_row_that_is_looked_up_twice_are_summed():
    first, second = random_gradients(2, num_rows=3)
    twice = [of_rows(values, [1, 3, 1]) for values in (first, second)]
    once = [of_rows([values[0] + values[2], values[1]], [1, 3]) for values in (first, second)]
    assert after(LazyAdam(0.1), twice) == pytest.approx(after(LazyAdam(0.1), once), abs=1e-6)
