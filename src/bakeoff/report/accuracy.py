"""Means with intervals, and paired differences, over the users of the test set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.stats.intervals import Blocks, Intervals, intervals
from bakeoff.evaluation.stats.significance import Differences, Verdict, compare_paired, holm, verdict

FloatArray = NDArray[np.float64]

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
    """Softmax − MF on one metric over the same users.

    Attributes:
        metric: its name.
        num_users: users with a value from both.
        mean: mean difference.
        low: lower end of its interval.
        high: upper end.
        p: of the sign-flip test.
        p_holm: the same, adjusted for all differences that were judged together.
        effect: Cohen's d_z; NaN where it is not defined.
        wins: users for whom softmax is larger.
        ties: users for whom both are equal.
        losses: users for whom softmax is smaller.
        detectable: smallest difference that this many users would have shown.
        verdict: of softmax compared with MF, by the interval and the adjusted p.
    """

    metric: str
    num_users: int
    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    effect: float
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

    def estimates(self, columns: Sequence[tuple[str, str, NDArray[np.float64]]]) -> list[Estimate]:
        """Mean and interval of each (model, metric, [num_users] values); all at once, to share the draws."""
        if not columns:
            return []
        values = np.stack([column for _, _, column in columns], axis=1)
        found = intervals(values, self._rng(), self.confidence, self.resamples)
        return _estimates(found, [(model, metric) for model, metric, _ in columns])

    def estimates_of_portions(self, portions: Blocks, columns: Sequence[tuple[str, str]]) -> list[Estimate]:
        """The same of users who come in portions: [m, c] values, finite, of c columns (model, metric)."""
        found = intervals(portions, self._rng(), self.confidence, self.resamples)
        return _estimates(found, columns)

    def differences(
        self,
        first: Sequence[NDArray[np.float64]],
        second: Sequence[NDArray[np.float64]],
        metrics: Sequence[str],
    ) -> list[Difference]:
        """First − second, judged together: one array of [num_users] values per metric from each side."""
        columns = np.stack(first, axis=1) - np.stack(second, axis=1)
        return self._differences(compare_paired(columns, self._rng(), self.confidence, self.resamples), metrics)

    def differences_of_portions(self, portions: Blocks, metrics: Sequence[str]) -> list[Difference]:
        """The same of users who come in portions: [m, c] differences, finite."""
        found = compare_paired(portions, self._rng(), self.confidence, self.resamples)
        return self._differences(found, metrics)

    def _differences(self, found: Differences, metrics: Sequence[str]) -> list[Difference]:
        adjusted = holm(found.p)
        return [
            Difference(
                metric=metric,
                num_users=int(found.num_users[i]),
                mean=float(found.mean[i]),
                low=float(found.low[i]),
                high=float(found.high[i]),
                p=float(found.p[i]),
                p_holm=float(adjusted[i]),
                effect=float(found.effect_size[i]),
                wins=int(found.wins[i]),
                ties=int(found.ties[i]),
                losses=int(found.losses[i]),
                detectable=float(found.detectable[i]),
                verdict=verdict(found.low[i], found.high[i], adjusted[i], self.confidence),
            )
            for i, metric in enumerate(metrics)
        ]

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


def _estimates(found: Intervals, columns: Sequence[tuple[str, str]]) -> list[Estimate]:
    return [
        Estimate(model, metric, float(found.mean[i]), float(found.low[i]), float(found.high[i]))
        for i, (model, metric) in enumerate(columns)
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
        if not self.in_memory:
            return statistics.estimates_of_portions(lambda: self.blocks(columns), columns)
        [values] = self.blocks(columns)
        return statistics.estimates([(*column, values[:, place]) for place, column in enumerate(columns)])

    def differences(self, pairs: Sequence[tuple[Column, Column]], statistics: Statistics) -> list[Difference]:
        """First − second of each pair, judged together; each is named by the metric of the first."""
        columns = list(dict.fromkeys(column for pair in pairs for column in pair))
        first, second = ([columns.index(pair[side]) for pair in pairs] for side in (0, 1))
        metrics = [pair[0][1] for pair in pairs]
        if not self.in_memory:
            return statistics.differences_of_portions(
                lambda: (block[:, first] - block[:, second] for block in self.blocks(columns)), metrics
            )
        [values] = self.blocks(columns)
        return statistics.differences([*values[:, first].T], [*values[:, second].T], metrics)


def per_user_of(tables: Mapping[str, pd.DataFrame]) -> PerUser:
    """Metrics of users whose tables are in memory.

    Args:
        tables: model → one row per user, a column per metric; NaN: the user has no value.
    """

    def blocks(columns: Sequence[Column]) -> Iterator[FloatArray]:
        yield np.stack([tables[model][metric].to_numpy(np.float64) for model, metric in columns], axis=1)

    return PerUser(list(tables), blocks)
