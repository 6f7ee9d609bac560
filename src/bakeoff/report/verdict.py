"""The verdict on the primary metric: its figures, the sentences made from them, and which contender to ship."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

from bakeoff.evaluation.stats.significance import Verdict, verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference
from bakeoff.report.models import CONTENDERS, MF, REFERENCE, SOFTMAX, model_noun
from bakeoff.report.new_users import known_interactions
from bakeoff.report.vs_baseline import BaselineComparison

GAP_WORDS = {
    "same second": "in the same second as the last known event",
    "< 1 min": "within a minute of the last known event",
    "< 1 h": "between a minute and an hour after the last known event",
    "< 1 day": "between an hour and a day after the last known event",
    "later": "more than a day after the last known event",
}
"""Name of a span of time → its wording within a sentence."""
SAME_TIME = 1.15
"""Training times within this ratio are called about the same."""


@dataclass(frozen=True)
class Result:
    """Softmax DNN against MF on the primary metric.

    Attributes:
        metric: the primary metric, such as `ndcg@10`.
        softmax: its mean over warm test users.
        mf: the same for MF.
        popularity: the same for the reference.
        difference: mean of softmax − MF over users.
        low: lower end of its interval.
        high: upper end.
        p: of the paired permutation test, not adjusted, because this metric alone was chosen in advance.
        confidence: level of the interval, such as 0.95.
        num_users: warm users of the test set.
        detectable: smallest difference that this test set would probably have shown.
        softmax_above_popularity: 1 if softmax is shown to be better than the reference, else 0.
        mf_above_popularity: the same for MF.
    """

    metric: str
    softmax: float
    mf: float
    popularity: float
    difference: float
    low: float
    high: float
    p: float
    confidence: float
    num_users: int
    detectable: float
    softmax_above_popularity: int
    mf_above_popularity: int

    @property
    def verdict(self) -> Verdict:
        """Whether softmax is better or worse than MF."""
        return verdict(self.low, self.high, self.p, self.confidence)

    @property
    def above_popularity(self) -> dict[str, int]:
        """Contender → 1 if it is shown to be better than the reference, else 0."""
        return {SOFTMAX: self.softmax_above_popularity, MF: self.mf_above_popularity}

    def to_metrics(self) -> dict[str, dict[str, float]]:
        """Numbers in nested dicts, under the name of the metric."""
        values = asdict(self)
        return {values.pop("metric"): values}

    @classmethod
    def from_metrics(cls, values: Mapping[str, Mapping[str, Any]]) -> Self:
        """The inverse of `to_metrics`."""
        [(metric, figures)] = values.items()
        return cls(metric=metric, **figures)


@dataclass(frozen=True)
class Span:
    """The primary metric on the test events at one distance in time from the last known event.

    Attributes:
        name: the distance, as in `slices.GAPS`.
        num_users: users with such an event.
        softmax: mean of the softmax DNN over them.
        mf: the same for MF.
        low: lower end of the interval of softmax − MF.
        high: upper end.
        p: adjusted for the number of spans.
    """

    name: str
    num_users: int
    softmax: float
    mf: float
    low: float
    high: float
    p: float

    def to_metrics(self) -> dict[str, float]:
        """All but the name, as numbers."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


def verdict_headline(result: Result) -> str:
    """The verdict in a few words."""
    metric = formats.metric_label(result.metric)
    return {
        Verdict.BETTER: f"The softmax DNN is better than MF on {metric}",
        Verdict.WORSE: f"The softmax DNN is worse than MF on {metric}",
        Verdict.NO_EVIDENCE: f"No evidence of a difference between the softmax DNN and MF on {metric}",
    }[result.verdict]


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


def caveats(result: Result) -> list[str]:
    """What qualifies the verdict: undetectable differences, tests that disagree, and contenders that are weak."""
    notes = []
    no_evidence = result.verdict is Verdict.NO_EVIDENCE
    if no_evidence:
        notes.append(
            f"A difference smaller than about {formats.decimal(result.detectable)} would probably go undetected "
            "with this many users: no evidence of a difference is not evidence that there is none."
        )
    interval_leaves_out_0 = result.low > 0 or result.high < 0
    if no_evidence and (interval_leaves_out_0 or result.p < 1 - result.confidence):
        notes.append(
            "A borderline case: the interval and the permutation test disagree, so nothing is claimed. "
            "Repeat with other seeds or more users before relying on it."
        )
    weak = [model_noun(name) for name, shown in result.above_popularity.items() if not shown]
    if weak:
        who = "neither contender is" if len(weak) == 2 else f"{weak[0]} is not"
        notes.append(
            f"{formats.sentence(who)} shown to be better than recommending the most popular items to "
            f"everyone ({formats.decimal(result.popularity)}): find out why before choosing."
        )
    return notes


def contradictions(result: Result, spans: Iterable[Span]) -> list[str]:
    """Spans of time whose verdict is the opposite of the overall one, or which have one where there is none overall."""
    notes = []
    for span in spans:
        found = verdict(span.low, span.high, span.p, result.confidence)
        if found in {Verdict.NO_EVIDENCE, result.verdict}:
            continue
        ahead = model_noun(SOFTMAX if found is Verdict.BETTER else MF)
        better, other = max(span.softmax, span.mf), min(span.softmax, span.mf)
        notes.append(
            f"It depends on time: on test events {GAP_WORDS.get(span.name, span.name)} "
            f"({formats.count(span.num_users)} users), {ahead} is better, "
            f"{formats.decimal(better)} against {formats.decimal(other)} "
            "(lists are whole, and hits on events at other distances do not count)."
        )
    return notes


def lost_to_baselines(result: Result, standings: Iterable[BaselineComparison]) -> list[str]:
    """Contenders that are worse than the best baseline or not shown to be better, unless that baseline is popularity.

    `caveats` names contenders that do not even beat popularity; they are named here only if they are shown to be worse.
    """
    notes = []
    for standing in standings:
        found = standing.verdict(result.confidence)
        if standing.model not in CONTENDERS or standing.baseline == REFERENCE or found is Verdict.BETTER:
            continue
        if not result.above_popularity[standing.model] and found is Verdict.NO_EVIDENCE:
            continue
        is_behind = "worse" if found is Verdict.WORSE else "not shown to be better"
        notes.append(
            f"{formats.sentence(model_noun(standing.model))} is {is_behind} than {model_noun(standing.baseline)}, the "
            f"best of the baselines ({formats.decimal(standing.mean)} against "
            f"{formats.decimal(standing.baseline_mean)}): find out why before choosing."
        )
    return notes


def all_caveats(result: Result, standings: Iterable[BaselineComparison], spans: Iterable[Span]) -> list[str]:
    """Everything that qualifies the verdict."""
    return [*caveats(result), *lost_to_baselines(result, standings), *contradictions(result, spans)]


def cost_sentence(seconds: Mapping[str, float]) -> str | None:
    """What training cost, from wall seconds by model; None unless it was measured for both contenders."""
    softmax, mf = seconds.get(SOFTMAX, 0.0), seconds.get(MF, 0.0)
    if not (softmax > 0 and mf > 0):
        return None
    ratio = max(softmax, mf) / min(softmax, mf)
    slower = "the softmax DNN" if softmax > mf else "MF"
    compared = "about the same" if ratio < SAME_TIME else f"{formats.times(ratio)} as long for {slower}"
    times = f"{formats.seconds(softmax)} for the softmax DNN and {formats.seconds(mf)} for MF"
    return f"Training took {times}, {compared}."


def recommendation(
    result: Result, standings: Sequence[BaselineComparison], new_differences: Mapping[str, Difference]
) -> list[str]:
    """A sentence for known users, and one for new users if some were held out."""
    new = [recommend_for_new_users(new_differences)] if new_differences else []
    return [recommend_for_known_users(result, standings), *new]


def recommend_for_known_users(result: Result, standings: Sequence[BaselineComparison]) -> str:
    """The better contender, if there is one and it is shown to beat the best baseline.

    A contender that does not beat a baseline is not worth its training, even if it beats the other contender.
    """
    known = "For users whom the models know,"
    if result.verdict is Verdict.NO_EVIDENCE:
        return f"{known} neither contender is shown to be better: ship the one that costs less to run."
    winner = SOFTMAX if result.verdict is Verdict.BETTER else MF
    name = model_noun(winner)
    if not result.above_popularity[winner]:
        return f"{known} ship neither yet: {name} is not shown to be better than popularity."
    baseline = next((s for s in standings if s.model == winner and s.baseline != REFERENCE), None)
    if baseline is not None and baseline.verdict(result.confidence) is not Verdict.BETTER:
        than = f"not shown to be better than {model_noun(baseline.baseline)}"
        return f"{known} ship neither yet: {name} is the better of the two, but {than}."
    return f"{known} ship {name}."


def recommend_for_new_users(differences: Mapping[str, Difference]) -> str:
    """Which contender serves new users better, by what is known about them.

    Args:
        differences: number of first interactions → softmax − MF on users held out whole, p adjusted for their number.
    """
    steps = {
        name: [known_interactions(first) for first, found in differences.items() if found.verdict is verdict]
        for name, verdict in ((SOFTMAX, Verdict.BETTER), (MF, Verdict.WORSE))
    }
    either = partial(formats.listing, last="or")
    shown = [f"{model_noun(name)} with {either(found)} known" for name, found in steps.items() if found]
    open_ = [known_interactions(first) for first, found in differences.items() if found.verdict is Verdict.NO_EVIDENCE]
    if not shown:
        return "For new users there is no evidence for either."
    rest = f"; with {either(open_)} there is no evidence for either" if open_ else ""
    return f"For new users, ship {' and '.join(shown)}{rest}."
