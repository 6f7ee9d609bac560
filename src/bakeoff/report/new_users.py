"""Accuracy on users who were held out of training whole, by the number of their interactions that are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd

from bakeoff.report.accuracy import BaselineComparison, Difference, Estimate, Statistics, compare_contenders
from bakeoff.report.evidence import Evidence

ALL = "all"


@dataclass(frozen=True)
class NewUserFigure:
    """One model, given a number of first interactions.

    Attributes:
        model: its name.
        first: "0", "1", … or "all".
        fallback_share: share of users for whom the model's fallback answered, in [0, 1].
        num_users: new users with at least one test item.
        estimates: one per metric.
    """

    model: str
    first: str
    fallback_share: float
    num_users: int
    estimates: tuple[Estimate, ...]

    def estimate(self, metric: str) -> Estimate:
        """The estimate of one metric."""
        return next(estimate for estimate in self.estimates if estimate.metric == metric)


def steps(evidence: Evidence) -> list[str]:
    """Numbers of first interactions in ascending order, "all" last."""
    first = next(iter(evidence.models.values())).new_users.first_interactions.unique()
    return [*sorted((m for m in first if m != ALL), key=int), *([ALL] if ALL in first else [])]


def step_label(first: str) -> str:
    """`0` → `none`, for people."""
    return {"0": "none"}.get(first, first)


def known_interactions(first: str) -> str:
    """What a model knows of a new user, within a sentence."""
    if first == "0":
        return "nothing but features"
    return {"1": "one interaction", ALL: "all interactions"}.get(first, f"{first} interactions")


def new_user_figures(evidence: Evidence, metrics: Sequence[str], statistics: Statistics) -> list[NewUserFigure]:
    """One figure per step and model; none without new users."""
    models = evidence.models.items()
    tables = {(first, name): asked(each.new_users, first) for first in steps(evidence) for name, each in models}
    columns = [(name, metric, of[metric].to_numpy(float)) for (_, name), of in tables.items() for metric in metrics]
    estimates = iter(statistics.estimates(columns))
    shares = {key: float(table.fallback.mean()) if len(table) else 0.0 for key, table in tables.items()}
    return [
        NewUserFigure(name, first, shares[first, name], len(table), tuple(islice(estimates, len(metrics))))
        for (first, name), table in tables.items()
    ]


def new_user_comparisons(
    evidence: Evidence, metric: str, statistics: Statistics
) -> tuple[dict[str, Difference], dict[str, BaselineComparison]]:
    """Step → paired difference softmax − MF on one metric, and the better contender compared with the best baseline.

    p is adjusted for the number of steps; both are empty without new users.
    """
    known, users = steps(evidence), {name: model.new_users for name, model in evidence.models.items()}
    if not known:
        return {}, {}
    parts = [{name: asked(of, first)[metric].to_numpy(np.float64) for name, of in users.items()} for first in known]
    differences, leads = compare_contenders(parts, metric, statistics)
    return dict(zip(known, differences, strict=True)), dict(zip(known, leads, strict=True))


def asked(table: pd.DataFrame, first: str) -> pd.DataFrame:
    """Rows of new users with at least one test item, given `first` interactions."""
    return table[(table.first_interactions == first) & (table.num_test > 0)]
