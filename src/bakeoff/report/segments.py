"""Segments of known users by feature and by activity, and the one that the better contender serves worst."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from bakeoff.evaluation.metrics.formulas import FloatArray
from bakeoff.evaluation.stats.significance import holm
from bakeoff.report import formats

SMALLEST = 30
"""Users of a segment, and at least as many in no segment: fewer are not judged, nor would they stay anonymous."""
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Segment:
    """Known users with one value of a feature compared with all others.

    Attributes:
        name: the feature and its value, such as `occupation: writer`.
        num_users: of the segment.
        mean: of the metric over them.
        others: the same over all others.
        low: lower end of the interval of mean − others, of this segment alone.
        high: upper end.
        p: of Welch's t-test, adjusted for all segments.
    """

    name: str
    num_users: int
    mean: float
    others: float
    low: float
    high: float
    p: float

    @property
    def difference(self) -> float:
        """Mean of the segment − mean of all others."""
        return self.mean - self.others

    def is_worse(self, confidence: float) -> bool:
        """Whether it is shown that these users are served worse than others."""
        return self.high < 0 and self.p < 1 - confidence


def segments(
    users: pd.DataFrame, features: pd.DataFrame, kinds: Mapping[str, str], metric: str, confidence: float
) -> list[Segment]:
    """Every segment of at least SMALLEST users, the one with the lowest mean first.

    The users of a segment and all others are independent samples, so that Welch's test is used and not a paired one.

    Args:
        users: one row per user: user_id, num_history and the metric.
        features: user_id and the features.
        kinds: feature → `dense`, which is cut at its quartiles, or `categorical`.
        metric: a column of `users`; users without a value are left out.
        confidence: of the intervals, in (0, 1).
    """
    known = users.dropna(subset=[metric]).merge(features, on="user_id", how="left")
    values = known[metric].to_numpy(np.float64)
    if len(np.unique(values)) < 2:
        return []
    found: list[tuple[str, FloatArray, FloatArray]] = []
    for name, labels in _labels(known, kinds):
        for value in sorted(labels.dropna().unique(), key=lambda value: formats.natural_key(str(value))):
            inside = (labels == value).to_numpy()
            if min(inside.sum(), (~inside).sum()) >= SMALLEST:
                found.append((f"{name}: {value}", values[inside], values[~inside]))
    tests = [ttest_ind(inside, others, equal_var=False) for _, inside, others in found]
    p = holm(np.array([test.pvalue for test in tests]))
    rows = []
    for (name, inside, others), test, adjusted in zip(found, tests, p.tolist(), strict=True):
        low, high = test.confidence_interval(confidence)
        rows.append(Segment(name, len(inside), inside.mean(), others.mean(), float(low), float(high), adjusted))
    return sorted(rows, key=lambda segment: segment.mean)


def weakest(found: Sequence[Segment], confidence: float) -> Segment | None:
    """The segment with the lowest mean of those that are shown to be served worse; None if none is."""
    return next((segment for segment in found if segment.is_worse(confidence)), None)


def _labels(known: pd.DataFrame, kinds: Mapping[str, str]) -> Iterator[tuple[str, pd.Series]]:
    """Name of a feature, and for each user the segment, or a missing value."""
    yield "known interactions", _quarters(known.num_history)
    for name, kind in kinds.items():
        if name in known:
            column = known[name].replace("", pd.NA)
            yield name, _quarters(pd.to_numeric(column, errors="coerce")) if kind == "dense" else column


def _quarters(column: pd.Series) -> pd.Series:
    """Four ranges with about as many users each, such as `24 to 31`; fewer where many users share a value."""
    edges = np.unique(column.quantile(QUARTERS).dropna())
    number = np.searchsorted(edges, column)  # a user at an edge is in the lower range
    ends = column.groupby(number).agg(["min", "max"]).map(lambda end: formats.plain(end, 4))
    names = ends["min"].where(ends["min"] == ends["max"], ends["min"] + " to " + ends["max"])
    return pd.Series(names.reindex(number).to_numpy(), column.index).where(column.notna())
