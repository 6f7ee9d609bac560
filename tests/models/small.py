"""Small histories, features and settings that the tests of the models share."""

import numpy as np

from bakeoff.core.histories import Histories, Queries
from bakeoff.data.features.encoding import EncodedFeatures
from bakeoff.models.neural.spec import SoftmaxParams, TwoTowerParams

FAST = SoftmaxParams(
    dim=8,
    hidden=(8,),
    max_epochs=20,
    users_per_batch=4,
    cuts_per_user=4,
    target_window=3,
    learning_rate=0.02,
    recency_scales=(1.0, 8.0),
    dropout=0.1,
    max_history=64,
)
"""A softmax DNN that trains in a second."""

FAST_TWO_TOWER = TwoTowerParams(**FAST.model_dump(exclude={"negatives"}), item_hidden=(8,))
"""The same for the two-tower model."""


def histories(rows, start=1_000):
    """Lists of item indices → Histories, a second between events."""
    lengths = [len(row) for row in rows]
    items = np.array([item for row in rows for item in row], np.int32)
    times = np.array([start + place for length in lengths for place in range(length)], np.int64)
    return Histories.from_rows(np.repeat(np.arange(len(rows)), lengths), items, times, len(rows))


def queries(rows, num_dense=0, num_categorical=0, start=1_000):
    """Lists of item indices → Queries of people of whom nothing else is known."""
    shape = (len(rows), num_dense)
    codes = np.zeros((len(rows), num_categorical), np.int32)
    return Queries(histories(rows, start), np.zeros(shape, np.float32), codes)


def numbered(rows):
    """Queries of people whose features tell who they are: row u has dense [u, 10 u] and the code u."""
    number = np.arange(len(rows))[:, np.newaxis]
    return Queries(histories(rows), (number * [1, 10]).astype(np.float32), number.astype(np.int32))


def no_features(size):
    return EncodedFeatures(np.zeros((size, 0), np.float32), np.zeros((size, 0), np.int32), ())


def random_rows(rng, num_users, num_items, longest):
    """One list of distinct items per user, 0 to `longest` of them."""
    return [rng.choice(num_items, rng.integers(0, longest + 1), replace=False).tolist() for _ in range(num_users)]
