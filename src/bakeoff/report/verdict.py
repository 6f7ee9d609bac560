"""The verdict on the primary metric, who should get what, and the users whom the better contender serves worst.

The sentences are those of verdict.txt.j2.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from bakeoff.evaluation.metrics.formulas import FloatArray
from bakeoff.evaluation.stats.significance import Verdict, holm, verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import AHEAD, BaselineComparison, Difference
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX, model_noun
from bakeoff.report.slices import LATER, Slice, known_interactions
from bakeoff.report.topics.base.claims import MARGINS, Form
from bakeoff.report.topics.base.judge import widest

SENTENCES = "verdict.txt.j2"
SAME_TIME = 1.15
"""Training times within this ratio are called about the same."""
EITHER, NEITHER, OPEN = "Either", "Neither yet", "Open"
"""Choices that name no model: the contenders' difference is shown to be small, the one that is ahead is not shown to
beat a baseline, or there are too few data."""
KNOWN = "known"
"""All users whom the models know, beside the ranges of `slices.SESSIONS`."""
SMALLEST = 30
"""Users of a segment, and at least as many in no segment: fewer are not judged, nor would they stay anonymous."""
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Result:
    """Softmax DNN against MF on the primary metric.

    Attributes:
        metric: the primary metric, such as `ndcg@10`.
        softmax: its mean over warm test users.
        mf: the same for MF.
        difference: mean of softmax − MF over users.
        low: lower end of its interval.
        high: upper end.
        p: of the paired permutation test, not adjusted, because this metric alone was chosen in advance.
        confidence: level of the interval, such as 0.95.
        num_users: warm users of the test set.
        detectable: smallest difference that this test set would probably have shown.
    """

    metric: str
    softmax: float
    mf: float
    difference: float
    low: float
    high: float
    p: float
    confidence: float
    num_users: int
    detectable: float

    @property
    def ahead(self) -> str:
        """The contender with the higher mean, shown to be better or not."""
        return SOFTMAX if self.softmax >= self.mf else MF

    @property
    def verdict(self) -> Verdict:
        """Whether softmax is better or worse than MF."""
        return verdict(self.low, self.high, self.p, self.confidence)

    def to_metrics(self) -> dict[str, dict[str, float]]:
        """Numbers in nested dicts, under the name of the metric."""
        values = asdict(self)
        return {values.pop("metric"): values}


def verdict_headline(result: Result, reasons: Sequence[str], later: Difference | None = None) -> str:
    """The verdict in a few words; if there are reasons against one, these.

    Args:
        result: softmax against MF over all test events.
        reasons: why there is no verdict.
        later: softmax − MF a day later, the endpoint that no session reaches; None where the data has none.
    """
    margin = MARGINS["metric"] if is_small(result) else None
    return formats.phrase(SENTENCES, "headline", result=result, reasons=reasons, later=later, margin=margin)


def is_small(difference: Difference | Result) -> bool:
    """Whether a difference is shown to be less than the margin, wherever in its interval it lies."""
    low, high = widest(difference.low, difference.high, Form.METRIC.unseen(0, difference.num_users))
    return -MARGINS["metric"] < low and high < MARGINS["metric"]


def verdict_statement(result: Result) -> str:
    """The figures behind the headline, as one sentence."""
    return formats.phrase(SENTENCES, "statement", result=result)


def cost_sentence(seconds: Mapping[str, float]) -> str | None:
    """What training cost, from CPU seconds by model; None unless it was measured for both contenders.

    Not wall time: stages that run at the same time take the cores from one another.
    """
    both = {name: seconds.get(name, 0.0) for name in (SOFTMAX, MF)}
    if not all(each > 0 for each in both.values()):
        return None
    return formats.phrase(SENTENCES, "cost", **both, same_time=SAME_TIME)


def choose(difference: Difference | Result, lead: BaselineComparison) -> tuple[str, str]:
    """What to ship, and why.

    A baseline that beats the contender that is ahead; else a contender, if it is better than that baseline. One that is
    not is not worth its training, even if it beats the other contender.

    Args:
        difference: softmax − MF.
        lead: the contender with the higher mean compared with the best baseline.
    """
    ahead, other = (model_noun(name) for name in sorted(CONTENDERS, key=lambda name: name != lead.model))
    against_baseline, rival = lead.difference.verdict, model_noun(lead.baseline)
    if against_baseline is Verdict.WORSE:
        return lead.baseline, f"better than {ahead}"
    is_worth_it = against_baseline is Verdict.BETTER
    if winner := AHEAD.get(difference.verdict):
        behind = f"{ahead} is better than {other}, but not shown to be better than {rival}"
        return (winner, "") if is_worth_it else (NEITHER, behind)
    if is_small(difference):
        small = f"they are shown to differ by less than {MARGINS['metric']:g}"
        behind = f"{small}, and {ahead} is not shown to be better than {rival}"
        return (EITHER, small) if is_worth_it else (NEITHER, behind)
    if is_worth_it:
        return lead.model, f"better than {rival}, and not shown to be better than {other}"
    return OPEN, "too few users"


def recommendation(
    result: Result,
    standings: Sequence[BaselineComparison],
    choices: Mapping[str, tuple[str, str]],
    new_users: Sequence[Slice],
) -> list[str]:
    """A sentence for known users, or two where those who come back a day later need another model; one for new users.

    Args:
        result: softmax against MF over all test events.
        standings: every model compared with the best baseline, likewise.
        choices: range of `slices.SESSIONS` → what to ship, and why (`choose`), the soonest first; empty without times.
        new_users: see `recommend_for_new_users`.
    """
    ends = [span for span in choices if span in (next(iter(choices)), LATER)]
    everyone = choose(result, next(each for each in standings if each.model == result.ahead))
    shown = {KNOWN: everyone} if len({choices[span][0] for span in ends}) < 2 else {ends[0]: choices[ends[0]]}
    shown |= {span: choices[span] for span in ends if span == LATER}
    known = [formats.phrase(SENTENCES, "for_span", span=s, choice=c, reason=why) for s, (c, why) in shown.items()]
    return [*known, *([recommend_for_new_users(new_users)] if new_users else [])]


def recommend_for_new_users(new_users: Sequence[Slice]) -> str:
    """What to ship (`choose`) by the number of first interactions that are known of new users; contenders first."""
    found, unclear = dict[tuple[str, str], list[str]](), list[str]()
    for part in new_users:
        choice, reason = choose(part.difference, part.standing)
        known = unclear if choice == OPEN else found.setdefault((choice, reason), [])
        known.append(known_interactions(part.name))
    contenders = [*AHEAD.values()]
    order = sorted(found, key=lambda each: contenders.index(each[0]) if each[0] in contenders else len(contenders))
    shown = [(*each, found[each]) for each in order]
    return formats.phrase(SENTENCES, "for_new_users", shown=shown, unclear=unclear)


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
    known = users.dropna(subset=[metric])
    values = known[metric].to_numpy(np.float64)
    if len(np.unique(values)) < 2:
        return []
    found: list[tuple[str, FloatArray, FloatArray]] = []
    described = features.set_index("user_id").reindex(known.user_id)
    for name, labels in _labels(known.num_history, described, kinds):
        sizes = labels.value_counts()
        for value in labels.dropna().unique():
            if sizes[value] < SMALLEST:  # of thousands of values, most are rare
                continue
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


def _labels(
    num_history: pd.Series, described: pd.DataFrame, kinds: Mapping[str, str]
) -> Iterator[tuple[str, pd.Series]]:
    """Name of a feature, and for each user the segment, or a missing value."""
    yield "known interactions", _quarters(num_history)
    for name, kind in kinds.items():
        if name in described:
            column = described[name].replace("", pd.NA)
            yield name, _quarters(pd.to_numeric(column, errors="coerce")) if kind == "dense" else column


def _quarters(column: pd.Series) -> pd.Series:
    """Four ranges with about as many users each, such as `24 to 31`; fewer where many users share a value."""
    edges = np.unique(column.quantile(QUARTERS).dropna())
    number = np.searchsorted(edges, column)  # a user at an edge is in the lower range
    ends = column.groupby(number).agg(["min", "max"]).map(lambda end: formats.plain(end, 4))
    names = ends["min"].where(ends["min"] == ends["max"], ends["min"] + " to " + ends["max"])
    return pd.Series(names.reindex(number).to_numpy(), column.index).where(column.notna())
