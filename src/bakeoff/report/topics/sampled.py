"""Sampled metrics compared with full ones: the same models, sometimes in another order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.table import ALL_ITEMS
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Difference, Statistics, per_user_of
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, caption, record_table
from bakeoff.report.topics.base.topic import Page, Topic

FULL = "whole catalogue"


@dataclass(frozen=True)
class Flip:
    """Two models whose order depends on the candidates: `first` leads on the whole catalogue.

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
        """Whether both intervals exclude 0, on opposite sides."""
        return self.full.low > 0 > self.sampled.high


@dataclass(frozen=True)
class SampledRanking:
    """Means of both ways of ranking, over users; within a user over the test items, each ranked by itself.

    Attributes:
        metric: such as `ndcg@10`.
        candidates: number of random items that each test item is ranked with.
        frame: model, full, sampled, full_rank, sampled_rank (from 1).
        flips: pairs whose order differs.
    """

    metric: str
    candidates: int
    frame: pd.DataFrame
    flips: Sequence[Flip]


def _measure(evidence: Evidence, params: ReportParams, statistics: Statistics) -> SampledRanking | None:
    """None where sampled metrics were not computed for the primary metric."""
    metric, candidates = params.compare.primary_metric, params.evidence.sampled_candidates
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
        return SampledRanking(metric, candidates, frame, [])
    users = per_user_of(tables)
    full, among = (
        users.differences([((one, column), (other, column)) for one, other in pairs], statistics)
        for column in (whole, metric)
    )
    flips = [Flip(*pair, *both) for pair, *both in zip(pairs, full, among, strict=True)]
    return SampledRanking(metric, candidates, frame, flips)


def flipped(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs that the two ways order differently, strictly; the leader on the whole catalogue first."""
    return [
        (one.model, other.model)
        for one, other in combinations(frame.sort_values("full_rank").itertuples(), 2)
        if one.full > other.full and one.sampled < other.sampled
    ]


def _draw(found: SampledRanking) -> Iterator[Figure]:
    short, label = f"1 + {found.candidates} sampled", formats.metric_label(found.metric)
    ranks = {FULL: found.frame.full_rank, short: found.frame.sampled_rank}
    long = pd.concat([found.frame.assign(x=name, y=rank) for name, rank in ranks.items()])
    places = list(range(1, len(found.frame) + 1))
    reverse = alt.Scale(reverse=True, domain=[0.6, len(places) + 0.4])
    yield Figure(
        "sampled",
        *caption("sampled", found=found, label=label),
        spec=series_charts.series_lines(
            long.assign(series=long.model.map(model_label))[["series", "x", "y"]],
            model_styles(found.frame.model),
            alt.X("x:N", sort=[FULL, short], title=None, axis=alt.Axis(labelAngle=0), scale=alt.Scale(padding=0.6)),
            alt.Y("y:Q", title="place", scale=reverse, axis=alt.Axis(values=places, format="d")),
            "d",
        ),
        table=record_table(
            f"{label} by full and by sampled ranking",
            found.frame.sort_values("full_rank").itertuples(),
            ("Model", lambda row: model_label(row.model)),
            ("Whole catalogue", lambda row: formats.decimal(row.full)),
            ("Place", lambda row: str(row.full_rank)),
            (short, lambda row: formats.decimal(row.sampled)),
            ("Place, sampled", lambda row: str(row.sampled_rank)),
        ),
        open=True,
    )


TOPIC = Topic("sampled", 150, Page.EVIDENCE, "sampled", _measure, _draw, "Quality", "Sampled metrics")
