"""Two invented versions of a project."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bakeoff.ops.revisions.revisions import ProjectVersion, Revisions, compare
from bakeoff.report.accuracy import Statistics

STATISTICS = Statistics(confidence=0.95, resamples=500, seed=1)
METRICS = ("ndcg@10", "recall@10", "mrr@10", "hit_rate@10")


def users(values: Sequence[float], ids: Sequence[str] | None = None, num_test: int = 3) -> pd.DataFrame:
    """Every accuracy metric of a user is the same value."""
    names = ids or [str(place) for place in range(len(values))]
    return pd.DataFrame({"user_id": names, "num_test": num_test} | {metric: list(values) for metric in METRICS})


def version(
    name: str,
    values: Mapping[str, Sequence[float]],
    *,
    ids: Sequence[str] | None = None,
    params: Mapping[str, Any] | None = None,
    data_hash: str | None = "0123",
    num_test: int = 3,
    read: bool = True,
    **others: Any,
) -> ProjectVersion:
    """A version in which `values` holds the figures of each model's users; unread without `read`."""
    tables = {model: users(column, ids, num_test) for model, column in values.items()}
    means = {model: {m: sum(column) / len(column) for m in METRICS} for model, column in values.items()}
    return ProjectVersion(
        name=name,
        commit="",
        metrics=means | {"verdict": {"unreadable": {}}},
        params={} if params is None else params,
        data_hash=data_hash,
        users=tables if read else {},
        **others,
    )


def compared(before: ProjectVersion, after: ProjectVersion) -> Revisions:
    return compare(before, after, "ndcg@10", STATISTICS)
