"""Means with intervals and paired differences, as rows that tables and charts can be made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.stats.intervals import Blocks, Intervals, intervals
from bakeoff.evaluation.stats.tests import Differences, Verdict, compare_paired, holm, verdict


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
        verdict: of softmax beside MF, by the interval and the adjusted p.
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
