"""What a model gives for what it costs: every pair of figures as a chart with axes to choose, and its Pareto front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report import formats, series_charts
from bakeoff.report.models import model_label, model_noun, model_styles
from bakeoff.report.render.figure import Figure, Heading, Row, Spec, table_of
from bakeoff.report.summary import Summary

COST = ", less is better"


@dataclass(frozen=True)
class Measure:
    """A figure of every model.

    Attributes:
        label: its name; it ends in COST where less is better.
        values: model → figure.
        digits: that are written.
    """

    label: str
    values: Mapping[str, float]
    digits: int

    @property
    def goodness(self) -> NDArray[np.float64]:
        """[num_models] the more, the better."""
        return np.array([*self.values.values()]) * (-1 if self.label.endswith(COST) else 1)


def measures(summary: Summary) -> list[Measure]:
    """Accuracy, coverage and what else was measured of every model: what training and an answer cost, late events."""
    label, cutoff = formats.metric_label(summary.result.metric), summary.cutoff
    lists = summary.exposures[summary.exposures.k == cutoff]
    late = [part for part in summary.sessions if part.name == "later"]
    found = [
        Measure(label, {e.model: e.mean for e in summary.estimates if e.metric == summary.result.metric}, 4),
        Measure(f"Coverage@{cutoff} in %", dict(zip(lists.model, 100 * lists.coverage, strict=True)), 1),
        Measure(f"Training CPU seconds{COST}", {t.model: t.cpu_seconds for t in summary.training}, 2),
        Measure(f"Ranking ms per user{COST}", {t.model: 1000 * t.seconds_per_query for t in summary.training}, 3),
        *(Measure(f"{label} after a day", {e.model: e.mean for e in s.estimates}, 4) for s in late),
    ]
    return [each for each in found if all(map(isfinite, each.values.values()))]


def front(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points no other point beats: as good on both and better on one; [n] each, the more the better."""
    no_worse = (first[:, None] >= first) & (second[:, None] >= second)
    better = (first[:, None] > first) | (second[:, None] > second)
    return np.array([not beaten.any() for beaten in (no_worse & better).T])


def pareto_figure(summary: Summary) -> Figure:
    """The primary metric against CPU time of training, or against coverage where none was measured; any other pair."""
    found = measures(summary)
    up, across = found[0], next((each for each in found if each.label.startswith("Training")), found[1])
    names, other = summary.models, across.label.removesuffix(COST)
    best = [name for name, is_on in zip(names, front(across.goodness, up.goodness), strict=True) if is_on]
    rows: list[Row] = [
        [model_label(name), *(formats.decimal(each.values[name], each.digits) for each in found)] for name in names
    ]
    columns: list[Heading] = ["Model", *(each.label for each in found)]
    return Figure(
        key="pareto",
        title="Any two figures, and the Pareto front",
        alt="Scatter chart: a mark per model, the two figures chosen above as axes, a line through the Pareto front.",
        sentence=(
            "The line joins the models that no other one beats: as good on both axes and better on one. By "
            f"{up.label} and {formats.within_sentence(other)} these are {formats.listing([*map(model_noun, best)])}."
        ),
        spec=_chart(found, names, across.label, up.label),
        table=table_of("What each model gives and costs", columns, rows),
    )


def _chart(found: Sequence[Measure], names: Sequence[str], across: str, up: str) -> Spec:
    """A row per pair of measures and model; the two lists in `#pareto-axes` choose the pair."""
    pairs = [
        pd.DataFrame(
            {
                "across": x.label,
                "up": y.label,
                "series": [*map(model_label, names)],
                "x": [*x.values.values()],
                "y": [*y.values.values()],
                "front": front(x.goodness, y.goodness),
            }
        )
        for x, y in product(found, found)
    ]
    lists = {"input": "select", "element": "#pareto-axes", "options": [each.label for each in found]}
    chosen = (("chosen_up", "Vertical axis", up), ("chosen_across", "Horizontal axis", across))
    params = [{"name": key, "value": value, "bind": lists | {"name": name}} for key, name, value in chosen]
    styles = model_styles(names)
    return {"params": params} | series_charts.front(pd.concat(pairs), styles, "chosen_across", "chosen_up")
