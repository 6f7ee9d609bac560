"""Depth and width of the tower: what they bring and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.measured import VariantGroup, figure
from bakeoff.report.models import MF, SOFTMAX, look, model_label, model_noun
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, Table
from bakeoff.report.sections.parts import estimates, or_dash, text_table
from bakeoff.report.series import PALETTE, Styles, model_styles
from bakeoff.report.variants import Tower, towers

ENDS = ["mean", "low", "high"]


@dataclass(frozen=True)
class Depth:
    """Towers by depth and width.

    Attributes:
        sentence: what was done.
        metric: of which the quality is.
        frame: label, base, series (the width), x (hidden layers), y (mean), low, high, parameters, epoch (CPU
            seconds), training (seconds), rate (queries per CPU second).
        widths: labels of the widths.
        beside: baselines on the same users, without a tower: model, y (mean), low, high, parameters.
    """

    sentence: str
    metric: str
    frame: pd.DataFrame
    widths: Sequence[str]
    beside: pd.DataFrame


def depth(group: VariantGroup, params: ReportParams, metric: str, statistics: Statistics) -> Depth | None:
    """None without towers. A tower without hidden layers has no width: it starts the line of each."""
    found = towers(group, params)
    if not found:
        return None
    others = [variant for variant in group.variants if variant["model"] != SOFTMAX]
    names = [*(str(tower.variant["name"]) for tower in found), *(str(variant["name"]) for variant in others)]
    columns = [(name, "", group.values(name, metric).to_numpy(np.float64)) for name in names]
    means = estimates(columns, statistics).set_index("group")
    all_widths = sorted({tower.width for tower in found if tower.depth}) or [0]
    rows = [row for tower in sorted(found, key=_size) for row in _rows(tower, group, means, all_widths)]
    beside = [
        (str(each["model"]), *means.loc[each["name"], ENDS], figure(each, "num_parameters"))
        for each in others
        if each["name"] in means.index
    ]
    return Depth(
        sentence=group.sentence,
        metric=metric,
        frame=pd.DataFrame(rows),
        widths=[_width(width) for width in all_widths],
        beside=pd.DataFrame(beside, columns=["model", "y", "low", "high", "parameters"]),
    )


def _size(tower: Tower) -> tuple[int, int]:
    return tower.depth, tower.width


def _rows(tower: Tower, group: VariantGroup, means: pd.DataFrame, all_widths: Sequence[int]) -> list[dict[str, Any]]:
    """One row, or one per width of a tower that has none."""
    name = tower.variant["name"]
    mean, low, high = (float(value) for value in means.loc[name, ENDS])
    return [
        {
            "label": str(tower.variant["label"]),
            "base": bool(tower.variant["base"]),
            "series": _width(width),
            "x": tower.depth,
            "y": mean,
            "low": low,
            "high": high,
            "parameters": figure(tower.variant, "num_parameters"),
            "epoch": group.seconds(name, "epoch_cpu_seconds"),
            "training": group.seconds(name, "training_seconds"),
            "rate": group.seconds(name, "queries_per_cpu_second"),
        }
        for width in ([tower.width] if tower.depth else all_widths)
    ]


def _width(width: int) -> str:
    return f"{formats.count(width)} units" if width else "no hidden layer"


def figures(found: Depth) -> list[Figure]:
    """Quality by depth, and the time of an epoch by depth where it was measured."""
    label = formats.metric_label(found.metric)
    layers = {"title": "hidden layers", "axis": alt.Axis(labelAngle=0)}
    level = ", a level line per baseline" if len(found.beside) else ""
    drawn = [
        Figure(
            key="depth",
            title=f"{label} by depth and width of the tower",
            alt=f"Line chart: quality with its interval by number of hidden layers, a line per width{level}.",
            sentence=sentence(found),
            spec=series_charts.lines(
                _drawn(found),
                {**model_styles(found.beside.model), **_styles(found)},
                alt.X("x:O", **layers),
                alt.Y("y:Q", title=f"{label}, mean over users", scale=alt.Scale(zero=False, padding=20)),
            ),
            table=_quality_table(found, label),
            section="depth",
        )
    ]
    timed = found.frame[found.frame.epoch.notna()]
    return [*drawn, _cost(found, timed, layers)] if len(timed) else drawn


def _styles(found: Depth) -> Styles:
    """Of the widths, first those that look like no model but the softmax DNN, then MF's, which isn't drawn here."""
    taken = {look(name).shape for name in found.beside.model}
    order = sorted(PALETTE, key=lambda style: (style.shape in taken, style.shape == look(MF).shape))
    return {label: order[place % len(order)] for place, label in enumerate(found.widths)}


def _drawn(found: Depth) -> pd.DataFrame:
    """Towers, and below them baselines, which have no layers and are the same at every depth."""
    columns = ["series", "x", "y", "low", "high"]
    if found.beside.empty:
        return found.frame[columns]
    depths = pd.DataFrame({"x": sorted(found.frame.x.unique())})
    level = found.beside.assign(series=found.beside.model.map(model_label)).merge(depths, how="cross")
    return pd.concat([level[columns], found.frame[columns]])


def _cost(found: Depth, timed: pd.DataFrame, layers: dict[str, Any]) -> Figure:
    return Figure(
        key="depth-cost",
        title="CPU time of an epoch by depth and width",
        alt="Line chart: CPU seconds of an epoch by number of hidden layers, a line per width.",
        sentence=_cost_sentence(timed),
        spec=series_charts.lines(
            timed.assign(y=timed.epoch)[["series", "x", "y"]],
            _styles(found),
            alt.X("x:O", **layers),
            alt.Y("y:Q", title="CPU seconds of an epoch", scale=alt.Scale(zero=True)),
            ".3s",
        ),
        table=_cost_table(found),
        section="depth",
    )


def sentence(found: Depth) -> str:
    """The best tower, beside the simplest."""
    best, simplest = found.frame.loc[found.frame.y.idxmax()], found.frame.iloc[0]
    told = [f"{formats.decimal(row.y, 3)} for {model_noun(row.model)}" for row in found.beside.itertuples()]
    beside = f" Beside them, learned from the same events: {formats.listing(told)}." if told else ""
    if best.label == simplest.label:
        return f"The simplest tower ({simplest.label}) is not beaten: {formats.decimal(simplest.y, 3)}.{beside}"
    return (
        f"{formats.sentence(best.label)} has the highest mean, {formats.decimal(best.y, 3)}; the simplest tower "
        f"({simplest.label}) has {formats.decimal(simplest.y, 3)}. Whether the deepest tower beats the shallowest, or "
        "the widest the narrowest, by more than chance is judged among the claims. The axis does not start at 0."
        f"{beside}"
    )


def _cost_sentence(timed: pd.DataFrame) -> str:
    dearest, cheapest = timed.loc[timed.epoch.idxmax()], timed.loc[timed.epoch.idxmin()]
    return (
        f"An epoch takes from {formats.duration(cheapest.epoch)} of CPU time ({cheapest.label}) to "
        f"{formats.duration(dearest.epoch)} ({dearest.label}), in the median of its epochs."
    )


def _quality_table(found: Depth, label: str) -> Table:
    named = [(_named(row), row) for row in found.frame.drop_duplicates("label").itertuples()]
    named += [(model_label(row.model), row) for row in found.beside.itertuples()]
    rows = [
        [
            name,
            f"{formats.decimal(row.y)} ({formats.decimal(row.low)} to {formats.decimal(row.high)})",
            or_dash(row.parameters, formats.count),
        ]
        for name, row in named
    ]
    corner = "Tower, or model" if len(found.beside) else "Tower"
    return text_table("What each tower brings", [corner, label, "Parameters"], rows)


def _cost_table(found: Depth) -> Table:
    rows = [
        [
            _named(row),
            or_dash(row.training, formats.duration),
            or_dash(row.epoch, formats.duration),
            or_dash(row.rate, lambda value: formats.count(round(value))),
        ]
        for row in found.frame.drop_duplicates("label").itertuples()
    ]
    return text_table(
        "What each tower costs", ["Tower", "Training, wall time", "Epoch, CPU time", "Queries per CPU second"], rows
    )


def _named(row: Any) -> str:
    return f"{row.label}{' (shipped)' if row.base else ''}"
