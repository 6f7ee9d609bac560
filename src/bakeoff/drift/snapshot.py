"""The validated tables of one version."""

from dataclasses import dataclass

import pandas as pd

DAY = 86_400
"""Seconds."""


@dataclass(frozen=True)
class Snapshot:
    """What validation let pass.

    Attributes:
        interactions: user_id, item_id, timestamp (UTC seconds; 0 everywhere where events have no time), perhaps rating.
        users: user_id and features.
        items: item_id, title and features.
    """

    interactions: pd.DataFrame
    users: pd.DataFrame
    items: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """The three by name."""
        return {"interactions": self.interactions, "users": self.users, "items": self.items}


def days(snapshot: Snapshot) -> "pd.Series[int]":
    """Events by day (whole days since 1970, UTC), days without one left out; empty where events have no time."""
    times = snapshot.interactions["timestamp"]
    if not times.any():
        return pd.Series(dtype="int64")
    return (times // DAY).value_counts().sort_index()
