"""Results that are clear, the other way round, and undecided; differences and standings with given intervals."""

from dataclasses import replace

from bakeoff.evaluation.stats.significance import verdict
from bakeoff.report.accuracy import BaselineComparison, Difference
from bakeoff.report.verdict import Result


def difference(mean: float, low: float, high: float, p: float, num_users: int = 90) -> Difference:
    """A difference with this interval and adjusted p, and the verdict that follows from them."""
    says = verdict(low, high, p, 0.95)
    return Difference("ndcg@10", num_users, mean, low, high, p, p, 0.1, 50, 0, 40, 0.01, says)


def standing(model: str, found: Difference, baseline: str = "ease", baseline_mean: float = 0.15) -> BaselineComparison:
    """A model that has this difference to the best baseline."""
    return BaselineComparison(model, baseline, baseline_mean + found.mean, baseline_mean, found)


CLEAR = Result(
    metric="ndcg@10",
    softmax=0.25,
    mf=0.2,
    difference=0.05,
    low=0.04,
    high=0.06,
    p=0.0001,
    confidence=0.95,
    num_users=848,
    detectable=0.012,
)
MIRRORED = replace(CLEAR, softmax=0.2, mf=0.25, difference=-0.05, low=-0.06, high=-0.04)
UNDECIDED = replace(CLEAR, softmax=0.201, difference=0.001, low=-0.004, high=0.006, p=0.7)
