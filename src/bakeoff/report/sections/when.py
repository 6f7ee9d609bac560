"""Where the quality comes from: the same test with the order of each history, and with that order taken away."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Difference, Statistics
from bakeoff.report.claims.taste import SESSION
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import CONTENDERS, MF, SOFTMAX, model_label, model_noun
from bakeoff.report.render.figure import Cell, Column, Figure, Table
from bakeoff.report.series import model_styles
from bakeoff.report.slices import events_by_gap, later_events, top_lists, values_on

ALL = "all test events"


@dataclass(frozen=True)
class Order:
    """What the order of histories is worth.

    Attributes:
        metric: of which the figures are.
        models: that were asked, in order.
        frame: group (which test events), model, first (with the order), second (without).
        differences: (group, model) → ordered − shuffled.
        beyond: model → figure beyond the session without the order; empty without such events.
    """

    metric: str
    models: Sequence[str]
    frame: pd.DataFrame
    differences: dict[tuple[str, str], Difference]
    beyond: dict[str, float]


def order(evidence: Evidence, metric: str, statistics: Statistics) -> Order:
    """Every model on all test events, and where there is time by the time since the last known one."""
    ordered = top_lists(evidence, {name: model.lists for name, model in evidence.models.items()})
    shuffled = top_lists(evidence, {name: model.shuffled_lists for name, model in evidence.models.items()})
    values = {
        (ALL, name): (model.users[metric].to_numpy(np.float64), model.shuffled_users[metric].to_numpy(np.float64))
        for name, model in evidence.models.items()
    }
    for group, events in events_by_gap(evidence):
        first, second = (values_on(evidence, lists, events, metric) for lists in (ordered, shuffled))
        values |= {(group, name): (first[name], second[name]) for name in evidence.models}
    later = later_events(evidence, SESSION)
    beyond = {} if later is None or later.empty else values_on(evidence, shuffled, later, metric)
    firsts, seconds = zip(*values.values(), strict=True)
    found = statistics.differences(firsts, seconds, [metric] * len(values))
    rows = [(*key, np.nanmean(first), np.nanmean(second)) for key, (first, second) in values.items()]
    return Order(
        metric=metric,
        models=list(evidence.models),
        frame=pd.DataFrame(rows, columns=["group", "model", "first", "second"]),
        differences=dict(zip(values, found, strict=True)),
        beyond={name: float(np.nanmean(figures)) for name, figures in beyond.items()},
    )


def figures(found: Order) -> list[Figure]:
    """One chart: with the order and without, joined."""
    label = formats.metric_label(found.metric)
    return [
        Figure(
            key="order",
            title=f"{label} with ordered and with shuffled histories",
            alt="Dot chart: a group per part of the test, per model a filled mark with order and an open one without.",
            sentence=sentence(found),
            spec=series_charts.dumbbells(
                found.frame.assign(series=found.frame.model.map(model_label)),
                model_styles(found.models),
                f"{label}, mean over users",
                ("ordered", "shuffled"),
            ),
            table=table(found),
            section="when",
        )
    ]


def sentence(found: Order) -> str:
    """What the order is worth to the contenders, and who leads without it beyond the session."""
    rows = {(row.group, row.model): row for row in found.frame.itertuples()}
    parts = []
    for name in (SOFTMAX, MF):
        row = rows[ALL, name]
        lost = formats.signed_percent(row.second / row.first - 1) if row.first > 0 else formats.NO_VALUE
        parts.append(
            f"{model_noun(name)} goes from {formats.decimal(row.first, 3)} to {formats.decimal(row.second, 3)} ({lost})"
        )
    text = f"Without the order of histories {formats.listing(parts)}: that much of the quality is the order's."
    if not found.beyond:
        return text
    leader = max(found.models, key=lambda name: found.beyond[name])
    others = [
        f"{formats.decimal(found.beyond[name], 3)} for {model_noun(name)}" for name in CONTENDERS if name != leader
    ]
    return (
        f"{text} More than an hour after the last known event and without the order the highest mean is that of "
        f"{model_noun(leader)} ({formats.decimal(found.beyond[leader], 3)}), with {formats.listing(others)}. "
        "Whether the softmax DNN and MF differ there by more than chance is judged among the claims."
    )


def table(found: Order) -> Table:
    """Both figures and their difference, a row per part of the test and model."""
    rows = []
    for row in found.frame.itertuples():
        difference = found.differences[row.group, row.model]
        interval = f"{formats.signed(difference.low)} to {formats.signed(difference.high)}"
        rows.append(
            [
                Cell(model_label(row.model)),
                Cell(row.group),
                Cell(formats.decimal(row.first)),
                Cell(formats.decimal(row.second)),
                Cell(formats.signed(difference.mean), interval),
                Cell(formats.p_figure(difference.p_holm)),
            ]
        )
    columns = [Column("Model"), Column("Test events", prose=True), Column("Ordered"), Column("Shuffled")]
    columns += [Column("Difference"), Column("p, Holm", "holm")]
    return Table(f"{formats.metric_label(found.metric)} with ordered and with shuffled histories", columns, rows)
