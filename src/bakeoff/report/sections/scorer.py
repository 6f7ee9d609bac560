"""The softmax DNN as a scorer of what MF retrieved."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.models import specs
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.figure import Figure
from bakeoff.report.measured import Rerank, Variant, figure
from bakeoff.report.models import look, model_label
from bakeoff.report.sections.parts import Named, estimates, or_dash
from bakeoff.report.series import PALETTE, Style, Styles
from bakeoff.report.tables import Cell, Column, Table


@dataclass(frozen=True)
class Scorer:
    """Systems side by side.

    Attributes:
        sentence: what was done.
        frame: group (a metric), series (the system's label), mean, low, high.
        systems: label → candidate recall and spurious@10; NaN where there is none.
    """

    sentence: str
    frame: pd.DataFrame
    systems: dict[str, tuple[float, float]]


def scorer(rerank: Rerank, cutoff: str, statistics: Statistics) -> Scorer:
    """Every accuracy metric at the cutoff, for every system."""
    columns: list[Named] = [
        (
            formats.metric_label(f"{metric}@{cutoff}"),
            system_label(system),
            _values(rerank, system["system"], f"{metric}@{cutoff}"),
        )
        for metric in ACCURACY_LABELS
        for system in rerank.systems
    ]
    return Scorer(
        sentence=rerank.sentence,
        frame=estimates(columns, statistics),
        systems={
            system_label(system): (figure(system, "candidate_recall"), figure(system, "spurious@10"))
            for system in rerank.systems
        },
    )


def system_label(system: Variant) -> str:
    """`mf→softmax@100` → `MF's first 100, re-ranked`."""
    if system.get("candidates"):
        return f"MF's first {formats.count(int(system['candidates']))}, re-ranked"
    return f"{model_label(str(system['system']))} alone"


def _values(rerank: Rerank, system: str, metric: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = rerank.values(system, metric).to_numpy(np.float64)
    return values


def figures(found: Scorer) -> list[Figure]:
    """One chart: a group per metric."""
    return [
        Figure(
            key="scorer",
            title="MF retrieves, the softmax DNN ranks again",
            alt="Dot chart: a group per metric, a mark with its interval per system.",
            sentence=sentence(found),
            spec=series_charts.dots(found.frame, _styles(found.systems), "mean over users"),
            table=table(found),
            section="scorer",
        )
    ]


def _styles(labels: Iterable[str]) -> Styles:
    """Models as everywhere; what is made of two in other colours."""
    known = {f"{model_label(name)} alone": name for name in specs.names()}
    others = iter([*PALETTE[3:], PALETTE[1]] * len(PALETTE))
    return {
        label: Style(f"var(--{known[label]})", look(known[label]).shape, size=100) if label in known else next(others)
        for label in labels
    }


def sentence(found: Scorer) -> str:
    """On the first metric, and how many foreign items each shows."""
    metric = next(iter(found.frame.group))
    means = found.frame[found.frame.group == metric].set_index("series")["mean"]
    parts = [f"{formats.decimal(float(mean), 3)} ({label})" for label, mean in means.items()]
    spurious = [
        f"{formats.percent(share)} ({label})" for label, (_, share) in found.systems.items() if not np.isnan(share)
    ]
    text = f"{metric}: {formats.listing(parts)}."
    return f"{text} Foreign items among the first 10: {formats.listing(spurious)}." if spurious else text


def table(found: Scorer) -> Table:
    """A row per system."""
    metrics = list(dict.fromkeys(found.frame.group))
    means = {(row.series, row.group): row for row in found.frame.itertuples()}
    rows = []
    for label, (recall, spurious) in found.systems.items():
        row = [Cell(label)]
        for metric in metrics:
            mean = means[label, metric]
            row.append(Cell(formats.decimal(mean.mean), f"{formats.decimal(mean.low)} to {formats.decimal(mean.high)}"))
        rows.append([*row, Cell(or_dash(recall, formats.percent)), Cell(or_dash(spurious, formats.percent))])
    columns = [Column("System"), *(Column(metric) for metric in metrics)]
    columns += [Column("Recall of the candidates"), Column("Foreign among 10", "spurious")]
    return Table("Who orders the candidates", columns, rows)
