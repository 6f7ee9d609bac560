"""A split in memory, with features on both sides, and settings that train on it in a second."""

import numpy as np
import pandas as pd

from bakeoff.core.histories import Histories
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.params import Params

PARAMS = Params.model_validate(
    {
        "seed": 7,
        "ease": {"regularization": 2},
        "mf": {"dim": 4, "max_epochs": 6},
        "softmax": {"dim": 4, "hidden": [4], "max_epochs": 6, "users_per_batch": 4, "cuts_per_user": 2},
        "two_tower": {"dim": 4, "hidden": [4], "item_hidden": [4], "max_epochs": 2, "users_per_batch": 4},
        "evaluate": {"cutoffs": [2, 10], "list_length": 10, "first_interactions": [0, 1]},
        "evidence": {"new_item_share": 0.3},
    }
)

NUM_WARM, NUM_NEW, NUM_ITEMS = 20, 2, 15


def histories(rows, start=1_000):
    """Lists of item indices, one per user → Histories, a second between events."""
    lengths = [len(row) for row in rows]
    times = np.array([start + place for length in lengths for place in range(length)], np.int64)
    items = np.array([item for row in rows for item in row], np.int32)
    return Histories.from_rows(np.repeat(np.arange(len(rows)), lengths), items, times, len(rows))


def prepared(train, valid, num_items=NUM_ITEMS):
    """Rows of warm and of new users, those of the latter empty; item j is of the year 2000 + j."""
    rng = np.random.default_rng(0)
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(len(train))], "is_new": [not row for row in train]})
    users = users.assign(age=rng.normal(40, 10, len(users)))
    known = np.bincount([item for row in train for item in row], minlength=num_items)
    more = np.bincount([item for row in valid for item in row], minlength=num_items)
    items = pd.DataFrame({"item_id": [f"i{j}" for j in range(num_items)], "year": 2000.0 + np.arange(num_items)})
    items = items.assign(title=items["item_id"], train_count=known, fit_count=known + more)
    encoding = FeatureEncoding.model_validate(
        {"user": {"dense": {"age": {"mean": 40, "std": 10}}}, "item": {"dense": {"year": {"mean": 2007, "std": 4}}}}
    )
    return Prepared.encoded(users, items, encoding, histories(train), histories(valid, start=2_000))


def world():
    """Twenty warm users with four train events, one of validation and one of test, and two new users."""
    rng = np.random.default_rng(1)
    drawn = [rng.choice(NUM_ITEMS, 6, replace=False).tolist() for _ in range(NUM_WARM + NUM_NEW)]
    warm, new = drawn[:NUM_WARM], drawn[NUM_WARM:]
    nobody, no_news = [[]] * NUM_NEW, [[]] * NUM_WARM
    split = prepared([row[:4] for row in warm] + nobody, [row[4:5] for row in warm] + nobody)
    held_out = HeldOut(
        test=histories([row[5:] for row in warm] + nobody, start=3_000),
        new_history=histories(no_news + [row[:5] for row in new]),
        new_test=histories(no_news + [row[5:] for row in new], start=3_000),
    )
    return split, held_out
