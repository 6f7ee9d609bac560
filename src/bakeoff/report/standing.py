"""Every model beside the best of the baselines."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bakeoff.report.accuracy import Difference, Statistics
from bakeoff.report.models import CONTENDERS, baselines
from bakeoff.report.verdict import Standing

Values = Mapping[str, NDArray[np.float64]]


def best(names: Sequence[str], values: Values) -> str:
    """The name with the highest mean over users; the first of several."""
    return max(names, key=lambda name: _mean(values[name]))


def standings(values: Values, metric: str, statistics: Statistics) -> list[Standing]:
    """One row per model other than the best baseline, in the order of `values`; p adjusted over all rows.

    The best baseline is chosen on the same users, which is in its favour and not in that of the others.

    Args:
        values: model → [num_users] values of the metric, at least one baseline among them.
        metric: its name.
        statistics: how intervals and tests are made.
    """
    baseline = best(baselines(values), values)
    others = [name for name in values if name != baseline]
    found = statistics.differences(
        [values[name] for name in others], [values[baseline]] * len(others), [metric] * len(others)
    )
    return [_standing(name, baseline, values, difference) for name, difference in zip(others, found, strict=True)]


def lead_of_contenders(parts: Sequence[Values], metric: str, statistics: Statistics) -> list[Standing]:
    """Part by part, the better contender beside the best baseline there; p adjusted over all parts."""
    pairs = [(best([n for n in CONTENDERS if n in part], part), best(baselines(part), part)) for part in parts]
    found = statistics.differences(
        [part[contender] for part, (contender, _) in zip(parts, pairs, strict=True)],
        [part[baseline] for part, (_, baseline) in zip(parts, pairs, strict=True)],
        [metric] * len(parts),
    )
    return [
        _standing(contender, baseline, part, difference)
        for part, (contender, baseline), difference in zip(parts, pairs, found, strict=True)
    ]


def _standing(name: str, baseline: str, values: Values, difference: Difference) -> Standing:
    return Standing(
        model=name,
        baseline=baseline,
        mean=_mean(values[name]),
        baseline_mean=_mean(values[baseline]),
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
        p=difference.p_holm,
    )


def _mean(values: NDArray[np.float64]) -> float:
    """Mean over users with a value; −∞ without any, so that it is never the best."""
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else -np.inf
