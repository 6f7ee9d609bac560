"""Taste or the session: the claim of taste, and quality with histories in order and shuffled."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import OfModels, Statistics, best, side_by_side
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import MF, SOFTMAX, baselines, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Column, Figure, caption, difference_cell, record_table
from bakeoff.report.render.tables import P_HOLM
from bakeoff.report.slices import LATER, events_by_gap, top_lists, values_on
from bakeoff.report.topics.base.claims import CLAIMS, Paired, Question, Words
from bakeoff.report.topics.base.judge import unknown
from bakeoff.report.topics.base.topic import Page, Topic

CLAIM = CLAIMS["taste"]

ALL = "all test events"
WAYS = (False, True)
"""Whether histories are shuffled."""


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """A day later, against MF and the best baseline; shuffled histories are shown.

    Models that were tuned on ordered histories read noise in shuffled ones, so that those parts decide nothing.
    """
    metric = params.compare.primary_metric
    wording = partial(CLAIM.wording, label=formats.metric_label(metric))
    shuffled = _against(
        {name: model.shuffled_users[metric].to_numpy(np.float64) for name, model in evidence.models.items()},
        wording("shuffled", decides=False),
    )
    later = events_by_gap(evidence).get(LATER)
    if later is None:
        reason = "No test event is known to come more than a day after the last known one."
        return [unknown(wording("later"), reason), shuffled]
    ordered, both = (values_on(evidence, top_lists(evidence, shuffled=way), later, metric) for way in WAYS)
    baseline = best(baselines(ordered), ordered)
    return [
        _against(ordered, wording("later")),
        _against(ordered, wording("later_baseline", rival=model_label(baseline)), baseline),
        shuffled,
        _against(both, wording("later_shuffled", decides=False)),
    ]


def _against(values: OfModels, words: Words, rival: str = MF) -> Paired:
    """The softmax DNN against a rival on the same users."""
    return Paired(words, values[SOFTMAX], values[rival])


def by_order(evidence: Evidence, metric: str, statistics: Statistics) -> pd.DataFrame:
    """Every model on all test events and, where there is time, by the time since the last known one.

    Returns:
        group (which test events), model, first (histories in order), second (shuffled), and of first − second the mean,
        low, high and p_holm.
    """
    both = [top_lists(evidence, shuffled=way) for way in WAYS]
    values = {
        (ALL, name): (model.users[metric].to_numpy(np.float64), model.shuffled_users[metric].to_numpy(np.float64))
        for name, model in evidence.models.items()
    }
    for group, events in events_by_gap(evidence).items():
        first, second = (values_on(evidence, lists, events, metric) for lists in both)
        values |= {(group, name): (first[name], second[name]) for name in evidence.models}
    firsts, seconds = zip(*values.values(), strict=True)
    found = statistics.differences(side_by_side(firsts) - side_by_side(seconds), [metric] * len(values))
    rows = [
        (*key, np.nanmean(first), np.nanmean(second), d.mean, d.low, d.high, d.p_holm)
        for (key, (first, second)), d in zip(values.items(), found, strict=True)
    ]
    return pd.DataFrame(rows, columns=["group", "model", "first", "second", "mean", "low", "high", "p_holm"])


def _charts(evidence: Evidence, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    """The caption says what the contenders lose with shuffled histories, and who leads then beyond the session."""
    label = formats.metric_label(params.compare.primary_metric)
    frame = by_order(evidence, params.compare.primary_metric, statistics)
    whole, later = (frame[frame.group == group].set_index("model") for group in (ALL, LATER))
    leader = max(evidence.models, key=lambda name: later.second[name]) if len(later) else None
    drawn = frame[["group", "model", "first", "second"]].assign(series=frame.model.map(model_label))
    axis, sides = f"{label}, mean over users", ("ordered", "shuffled")
    words = caption("order", label=label, whole=whole, later=later.second, leader=leader)
    yield Figure(
        "order",
        *words,
        spec=series_charts.dumbbells(drawn, model_styles(evidence.models), axis, sides),
        table=record_table(
            words[0],
            frame.itertuples(),
            ("Model", lambda row: model_label(row.model)),
            (Column("Test events", prose=True), lambda row: row.group),
            ("Ordered", lambda row: formats.decimal(row.first)),
            ("Shuffled", lambda row: formats.decimal(row.second)),
            ("Difference", difference_cell),
            (P_HOLM, lambda row: formats.p_figure(row.p_holm)),
        ),
        folded=True,
    )


TOPIC = Topic("when", 120, Page.REPORT, "when", _charts, "Quality", "Within the session and later", CLAIM, _ask)
