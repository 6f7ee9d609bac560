"""A split cut down to a part of its users: what is trained dozens of times need not learn from millions."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.data.prepared.tables import HeldOut, Prepared


def of_users(prepared: Prepared, users: NDArray[np.int64]) -> Prepared:
    """The split of these users, warm ones first as before; the catalogue stays.

    Args:
        prepared: the split.
        users: user_index of each, ascending.
    """
    features = prepared.user_features
    return replace(
        prepared,
        users=prepared.users.take(pa.array(users)),
        user_features=replace(features, dense=features.dense[users], categorical=features.categorical[users]),
        train=prepared.train.take(users),
        valid=prepared.valid.take(users),
    )


def held_out_of_users(held_out: HeldOut, users: NDArray[np.int64]) -> HeldOut:
    """What is held out of the same users."""
    return HeldOut(held_out.test.take(users), held_out.new_history.take(users), held_out.new_test.take(users))


def of_how_many(count: int, total: int) -> str:
    """What a report says of it; empty where all users are there."""
    if count == total:
        return ""
    return f"To bound the cost this was done on a seeded sample of {count:,} of {total:,} users (evidence.max_users)."
