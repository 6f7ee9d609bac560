"""Sampled metrics compared with full ones: the same models, sometimes in another order."""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

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


class Flip(NamedTuple):
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


def sampled_ranking(evidence: Evidence, metric: str, statistics: Statistics) -> tuple[pd.DataFrame, list[Flip]] | None:
    """Means of both ways of ranking, over users; within a user over the test items, each ranked by itself.

    Returns:
        model, full, sampled, full_rank, sampled_rank (from 1), and the pairs whose order differs; None where sampled
        metrics are not computed for this metric, or where no user has both.
    """
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
    pairs, users = flipped(frame), per_user_of(tables)
    if not pairs:
        return frame, []
    full, among = (
        statistics.paired(users, [((one, column), (other, column)) for one, other in pairs])
        for column in (whole, metric)
    )
    return frame, [Flip(*pair, *both) for pair, *both in zip(pairs, full, among, strict=True)]


def flipped(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs that the two ways order differently, strictly; the leader on the whole catalogue first."""
    return [
        (one.model, other.model)
        for one, other in combinations(frame.sort_values("full_rank").itertuples(), 2)
        if one.full > other.full and one.sampled < other.sampled
    ]


def _charts(evidence: Evidence, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    """None where sampled metrics are not computed for the primary metric, or where no user has both.

    The caption says in how far the two ways order models differently, and how far they set them apart.
    """
    found = sampled_ranking(evidence, params.compare.primary_metric, statistics)
    if found is None:
        return
    frame, flips = found
    short = f"1 + {params.evidence.sampled_candidates} sampled"
    label = formats.metric_label(params.compare.primary_metric)
    ranks = {FULL: frame.full_rank, short: frame.sampled_rank}
    long = pd.concat([frame.assign(x=name, y=rank) for name, rank in ranks.items()])
    drawn = long.assign(series=long.model.map(model_label))[["series", "x", "y"]]
    apart, places = alt.Scale(padding=0.6), list(range(1, len(frame) + 1))
    reverse = alt.Scale(reverse=True, domain=[0.6, len(places) + 0.4])
    x = alt.X("x:N", sort=[FULL, short], title=None, axis=alt.Axis(labelAngle=0), scale=apart)
    y = alt.Y("y:Q", title="place", scale=reverse, axis=alt.Axis(values=places, format="d"))
    yield Figure(
        "sampled",
        *caption("sampled", full=frame.full, among=frame.sampled, flips=flips, label=label),
        spec=series_charts.series_lines(drawn, model_styles(frame.model), x, y, "d"),
        table=record_table(
            f"{label} by full and by sampled ranking",
            frame.sort_values("full_rank").itertuples(),
            ("Model", lambda row: model_label(row.model)),
            ("Whole catalogue", lambda row: formats.decimal(row.full)),
            ("Place", lambda row: str(row.full_rank)),
            (short, lambda row: formats.decimal(row.sampled)),
            ("Place, sampled", lambda row: str(row.sampled_rank)),
        ),
        open=True,
    )


TOPIC = Topic("sampled", 150, Page.EVIDENCE, "sampled", _charts, "Quality", "Sampled metrics")
