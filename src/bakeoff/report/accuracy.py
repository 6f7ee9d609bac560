"""Means with intervals and paired differences over the users of the test set, and models against the best baseline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.formulas import FloatArray
from bakeoff.evaluation.stats.intervals import Values, intervals
from bakeoff.evaluation.stats.significance import Verdict, compare_paired, holm, verdict
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX, baselines

AHEAD = {Verdict.BETTER: SOFTMAX, Verdict.WORSE: MF}
"""Verdict on softmax compared with MF → the better contender, where one is shown to be better."""
Column = tuple[str, str]
"""A model and a metric."""
PerUser = Callable[[Sequence[Column]], Values]
"""Columns → their values over all test users: float64 [num_users, c], or in blocks where memory must not grow with
users. NaN where a user has no value, but for blocks, whose values are finite."""


@dataclass(frozen=True)
class Difference:
    """First − second, such as softmax − MF, on one metric over the same users.

    Attributes:
        metric: its name.
        num_users: users with a value from both.
        mean: mean difference.
        low: lower end of its interval.
        high: upper end.
        p: of the sign-flip test.
        p_holm: the same, adjusted for all differences that were judged together.
        effect_size: Cohen's d_z; NaN where it is not defined.
        wins: users for whom the first is larger.
        ties: users for whom both are equal.
        losses: users for whom the first is smaller.
        detectable: smallest difference that this many users would have shown.
        verdict: of the first compared with the second, by the interval and the adjusted p.
    """

    metric: str
    num_users: int
    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    effect_size: float
    wins: int
    ties: int
    losses: int
    detectable: float
    verdict: Verdict


@dataclass(frozen=True)
class Statistics:
    """How intervals and tests are made.

    Attributes:
        confidence: level of the intervals, in (0, 1).
        resamples: bootstrap resamples and sign patterns.
        seed: every call draws from a generator of its own: no figure depends on what was computed before.
    """

    confidence: float
    resamples: int
    seed: int

    def estimates(self, values: Values, columns: Sequence[Column]) -> pd.DataFrame:
        """Mean and interval of each column; all at once, to share the draws.

        Args:
            values: [num_users, c] at once, or finite ones in blocks.
            columns: model and metric of each.

        Returns:
            model, metric, mean, low, high: a row per column, NaN without users.
        """
        found = intervals(values, np.random.default_rng(self.seed), self.confidence, self.resamples)
        named = pd.DataFrame(columns, columns=["model", "metric"])
        return named.assign(mean=found.mean, low=found.low, high=found.high)

    def differences(self, values: Values, metrics: Sequence[str], rivals: int | Sequence[int] = 1) -> list[Difference]:
        """First − second of each metric, judged together.

        Args:
            values: [num_users, c] at once, or finite ones in blocks.
            metrics: c names.
            rivals: of how many the second is the best, on these same users; of all, or of each column. Where it is
                ahead, that may be the choice's doing, so that p is multiplied by the number (Bonferroni).
        """
        found = compare_paired(values, np.random.default_rng(self.seed), self.confidence, self.resamples)
        p = np.minimum(found.p * np.where(found.mean < 0, rivals, 1), 1.0)
        rows = pd.DataFrame(vars(found)).assign(p=p, p_holm=holm(p)).to_dict("records")
        return [
            Difference(metric, verdict=verdict(row["low"], row["high"], row["p_holm"], self.confidence), **row)
            for metric, row in zip(metrics, rows, strict=True)
        ]

    def paired(self, users: PerUser, pairs: Sequence[tuple[Column, Column]], rivals: int = 1) -> list[Difference]:
        """First − second of each pair of columns, as `differences`; each is named by the metric of the first."""
        columns = list(dict.fromkeys(column for pair in pairs for column in pair))
        first, second = ([columns.index(pair[side]) for pair in pairs] for side in (0, 1))
        values, metrics = users(columns), [metric for (_, metric), _ in pairs]
        if isinstance(values, np.ndarray):
            return self.differences(values[:, first] - values[:, second], metrics, rivals)
        return self.differences(lambda: (block[:, first] - block[:, second] for block in values()), metrics, rivals)


def per_user_of(tables: Mapping[str, pd.DataFrame]) -> PerUser:
    """Metrics of users whose tables are in memory.

    Args:
        tables: model → one row per user, a column per metric; NaN: the user has no value.
    """
    return lambda columns: np.stack([tables[model][metric].to_numpy(np.float64) for model, metric in columns], axis=1)


@dataclass(frozen=True)
class BaselineComparison:
    """A model compared with the best baseline, on one metric over the same users.

    Attributes:
        model: its name.
        baseline: name of the best baseline.
        mean: mean of the model.
        baseline_mean: the same for the baseline.
        difference: model − baseline.
    """

    model: str
    baseline: str
    mean: float
    baseline_mean: float
    difference: Difference


OfModels = Mapping[str, FloatArray]


def best(names: Sequence[str], values: OfModels) -> str:
    """The name with the highest mean over users; the first of several."""
    return max(names, key=lambda name: _mean(values[name]))


def baseline_standings(
    users: PerUser, means: Mapping[str, float], metric: str, statistics: Statistics
) -> list[BaselineComparison]:
    """One row per model other than the best baseline, in the order of the models; p adjusted over all rows.

    The best baseline is chosen on the same users, which is in its favour: see `rivals` of `Statistics.differences`.

    Args:
        users: metrics of each.
        means: model → its mean over users, at least one baseline among them.
        metric: its name.
        statistics: how intervals and tests are made.
    """
    baseline = max(baselines(means), key=lambda name: means[name])
    others = [name for name in means if name != baseline]
    pairs = [((name, metric), (baseline, metric)) for name in others]
    found = statistics.paired(users, pairs, len(baselines(means)))
    return [
        BaselineComparison(name, baseline, means[name], means[baseline], d)
        for name, d in zip(others, found, strict=True)
    ]


def judge_parts(
    parts: Sequence[OfModels], metric: str, statistics: Statistics
) -> list[tuple[pd.DataFrame, Difference, BaselineComparison]]:
    """Of each part the estimates, softmax − MF, and the better contender compared with the best baseline.

    p is adjusted over all parts.
    """
    if not parts:
        return []
    columns = [(model, metric) for part in parts for model in part]
    estimates = statistics.estimates(side_by_side([each for part in parts for each in part.values()]), columns)
    softmax, mf = (side_by_side([part[name] for part in parts]) for name in (SOFTMAX, MF))
    pairs = [(best([n for n in CONTENDERS if n in part], part), best(baselines(part), part), part) for part in parts]
    first, second = (side_by_side([part[names[side]] for *names, part in pairs]) for side in (0, 1))
    metrics, rivals = [metric] * len(parts), [len(baselines(part)) for part in parts]
    leads = [
        BaselineComparison(one, other, _mean(part[one]), _mean(part[other]), d)
        for (one, other, part), d in zip(pairs, statistics.differences(first - second, metrics, rivals), strict=True)
    ]
    of_parts = [rows for _, rows in estimates.groupby(np.repeat(range(len(parts)), [*map(len, parts)]))]
    return list(zip(of_parts, statistics.differences(softmax - mf, metrics), leads, strict=True))


def means(estimates: pd.DataFrame) -> dict[str, float]:
    """Model → mean, of estimates of one metric."""
    return dict(zip(estimates.model, estimates["mean"], strict=True))


def side_by_side(columns: Sequence[FloatArray]) -> FloatArray:
    """[num_users, c]; a column of fewer users ends in NaN, which counts nowhere."""
    size = max(map(len, columns))
    return np.stack([np.pad(each, (0, size - len(each)), constant_values=np.nan) for each in columns], axis=1)


def _mean(values: FloatArray) -> float:
    """Mean over users with a value; −∞ without any, so that it is never the best."""
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else -np.inf
