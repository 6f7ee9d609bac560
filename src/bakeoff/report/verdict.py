"""The verdict on the primary metric: its figures, and the sentences made from them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from bakeoff.evaluation.stats.significance import Verdict, verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import AHEAD, Difference
from bakeoff.report.models import MF, SOFTMAX, model_noun

SAME_TIME = 1.15
"""Training times within this ratio are called about the same."""


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

    @classmethod
    def from_metrics(cls, values: Mapping[str, Mapping[str, Any]]) -> Self:
        """The inverse of `to_metrics`; figures that only other versions have are left out."""
        [(metric, figures)] = values.items()
        return cls(metric, *(figures[field.name] for field in fields(cls)[1:]))


def verdict_headline(result: Result, reasons: Sequence[str], later: Difference | None = None) -> str:
    """The verdict in a few words; if there are reasons against one, these.

    Args:
        result: softmax against MF over all test events.
        reasons: why there is no verdict.
        later: softmax − MF a day later, the endpoint that no session reaches; None where the data has none.
    """
    if reasons:
        return f"No verdict yet: {formats.listing(reasons)}"
    metric = formats.metric_label(result.metric)
    headline = {
        Verdict.BETTER: f"The softmax DNN is better than MF on {metric}",
        Verdict.WORSE: f"The softmax DNN is worse than MF on {metric}",
        Verdict.NO_EVIDENCE: f"No evidence of a difference between the softmax DNN and MF on {metric}",
    }[result.verdict]
    if later is None or later.verdict is result.verdict:
        return headline
    if later.verdict is Verdict.NO_EVIDENCE:
        return f"{headline}, but this is not shown a day later"
    return f"{headline}, but a day later {model_noun(AHEAD[later.verdict])} is better"


def verdict_statement(result: Result) -> str:
    """The figures behind the headline, as one sentence."""
    interval = f"{formats.signed(result.low)} to {formats.signed(result.high)}"
    relative = f", {formats.signed_percent(result.difference / result.mf)}" if result.mf > 0 else ""
    return (
        f"Over {formats.count(result.num_users)} warm users of the test set the softmax DNN scores "
        f"{formats.decimal(result.softmax)} and MF {formats.decimal(result.mf)}: a difference of "
        f"{formats.signed(result.difference)}{relative} "
        f"({formats.level(result.confidence)} interval {interval}, {formats.p_value(result.p)})."
    )


def cost_sentence(seconds: Mapping[str, float]) -> str | None:
    """What training cost, from CPU seconds by model; None unless it was measured for both contenders.

    Not wall time: stages that run at the same time take the cores from one another.
    """
    softmax, mf = seconds.get(SOFTMAX, 0.0), seconds.get(MF, 0.0)
    if not (softmax > 0 and mf > 0):
        return None
    ratio = max(softmax, mf) / min(softmax, mf)
    slower = "the softmax DNN" if softmax > mf else "MF"
    compared = "about the same" if ratio < SAME_TIME else f"{formats.times(ratio)} as much for {slower}"
    times = f"{formats.seconds(softmax)} of CPU time for the softmax DNN and {formats.seconds(mf)} for MF"
    return f"Training took {times}, {compared}."
