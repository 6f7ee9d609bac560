"""Depth and width of the tower: the claim about them, their quality and their cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, Variant, VariantGroup, figure, resolved
from bakeoff.report.formats import decimal
from bakeoff.report.models import MF, PALETTE, SOFTMAX, Styles, look, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, caption, record_table
from bakeoff.report.topics.base.claims import CLAIMS, Expected, Form, Question
from bakeoff.report.topics.base.judge import of_variants, on_costs, on_users, repeated_figure, unknown
from bakeoff.report.topics.base.topic import Page, Topic, estimates

CLAIM = CLAIMS["depth"]

EPOCH_SECONDS, QUERY_RATE = "epoch_cpu_seconds", "queries_per_cpu_second"
ENDS = ["y", "low", "high"]
NO_SIDES: Mapping[str, Any] = {"first": "", "second": ""}


class Tower(NamedTuple):
    """Number of hidden layers and units of the widest, 0 and 0 without any; the variant of the softmax DNN."""

    depth: int
    width: int
    variant: Variant


@dataclass(frozen=True)
class TowerFigures:
    """Towers by depth and width.

    Attributes:
        metric: that measures quality.
        frame: label, name, series (the width), x (hidden layers), y (mean), low, high, parameters, epoch (CPU seconds),
            training (seconds), rate (queries per CPU second).
        widths: labels of the widths.
        others: models without a tower on the same users: model, y (mean), low, high, parameters.
    """

    metric: str
    frame: pd.DataFrame
    widths: Sequence[str]
    others: pd.DataFrame


def _towers(group: VariantGroup, params: ReportParams) -> list[Tower]:
    """The softmax variants from shallow to deep, those of one depth from narrow to wide."""
    hidden = [(resolved(variant, "softmax.hidden", params), variant) for variant in group.of(SOFTMAX)]
    towers = [Tower(len(units), max(map(int, units), default=0), variant) for units, variant in hidden]
    return sorted(towers, key=_size)


def _size(tower: Tower) -> tuple[int, int]:
    return tower.depth, tower.width


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """The deepest tower against the shallowest and the widest against the narrowest, by quality and by cost."""
    group = evidence.measured.group("depth")
    if isinstance(group, NotMeasured):
        return [unknown(CLAIM.wording("deep", label="quality", **NO_SIDES), group.reason)]
    metric, found = params.compare.primary_metric, _towers(group, params)
    by_depth, by_width = _deepest_and_shallowest(found), _widest_and_narrowest(found)
    parts = (
        ("deep", by_depth, metric),
        ("wide", by_width, metric),
        ("epoch", by_depth, EPOCH_SECONDS),
        ("wide_epoch", by_width, EPOCH_SECONDS),
        ("queries", by_depth, QUERY_RATE),
    )
    return of_variants([_question(group, *part) for part in parts], params)


def _question(group: VariantGroup, key: str, pair: tuple[Tower, Tower] | None, figure_name: str) -> Question:
    label = formats.metric_label(figure_name)
    if pair is None:
        return unknown(CLAIM.wording(key, label=label, **NO_SIDES), "No two towers differ in it alone.")
    first, second = (tower.variant for tower in pair)
    words = CLAIM.wording(key, label=label, first=first["label"], second=second["label"])
    if figure_name not in (EPOCH_SECONDS, QUERY_RATE):
        return on_users(group, words, (first["name"], second["name"]), figure_name)
    form, basis, expected = {
        EPOCH_SECONDS: (Form.SECONDS, "the epochs of one training each", Expected.LARGER),
        QUERY_RATE: (Form.RATE, "repeated measurements", Expected.SMALLER),
    }[figure_name]
    costs = [repeated_figure(group.cost.get(each["name"]), figure_name) for each in (first, second)]
    return on_costs(words, costs, form, basis, expected)


def _deepest_and_shallowest(found: list[Tower]) -> tuple[Tower, Tower] | None:
    """The deepest tower, the widest among equals, and the shallowest; None where all have the same depth."""
    if not found:
        return None
    deep, shallow = max(found, key=_size), found[0]
    return (deep, shallow) if deep.depth > shallow.depth else None


def _widest_and_narrowest(found: list[Tower]) -> tuple[Tower, Tower] | None:
    """Two towers of the same depth, the greatest at which widths differ; None without such a depth."""
    for depth in sorted({tower.depth for tower in found if tower.depth}, reverse=True):
        same = [tower for tower in found if tower.depth == depth]
        if same[0].width < same[-1].width:
            return same[-1], same[0]
    return None


def _measure(group: VariantGroup, params: ReportParams, statistics: Statistics) -> TowerFigures | None:
    """None without towers. A tower without hidden layers has no width: the line of every width starts with it."""
    found = _towers(group, params)
    if not found:
        return None
    metric = params.compare.primary_metric
    others = [variant for variant in group.variants if variant["model"] != SOFTMAX]
    names = [str(variant["name"]) for variant in (*group.of(SOFTMAX), *others)]
    columns = [(name, "", group.values(name, metric).to_numpy(np.float64)) for name in names]
    frame = estimates(columns, statistics).rename(columns={"mean": "y"})
    means = frame.set_index("group")[ENDS].to_dict("index")
    widths = sorted({tower.width for tower in found if tower.depth}) or [0]
    rows = [
        {"series": _width(width), "x": tower.depth, **means[tower.variant["name"]], **_figures(tower.variant, group)}
        for tower in found
        for width in ([tower.width] if tower.depth else widths)
    ]
    levels = [
        {"model": str(each["model"]), **means[each["name"]], "parameters": figure(each, "num_parameters")}
        for each in others
        if each["name"] in means
    ]
    baselines = pd.DataFrame(levels, columns=["model", *ENDS, "parameters"])
    return TowerFigures(metric, pd.DataFrame(rows), [_width(width) for width in widths], baselines)


def _figures(variant: Variant, group: VariantGroup) -> dict[str, Any]:
    """Names of a tower, its size, and what it costs."""
    cost, label = group.cost.get(variant["name"]), str(variant["label"])
    return {
        "label": label,
        "name": f"{label} (shipped)" if variant["base"] else label,
        "parameters": figure(variant, "num_parameters"),
        "epoch": figure(cost, EPOCH_SECONDS),
        "training": figure(cost, "training_seconds"),
        "rate": figure(cost, QUERY_RATE),
    }


def _width(width: int) -> str:
    return f"{formats.count(width)} units" if width else "no hidden layer"


def _draw(found: TowerFigures) -> Iterator[Figure]:
    """Quality by depth, and the time of an epoch by depth where it was measured."""
    label = formats.metric_label(found.metric)
    best, others = found.frame.loc[found.frame.y.idxmax()], [*found.others.itertuples()]
    looks = {**model_styles(found.others.model), **_styles(found)}
    named = found.others.assign(name=found.others.model.map(model_label))
    rows = pd.concat([found.frame.drop_duplicates("label"), named])
    yield Figure(
        "depth",
        *caption("depth", label=label, best=best, simplest=found.frame.iloc[0], others=others),
        spec=series_charts.series_lines(
            _drawn(found),
            looks,
            alt.X("x:O", title="hidden layers", axis=alt.Axis(labelAngle=0)),
            alt.Y("y:Q", title=f"{label}, mean over users", scale=alt.Scale(zero=False, padding=20)),
        ),
        table=record_table(
            "Quality of each tower",
            rows.itertuples(),
            ("Tower, or model" if others else "Tower", lambda row: row.name),
            (label, lambda row: f"{decimal(row.y)} ({decimal(row.low)} to {decimal(row.high)})"),
            ("Parameters", lambda row: formats.count(row.parameters)),
        ),
    )
    timed = found.frame[found.frame.epoch.notna()]
    if len(timed):
        yield _cost(found, timed)


def _styles(found: TowerFigures) -> Styles:
    """Styles of the widths: first those unlike any model that is drawn, MF's style last."""
    taken = {look(name).shape for name in found.others.model}
    order = sorted(PALETTE, key=lambda style: (style.shape in taken, style.shape == look(MF).shape))
    return {label: order[place % len(order)] for place, label in enumerate(found.widths)}


def _drawn(found: TowerFigures) -> pd.DataFrame:
    """Towers, and below them baselines, which have no layers and are the same at every depth."""
    columns = ["series", "x", "y", "low", "high"]
    if found.others.empty:
        return found.frame[columns]
    depths = pd.DataFrame({"x": sorted(found.frame.x.unique())})
    level = found.others.assign(series=found.others.model.map(model_label)).merge(depths, how="cross")
    return pd.concat([level[columns], found.frame[columns]])


def _cost(found: TowerFigures, timed: pd.DataFrame) -> Figure:
    dearest, cheapest = timed.loc[timed.epoch.idxmax()], timed.loc[timed.epoch.idxmin()]
    return Figure(
        "depth-cost",
        *caption("depth-cost", cheapest=cheapest, dearest=dearest),
        spec=series_charts.series_lines(
            timed.assign(y=timed.epoch)[["series", "x", "y"]],
            _styles(found),
            alt.X("x:O", title="hidden layers", axis=alt.Axis(labelAngle=0)),
            alt.Y("y:Q", title="CPU seconds of an epoch", scale=alt.Scale(zero=True)),
            ".3s",
        ),
        table=record_table(
            "Cost of each tower",
            found.frame.drop_duplicates("label").itertuples(),
            ("Tower", lambda row: row.name),
            ("Training, wall time", lambda row: formats.duration(row.training)),
            ("Epoch, CPU time", lambda row: formats.duration(row.epoch)),
            ("Queries per CPU second", lambda row: formats.count(row.rate + 0.5)),
        ),
    )


TOPIC = Topic("depth", 430, Page.EVIDENCE, "depth", _measure, _draw, "Cost", "Depth and width", CLAIM, _ask, "depth")
