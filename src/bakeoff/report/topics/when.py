"""Taste or the session: the claim of taste, and quality with histories in order and shuffled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Difference, OfModels, Statistics, best
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import MF, SOFTMAX, baselines, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Column, Figure, Row, Table, caption, change_cell, table_of
from bakeoff.report.render.tables import P_HOLM
from bakeoff.report.slices import LATER, events_by_gap, top_lists, values_on
from bakeoff.report.topics.base.claims import CLAIMS, Paired, Question, Words
from bakeoff.report.topics.base.judge import unknown
from bakeoff.report.topics.base.topic import Page, Topic

CLAIM = CLAIMS["taste"]

ALL = "all test events"
WAYS = (False, True)
"""Whether histories are shuffled."""


@dataclass(frozen=True)
class Order:
    """How much quality depends on the order of histories.

    Attributes:
        metric: its name.
        models: that were asked, in order.
        frame: group (which test events), model, first (histories in order), second (shuffled).
        differences: (group, model) → ordered − shuffled.
    """

    metric: str
    models: Sequence[str]
    frame: pd.DataFrame
    differences: dict[tuple[str, str], Difference]


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


def _measure(evidence: Evidence, params: ReportParams, statistics: Statistics) -> Order:
    """Every model on all test events and, where there is time, by the time since the last known one."""
    metric = params.compare.primary_metric
    both = [top_lists(evidence, shuffled=way) for way in WAYS]
    values = {
        (ALL, name): (model.users[metric].to_numpy(np.float64), model.shuffled_users[metric].to_numpy(np.float64))
        for name, model in evidence.models.items()
    }
    for group, events in events_by_gap(evidence).items():
        first, second = (values_on(evidence, lists, events, metric) for lists in both)
        values |= {(group, name): (first[name], second[name]) for name in evidence.models}
    firsts, seconds = zip(*values.values(), strict=True)
    found = statistics.differences(firsts, seconds, [metric] * len(values))
    rows = [(*key, np.nanmean(first), np.nanmean(second)) for key, (first, second) in values.items()]
    frame = pd.DataFrame(rows, columns=["group", "model", "first", "second"])
    return Order(metric, list(evidence.models), frame, dict(zip(values, found, strict=True)))


def _draw(found: Order) -> Iterator[Figure]:
    """The caption says what the contenders lose with shuffled histories, and who leads then beyond the session."""
    frame = found.frame.set_index("model")
    whole, later = frame[frame.group == ALL], frame[frame.group == LATER].second
    leader = max(found.models, key=lambda name: later[name]) if len(later) else None
    words = caption("order", label=formats.metric_label(found.metric), whole=whole, later=later, leader=leader)
    yield Figure(
        "order",
        *words,
        spec=series_charts.dumbbells(
            found.frame.assign(series=found.frame.model.map(model_label)),
            model_styles(found.models),
            f"{formats.metric_label(found.metric)}, mean over users",
            ("ordered", "shuffled"),
        ),
        table=_table(found, words[0]),
        folded=True,
    )


def _table(found: Order, title: str) -> Table:
    """Both figures and their difference, a row per part of the test and model."""
    rows: list[Row] = []
    for row in found.frame.itertuples():
        difference = found.differences[row.group, row.model]
        texts = (model_label(row.model), row.group, formats.decimal(row.first), formats.decimal(row.second))
        change = change_cell(difference.mean, difference.low, difference.high)
        rows.append([*texts, change, formats.p_figure(difference.p_holm)])
    events = Column("Test events", prose=True)
    return table_of(title, ["Model", events, "Ordered", "Shuffled", "Difference", P_HOLM], rows)


TOPIC = Topic("when", 120, Page.REPORT, "when", _measure, _draw, "Quality", "Within the session and later", CLAIM, _ask)
