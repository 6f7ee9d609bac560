"""Every model compared with the best baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.stats.significance import Verdict, verdict
from bakeoff.report.accuracy import Difference, PerUser, Statistics
from bakeoff.report.models import CONTENDERS, baselines


@dataclass(frozen=True)
class BaselineComparison:
    """A model compared with the best baseline, on one metric over the same users.

    Attributes:
        model: its name.
        baseline: name of the best baseline.
        mean: mean of the model.
        baseline_mean: the same for the baseline.
        difference: mean of model − baseline.
        low: lower end of its interval.
        high: upper end.
        p: adjusted for all that were judged together.
    """

    model: str
    baseline: str
    mean: float
    baseline_mean: float
    difference: float
    low: float
    high: float
    p: float

    def verdict(self, confidence: float) -> Verdict:
        """Whether the model is better or worse than the baseline."""
        return verdict(self.low, self.high, self.p, confidence)

    def to_metrics(self) -> dict[str, float]:
        """All but the names, as numbers."""
        return {key: value for key, value in asdict(self).items() if key not in {"model", "baseline"}}


Values = Mapping[str, NDArray[np.float64]]


def best(names: Sequence[str], values: Values) -> str:
    """The name with the highest mean over users; the first of several."""
    return max(names, key=lambda name: _mean(values[name]))


def baseline_standings(users: PerUser, metric: str, statistics: Statistics) -> list[BaselineComparison]:
    """One row per model other than the best baseline, in the order of the models; p adjusted over all rows.

    The best baseline is chosen on the same users, which is in its favour and not in that of the others.

    Args:
        users: metrics of each, at least one baseline among the models.
        metric: its name.
        statistics: how intervals and tests are made.
    """
    means = users.means(metric)
    baseline = max(baselines(means), key=lambda name: means[name])
    others = [name for name in means if name != baseline]
    found = users.differences([((name, metric), (baseline, metric)) for name in others], statistics)
    return [_standing(name, baseline, means, difference) for name, difference in zip(others, found, strict=True)]


def lead_of_contenders(parts: Sequence[Values], metric: str, statistics: Statistics) -> list[BaselineComparison]:
    """Per part, the better contender compared with the best baseline there; p adjusted over all parts."""
    pairs = [(best([n for n in CONTENDERS if n in part], part), best(baselines(part), part), part) for part in parts]
    first, second = [part[contender] for contender, _, part in pairs], [part[baseline] for _, baseline, part in pairs]
    found = statistics.differences(first, second, [metric] * len(parts))
    return [
        _standing(contender, baseline, {name: _mean(part[name]) for name in (contender, baseline)}, difference)
        for (contender, baseline, part), difference in zip(pairs, found, strict=True)
    ]


def _standing(name: str, baseline: str, means: Mapping[str, float], difference: Difference) -> BaselineComparison:
    return BaselineComparison(
        model=name,
        baseline=baseline,
        mean=means[name],
        baseline_mean=means[baseline],
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
        p=difference.p_holm,
    )


def _mean(values: NDArray[np.float64]) -> float:
    """Mean over users with a value; −∞ without any, so that it is never the best."""
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else -np.inf
