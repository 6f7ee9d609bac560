"""Means with intervals and paired differences over the users of the test set, and models against the best baseline."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True)
class Estimate:
    """Mean of one metric over users, with its interval; all NaN without users."""

    model: str
    metric: str
    mean: float
    low: float
    high: float


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

    def estimates(self, columns: Sequence[tuple[str, str, FloatArray]]) -> list[Estimate]:
        """Mean and interval of each (model, metric, [num_users] values); all at once, to share the draws."""
        if not columns:
            return []
        values = _side_by_side([column for _, _, column in columns])
        return self.estimates_of(values, [(model, metric) for model, metric, _ in columns])

    def estimates_of(self, values: Values, columns: Sequence[Column]) -> list[Estimate]:
        """The same of [num_users, c] values at once, or of finite ones in blocks, with the names of their columns."""
        found = intervals(values, np.random.default_rng(self.seed), self.confidence, self.resamples)
        rows = zip(columns, found.mean.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
        return [Estimate(*column, mean, low, high) for column, mean, low, high in rows]

    def differences(
        self, first: Sequence[FloatArray], second: Sequence[FloatArray], metrics: Sequence[str]
    ) -> list[Difference]:
        """First − second, judged together: one array of [num_users] values per metric from each side."""
        return self.differences_of(_side_by_side(first) - _side_by_side(second), metrics)

    def differences_of(self, values: Values, metrics: Sequence[str]) -> list[Difference]:
        """The same of [num_users, c] differences at once, or of finite ones in blocks."""
        found = compare_paired(values, np.random.default_rng(self.seed), self.confidence, self.resamples)
        rows = pd.DataFrame(vars(found)).assign(p_holm=holm(found.p)).to_dict("records")
        return [
            Difference(metric, verdict=verdict(row["low"], row["high"], row["p_holm"], self.confidence), **row)
            for metric, row in zip(metrics, rows, strict=True)
        ]


@dataclass(frozen=True)
class PerUser:
    """Metrics of all test users by model.

    Attributes:
        models: in the order of the report.
        blocks: columns → their values, float64 [m, c] per block, the same users in the same order on every call.
        in_memory: whether a single block holds all users; it may then hold NaN for users without a value.
    """

    models: Sequence[str]
    blocks: Callable[[Sequence[Column]], Iterator[FloatArray]]
    in_memory: bool = True

    def means(self, metric: str) -> dict[str, float]:
        """Model → mean over users with a value; −∞ if there are none, so that the model is never the best."""
        total, count = np.zeros(len(self.models)), np.zeros(len(self.models), np.int64)
        for block in self.blocks([(name, metric) for name in self.models]):
            total, count = total + np.nansum(block, axis=0), count + (~np.isnan(block)).sum(axis=0)
        return {n: float(t / c) if c else -np.inf for n, t, c in zip(self.models, total, count, strict=True)}

    def estimates(self, columns: Sequence[Column], statistics: Statistics) -> list[Estimate]:
        """Mean and interval of each column; all at once, so that they share the draws."""
        return statistics.estimates_of(self._values(lambda: self.blocks(columns)), columns)

    def differences(self, pairs: Sequence[tuple[Column, Column]], statistics: Statistics) -> list[Difference]:
        """First − second of each pair, judged together; each is named by the metric of the first."""
        columns = list(dict.fromkeys(column for pair in pairs for column in pair))
        first, second = ([columns.index(pair[side]) for pair in pairs] for side in (0, 1))

        def blocks() -> Iterator[FloatArray]:
            return (block[:, first] - block[:, second] for block in self.blocks(columns))

        return statistics.differences_of(self._values(blocks), [metric for (_, metric), _ in pairs])

    def _values(self, blocks: Callable[[], Iterator[FloatArray]]) -> Values:
        return blocks if not self.in_memory else next(blocks())


def per_user_of(tables: Mapping[str, pd.DataFrame]) -> PerUser:
    """Metrics of users whose tables are in memory.

    Args:
        tables: model → one row per user, a column per metric; NaN: the user has no value.
    """

    def blocks(columns: Sequence[Column]) -> Iterator[FloatArray]:
        yield np.stack([tables[model][metric].to_numpy(np.float64) for model, metric in columns], axis=1)

    return PerUser(list(tables), blocks)


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
    return [
        BaselineComparison(name, baseline, means[name], means[baseline], d)
        for name, d in zip(others, found, strict=True)
    ]


def compare_contenders(
    parts: Sequence[OfModels], metric: str, statistics: Statistics
) -> tuple[list[Difference], list[BaselineComparison]]:
    """Per part, softmax − MF, and the better contender compared with the best baseline; p adjusted over all parts."""
    softmax, mf = ([part[name] for part in parts] for name in (SOFTMAX, MF))
    pairs = [(best([n for n in CONTENDERS if n in part], part), best(baselines(part), part), part) for part in parts]
    first, second = [part[contender] for contender, _, part in pairs], [part[baseline] for _, baseline, part in pairs]
    metrics = [metric] * len(parts)
    leads = [
        BaselineComparison(one, other, _mean(part[one]), _mean(part[other]), d)
        for (one, other, part), d in zip(pairs, statistics.differences(first, second, metrics), strict=True)
    ]
    return statistics.differences(softmax, mf, metrics), leads


def _side_by_side(columns: Sequence[FloatArray]) -> FloatArray:
    """[num_users, c]; a column of fewer users ends in NaN, which counts nowhere."""
    size = max(map(len, columns))
    return np.stack([np.pad(each, (0, size - len(each)), constant_values=np.nan) for each in columns], axis=1)


def _mean(values: FloatArray) -> float:
    """Mean over users with a value; −∞ without any, so that it is never the best."""
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else -np.inf
