"""Who should get what: the better model in each situation, what to ship, and the users whom it serves worst."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from bakeoff.evaluation.metrics.formulas import FloatArray
from bakeoff.evaluation.stats.significance import Verdict, holm, verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import AHEAD, BaselineComparison, Difference
from bakeoff.report.models import model_noun
from bakeoff.report.slices import LATER, Slice, known_interactions, step_label
from bakeoff.report.topics.base.claims import MARGINS
from bakeoff.report.verdict import Result

KNOWN_USERS = "For users whom the models know,"
BY_SPAN = {
    "within an hour": "For users within an hour of their last event,",
    "within a day": "For users between an hour and a day after their last event,",
    LATER: "For users who come back after a day,",
}
"""Users by the time since their last event, a range of `slices.SESSIONS`."""
EITHER, OPEN = "Either", "Open"
"""Choices where no model is better: the difference is shown to be small, or there are too few data."""


@dataclass(frozen=True)
class Situation:
    """Test users in one situation.

    Attributes:
        name: the situation, for people.
        difference: softmax − MF, p adjusted over the situations of its kind.
        lead: the better contender compared with the best baseline; p adjusted likewise.
        choice: name of the model to ship, EITHER or OPEN.
        reason: how far the choice can be trusted.
        span: of `slices.SESSIONS`; None for new users.
    """

    name: str
    difference: Difference
    lead: BaselineComparison
    choice: str
    reason: str
    span: str | None = None


def situations(
    sessions: Sequence[Slice],
    new_differences: Mapping[str, Difference],
    new_leads: Mapping[str, BaselineComparison],
    confidence: float,
) -> list[Situation]:
    """Known users by the time since their last event, then one per number of interactions known of a new user."""
    found: list[tuple[str, Difference, BaselineComparison, str | None]]
    found = [(f"Known user, {part.name}", part.difference, part.standing, part.name) for part in sessions]
    found += [(f"New user, {step_label(k)} known", d, new_leads[k], None) for k, d in new_differences.items()]
    return [Situation(name, d, lead, *choose(d, lead, confidence), span) for name, d, lead, span in found]


def choose(difference: Difference, lead: BaselineComparison, confidence: float) -> tuple[str, str]:
    """What to ship, and why: a baseline that beats both contenders, else the better contender, else nothing."""
    against_baseline, rival = lead.verdict(confidence), model_noun(lead.baseline)
    if against_baseline is Verdict.WORSE:
        return lead.baseline, "better than both"
    if winner := AHEAD.get(difference.verdict):
        return winner, "" if against_baseline is Verdict.BETTER else f"not shown to be better than {rival}"
    margin = MARGINS["metric"]
    if max(abs(difference.low), abs(difference.high)) < margin:
        return EITHER, f"shown to differ by less than {margin:g}"
    return OPEN, "too few users"


def recommendation(
    result: Result,
    standings: Sequence[BaselineComparison],
    choices: Mapping[str, tuple[str, str]],
    new_differences: Mapping[str, Difference],
) -> list[str]:
    """A sentence for known users, or two where those who come back a day later need another model; one for new users.

    Args:
        result: softmax against MF over all test events.
        standings: every model compared with the best baseline, likewise.
        choices: range of `slices.SESSIONS` → what to ship, and why (`choose`), the soonest first; empty without times.
        new_differences: see `recommend_for_new_users`.
    """
    new = [recommend_for_new_users(new_differences)] if new_differences else []
    ends = [span for span in choices if span in (next(iter(choices)), LATER)]
    if len({choices[span][0] for span in ends}) > 1:
        return [*(recommend_for_span(span, *choices[span]) for span in ends), *new]
    back = [recommend_for_span(LATER, *choices[LATER])] if LATER in choices else []
    return [recommend_for_known_users(result, standings), *back, *new]


def recommend_for_span(span: str, choice: str, reason: str) -> str:
    """What to ship to known users by the time since their last event, a range of `slices.SESSIONS`."""
    users = BY_SPAN[span]
    if choice == OPEN:
        return f"{users} nothing is shown: {reason}."
    if choice == EITHER:
        return f"{users} ship the one that costs less to run: they are {reason}."
    return f"{users} ship {model_noun(choice)}{f', {reason}' if reason else ''}."


def recommend_for_known_users(result: Result, standings: Sequence[BaselineComparison]) -> str:
    """The better contender, if there is one and it is shown to beat the best baseline.

    A contender that does not beat a baseline is not worth its training, even if it beats the other contender.
    """
    winner = AHEAD.get(result.verdict)
    if winner is None:
        return f"{KNOWN_USERS} neither contender is shown to be better: ship the one that costs less to run."
    name = model_noun(winner)
    standing = next(each for each in standings if each.model == winner)
    if standing.verdict(result.confidence) is not Verdict.BETTER:
        than = f"not shown to be better than {model_noun(standing.baseline)}"
        return f"{KNOWN_USERS} ship neither yet: {name} is the better of the two, but {than}."
    return f"{KNOWN_USERS} ship {name}."


def recommend_for_new_users(differences: Mapping[str, Difference]) -> str:
    """Which contender serves new users better, by what is known about them.

    Args:
        differences: number of first interactions → softmax − MF on users held out whole, p adjusted for their number.
    """
    steps = {
        name: [known_interactions(first) for first, found in differences.items() if found.verdict is verdict]
        for verdict, name in AHEAD.items()
    }
    either = partial(formats.listing, last="or")
    shown = [f"{model_noun(name)} with {either(found)} known" for name, found in steps.items() if found]
    open_ = [known_interactions(first) for first, found in differences.items() if found.verdict is Verdict.NO_EVIDENCE]
    if not shown:
        return "For new users there is no evidence for either."
    rest = f"; with {either(open_)} there is no evidence for either" if open_ else ""
    return f"For new users, ship {' and '.join(shown)}{rest}."


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
    return next((s for s in found if verdict(s.low, s.high, s.p, confidence) is Verdict.WORSE), None)


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
