"""How a stage's cost grows, and what it would be at sizes that were not run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bakeoff.experiments.growth import fit_exponent
from scaling.data import Size
from scaling.measuring import Measured

RANKING = ("evaluate", "items", "rerank")
"""Stages that score a catalogue for each user or item: their cost is fitted to users × items."""

WORTH_FITTING = 1.25
"""Multiple of its fixed cost from which a stage's remaining cost can be distinguished from noise."""

BAR, RANKING_BAR = 1.05, 1.0
"""Largest exponents that are meant to be: in interactions, and of ranking in users × items."""

Cost = Callable[[Measured], float]

Runs = Mapping[Size, Mapping[str, Measured]]
"""Size → stage → what was measured, stages in the order in which they ran."""


@dataclass(frozen=True)
class Exponent:
    """b of cost ∝ size^b, and an interval for it."""

    exponent: float
    low: float
    high: float


@dataclass(frozen=True)
class Growth:
    """One cost of one stage.

    Attributes:
        whole: exponent of the cost as measured, None with fewer than three sizes.
        above: exponent of what the cost exceeds that of the smallest data set by, over sizes where that is no noise.
        fixed: the cost on the smallest data set, which is start-up and little else; 0 where it was not measured.
        last: size and cost of the largest run.
        slope: exponent between the two largest runs, of the part above the fixed cost; None where that is at fewer
            than three sizes no noise.
    """

    whole: Exponent | None
    above: Exponent | None
    fixed: float
    last: tuple[Size, float] | None
    slope: float | None

    @property
    def told(self) -> Exponent | None:
        """The exponent to judge by: above the fixed cost, which would hide growth, wherever that was measured."""
        return self.above if self.fixed else self.whole

    @property
    def is_level(self) -> bool:
        """Whether the largest run costs hardly more than the stage's start."""
        return self.last is not None and self.fixed > 0 and self.last[1] <= WORTH_FITTING * self.fixed

    def at(self, size: Size, by: Callable[[Size], float]) -> float | None:
        """Cost at another size: the largest run's part above the fixed cost, grown by the exponent; None without.

        Or by the slope between the two largest runs, where that is larger: what grows fastest shows last. Without an
        exponent, cost is taken to grow in proportion.
        """
        if self.last is None:
            return None
        measured, cost = self.last
        fitted = None if self.told is None else self.told.exponent
        known = [each for each in (fitted, self.slope) if each is not None]
        exponent = max(0.0, *known) if known else 1.0
        return float(self.fixed + max(cost - self.fixed, 0.0) * (by(size) / by(measured)) ** exponent)


def family(stage: str) -> str:
    """The stage without the model or group that it is about; trainings of different models have little in common."""
    return stage if stage.startswith("train@") else stage.partition("@")[0]


def is_ranking(stage: str) -> bool:
    """Whether its cost is fitted to users × items."""
    return family(stage) in RANKING


def size_measure(stage: str) -> Callable[[Size], float]:
    """What the cost of a stage is fitted to."""
    return (lambda size: float(size.pairs)) if is_ranking(stage) else (lambda size: float(size.interactions))


def growth(runs: Mapping[Size, Measured], smallest: Measured | None, cost: Cost, by: Callable[[Size], float]) -> Growth:
    """Fit one cost of one stage.

    Args:
        runs: size → what was measured; failed runs and those that left their work out are not fitted.
        smallest: the same stage on next to no data.
        cost: which figure.
        by: which size.
    """
    there = sorted((by(size), size, cost(run)) for size, run in runs.items() if counts(run))
    fixed = cost(smallest) if smallest is not None and counts(smallest) else 0.0
    above = [(x, value - fixed) for x, _, value in there if fixed and value > WORTH_FITTING * fixed]
    exponent = _fit(above)
    return Growth(
        whole=_fit([(x, value) for x, _, value in there]),
        above=exponent,
        fixed=fixed,
        last=there[-1][1:] if there else None,
        slope=_slope(above) if exponent else None,
    )


def time_growth(runs: Runs, smallest: Mapping[str, Measured], stage: str) -> Growth:
    """How the CPU time of a stage grows; `smallest`: the stages on next to no data."""
    return growth(of_stage(runs, stage), smallest.get(stage), lambda run: run.cpu, size_measure(stage))


def stages_of(runs: Runs) -> list[str]:
    """Those that ran at any size, in their order."""
    return list(dict.fromkeys(stage for stages in runs.values() for stage in stages))


def of_stage(runs: Runs, stage: str) -> dict[Size, Measured]:
    """What a stage cost at each size at which it ran."""
    return {size: stages[stage] for size, stages in runs.items() if stage in stages}


def _slope(points: Sequence[tuple[float, float]]) -> float:
    (x, y), (further, higher) = points[-2:]
    return float(np.log(higher / y) / np.log(further / x))


def counts(run: Measured) -> bool:
    """Whether a stage did its work."""
    return not run.failed and not run.note


def _fit(points: Sequence[tuple[float, float]]) -> Exponent | None:
    x, y = np.array(points, np.float64).reshape(-1, 2).T
    found = fit_exponent(x, y)
    return None if found is None else Exponent(**found)
