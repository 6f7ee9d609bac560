"""Sampled metrics beside full ones: the same models, and sometimes another order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.table import ALL_ITEMS
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Difference, Statistics
from bakeoff.report.evidence import Evidence
from bakeoff.report.figure import Figure
from bakeoff.report.models import model_label, model_noun
from bakeoff.report.sections.parts import text_table
from bakeoff.report.series import model_styles
from bakeoff.report.tables import Table

FULL = "whole catalogue"


@dataclass(frozen=True)
class Flip:
    """Two models whose order depends on how they are ranked: `first` leads on the whole catalogue.

    Attributes:
        first: name of the leader there.
        second: name of the other, which leads among samples.
        full: first − second on the whole catalogue.
        sampled: the same among samples.
    """

    first: str
    second: str
    full: Difference
    sampled: Difference

    @property
    def is_sure(self) -> bool:
        """Whether both intervals leave out 0, the one above it and the other below."""
        return self.full.low > 0 > self.sampled.high


@dataclass(frozen=True)
class Sampled:
    """Means by both ways of ranking, over users and of a user over the test items, each counted by itself.

    Attributes:
        metric: such as `ndcg@10`.
        candidates: random items beside each test item.
        frame: model, full, sampled, full_rank, sampled_rank (from 1).
        flips: pairs whose order differs.
    """

    metric: str
    candidates: int
    frame: pd.DataFrame
    flips: Sequence[Flip]


def sampled(evidence: Evidence, metric: str, candidates: int, statistics: Statistics) -> Sampled | None:
    """None where sampled metrics were not computed for the primary metric."""
    tables, whole = {name: model.sampled for name, model in evidence.models.items()}, ALL_ITEMS + metric
    if any(metric not in table or whole not in table for table in tables.values()):
        return None
    known = np.all([table[[metric, whole]].notna().all(axis=1).to_numpy() for table in tables.values()], axis=0)
    if not known.any():
        return None
    tables = {name: table[known] for name, table in tables.items()}
    rows = [(name, float(table[whole].mean()), float(table[metric].mean())) for name, table in tables.items()]
    frame = pd.DataFrame(rows, columns=["model", "full", "sampled"])
    for column in ("full", "sampled"):
        frame[f"{column}_rank"] = frame[column].rank(ascending=False, method="first").astype(int)
    pairs = flipped(frame)
    if not pairs:
        return Sampled(metric, candidates, frame, [])
    full, among = (_differences(tables, pairs, column, statistics) for column in (whole, metric))
    flips = [Flip(*pair, *both) for pair, *both in zip(pairs, full, among, strict=True)]
    return Sampled(metric, candidates, frame, flips)


def _differences(
    tables: Mapping[str, pd.DataFrame], pairs: Sequence[tuple[str, str]], metric: str, statistics: Statistics
) -> list[Difference]:
    """First − second of each pair over users; `tables` by model."""
    first, second = ([tables[pair[side]][metric].to_numpy(np.float64) for pair in pairs] for side in (0, 1))
    return statistics.differences(first, second, [metric] * len(pairs))


def flipped(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs that the two ways order differently, strictly; the leader on the whole catalogue first."""
    return [
        (one.model, other.model)
        for one, other in combinations(frame.sort_values("full_rank").itertuples(), 2)
        if one.full > other.full and one.sampled < other.sampled
    ]


def figures(found: Sampled) -> list[Figure]:
    """One chart: places by either way, joined."""
    short = f"1 + {found.candidates} sampled"
    label = formats.metric_label(found.metric)
    long = pd.concat(
        [
            found.frame.assign(x=name, y=found.frame[f"{column}_rank"])
            for name, column in ((FULL, "full"), (short, "sampled"))
        ]
    ).assign(series=lambda frame: frame.model.map(model_label))
    places = list(range(1, len(found.frame) + 1))
    return [
        Figure(
            key="sampled",
            title=f"Order of the models by {label}, ranked in full and among samples",
            alt="Slope chart: the place of each model by full ranking on the left and by sampled ranking on the right.",
            sentence=sentence(found),
            spec=series_charts.lines(
                long[["series", "x", "y"]],
                model_styles(found.frame.model),
                alt.X("x:N", sort=[FULL, short], title=None, axis=alt.Axis(labelAngle=0), scale=alt.Scale(padding=0.6)),
                alt.Y(
                    "y:Q",
                    title="place",
                    scale=alt.Scale(reverse=True, domain=[0.6, len(places) + 0.4]),
                    axis=alt.Axis(values=places, format="d"),
                ),
                "d",
            ),
            table=table(found, short),
            open=True,
            section="sampled",
        )
    ]


def table(found: Sampled, short: str) -> Table:
    """A row per model, by its place on the whole catalogue; `short` names the sampled way."""
    rows = [
        [
            model_label(row.model),
            formats.decimal(row.full),
            str(row.full_rank),
            formats.decimal(row.sampled),
            str(row.sampled_rank),
        ]
        for row in found.frame.sort_values("full_rank").itertuples()
    ]
    columns = ["Model", "Whole catalogue", "Place", short, "Place, sampled"]
    return text_table(f"{formats.metric_label(found.metric)} by full and by sampled ranking", columns, rows)


def sentence(found: Sampled) -> str:
    """The flips by name, or that there is none here."""
    spread = found.frame.full.max() / found.frame.full.min() if found.frame.full.min() > 0 else float("nan")
    sampled_spread = (
        found.frame.sampled.max() / found.frame.sampled.min() if found.frame.sampled.min() > 0 else float("nan")
    )
    compared = (
        f" The best model has {formats.times(spread)} the figure of the weakest in full, and "
        f"{formats.times(sampled_spread)} among samples."
        if not np.isnan(spread + sampled_spread)
        else ""
    )
    if not found.flips:
        return f"Both ways give the same order of models here.{compared}"
    told = [
        f"{model_noun(flip.first)} before {model_noun(flip.second)} ({_change(flip.full)} in full, "
        f"{_change(flip.sampled)} among samples{'' if flip.is_sure else ': not beyond chance'})"
        for flip in found.flips
    ]
    return f"The order flips: the whole catalogue puts {formats.listing(told)}, samples the other way round.{compared}"


def _change(difference: Difference) -> str:
    return f"{formats.signed(difference.mean)}, {formats.signed(difference.low)} to {formats.signed(difference.high)},"
