"""Who should get what: the better model in each situation of a user, and the users whom it serves worst."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from bakeoff.evaluation.metrics.formulas import FloatArray
from bakeoff.evaluation.stats.significance import Verdict, holm, verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import BaselineComparison, Difference
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.new_users import step_label
from bakeoff.report.slices import Slice

SMALL = 0.1
"""An interval within this share of the better contender's mean shows that the contenders differ little."""


@dataclass(frozen=True)
class Situation:
    """Test users in one situation.

    Attributes:
        name: the situation, for people.
        difference: softmax − MF, p adjusted over the situations of its kind.
        lead: the better contender compared with the best baseline; p adjusted likewise.
        choice: what to ship, or that nothing is shown.
        reason: how far the choice can be trusted.
    """

    name: str
    difference: Difference
    lead: BaselineComparison
    choice: str
    reason: str


def situations(
    sessions: Sequence[Slice],
    new_differences: Mapping[str, Difference],
    new_leads: Mapping[str, BaselineComparison],
    confidence: float,
) -> list[Situation]:
    """Known users by the time since their last event, then one per number of interactions known of a new user."""
    found = [(f"Known user, {part.name}", part.difference, part.standing) for part in sessions]
    found += [(f"New user, {step_label(first)} known", d, new_leads[first]) for first, d in new_differences.items()]
    return [Situation(*each, *choose(*each[1:], confidence)) for each in found]


def choose(difference: Difference, lead: BaselineComparison, confidence: float) -> tuple[str, str]:
    """What to ship, and why: a baseline that beats both contenders, else the better contender, else nothing."""
    against_baseline = lead.verdict(confidence)
    baseline = model_label(lead.baseline)
    if against_baseline is Verdict.WORSE:
        return baseline, "better than both"
    if difference.verdict is not Verdict.NO_EVIDENCE:
        winner = model_label(SOFTMAX if difference.verdict is Verdict.BETTER else MF)
        return winner, "" if against_baseline is Verdict.BETTER else f"not shown to be better than {baseline}"
    if max(abs(difference.low), abs(difference.high)) <= SMALL * lead.mean:
        return "Either", f"they differ by less than {formats.percent(SMALL, 0)}"
    return "Open", "too few users"


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
        return verdict(self.low, self.high, self.p, confidence) is Verdict.WORSE


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
        for value in labels.dropna().unique():
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
