"""Parts of a split that experiments train on: some of its users, or all but some items, which then count as new."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.data.prepared.tables import Prepared


def _changed(prepared: Prepared, change: Callable[[Histories], Histories]) -> dict[str, Any]:
    """Train and validation events, and dislikes where there are any, each changed; by name."""
    parts = {name: getattr(prepared, name) for name in ("train", "valid", "dislikes")}
    return {name: change(part) for name, part in parts.items() if part is not None}


def with_users(prepared: Prepared, users: NDArray[np.int64]) -> Prepared:
    """The split of these users, warm ones first as before; the catalogue stays.

    Args:
        prepared: the split.
        users: user_index of each, ascending.
    """
    table, features = prepared.users.take(pa.array(users)), prepared.user_features
    encoded = replace(features, dense=features.dense[users], categorical=features.categorical[users])
    return replace(prepared, users=table, user_features=encoded, **_changed(prepared, lambda part: part.take(users)))


def withhold(prepared: Prepared, new: NDArray[np.int64]) -> Prepared:
    """The split without train and validation events on these items; they stay in the catalogue."""
    return replace(prepared, **_changed(prepared, lambda part: part.keep(~np.isin(part.items, new))))
