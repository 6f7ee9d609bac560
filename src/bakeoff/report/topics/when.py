"""Taste or the session: the claim of taste, and quality with histories in order and shuffled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Difference, OfModels, Statistics, best
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX, baselines, model_label, model_noun, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Column, Figure, Row, Table, change_cell, table_of
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
    title = f"{formats.metric_label(found.metric)} with ordered and with shuffled histories"
    yield Figure(
        key="order",
        title=title,
        alt="Dot chart: a group per part of the test, per model a filled mark with order and an open one without.",
        sentence=_sentence(found),
        spec=series_charts.dumbbells(
            found.frame.assign(series=found.frame.model.map(model_label)),
            model_styles(found.models),
            f"{formats.metric_label(found.metric)}, mean over users",
            ("ordered", "shuffled"),
        ),
        table=_table(found, title),
        folded=True,
    )


def _sentence(found: Order) -> str:
    """What the contenders lose with shuffled histories, and who leads then beyond the session."""
    rows = {(row.group, row.model): row for row in found.frame.itertuples()}
    parts = []
    for name in (SOFTMAX, MF):
        row = rows[ALL, name]
        lost = formats.signed_percent(row.second / row.first - 1) if row.first > 0 else formats.NO_VALUE
        parts.append(
            f"{model_noun(name)} goes from {formats.decimal(row.first, 3)} to {formats.decimal(row.second, 3)} ({lost})"
        )
    text = (
        f"With shuffled histories {formats.listing(parts)}. The models were tuned on histories in order and read noise "
        "in shuffled ones, so that this may overstate what order is worth."
    )
    later = {row.model: row.second for row in found.frame.itertuples() if row.group == LATER}
    if not later:
        return text
    leader = max(found.models, key=lambda name: later[name])
    others = [f"{formats.decimal(later[one], 3)} for {model_noun(one)}" for one in CONTENDERS if one != leader]
    return (
        f"{text} More than a day after the last known event and with shuffled histories the highest mean is that of "
        f"{model_noun(leader)} ({formats.decimal(later[leader], 3)}), compared with {formats.listing(others)}. "
        "Whether the softmax DNN and MF differ a day later by more than chance is judged among the claims."
    )


def _table(found: Order, caption: str) -> Table:
    """Both figures and their difference, a row per part of the test and model."""
    rows: list[Row] = []
    for row in found.frame.itertuples():
        difference = found.differences[row.group, row.model]
        texts = (model_label(row.model), row.group, formats.decimal(row.first), formats.decimal(row.second))
        change = change_cell(difference.mean, difference.low, difference.high)
        rows.append([*texts, change, formats.p_figure(difference.p_holm)])
    events = Column("Test events", prose=True)
    return table_of(caption, ["Model", events, "Ordered", "Shuffled", "Difference", P_HOLM], rows)


TOPIC = Topic("when", 120, Page.REPORT, "when", _measure, _draw, "Quality", "Within the session and later", CLAIM, _ask)
