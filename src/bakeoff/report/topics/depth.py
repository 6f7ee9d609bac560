"""Depth and width of the tower: the claim about them, their quality and their cost."""

from collections.abc import Iterator, Mapping
from itertools import cycle, groupby
from operator import attrgetter
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, Variant, VariantGroup, resolved
from bakeoff.report.formats import decimal
from bakeoff.report.models import MF, PALETTE, SOFTMAX, Styles, look, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, caption, record_table
from bakeoff.report.topics.base.claims import CLAIMS, Expected, Form, Question
from bakeoff.report.topics.base.judge import of_variants, on_costs, on_users, repeated_figure, unknown
from bakeoff.report.topics.base.topic import Page, Topic, estimates

CLAIM = CLAIMS["depth"]

EPOCH_SECONDS, QUERY_RATE = "epoch_cpu_seconds", "queries_per_cpu_second"
COSTS = {EPOCH_SECONDS: "epoch", "training_seconds": "training", QUERY_RATE: "rate"}
"""Measured cost of a variant → its column."""
NO_SIDES: Mapping[str, Any] = {"first": "", "second": ""}
LAYERS = alt.X("x:O", title="hidden layers", axis=alt.Axis(labelAngle=0))


class Tower(NamedTuple):
    """Number of hidden layers and units of the widest, 0 and 0 without any; the variant of the softmax DNN."""

    depth: int
    width: int
    variant: Variant


def _towers(group: VariantGroup, params: ReportParams) -> list[Tower]:
    """The softmax variants from shallow to deep, those of one depth from narrow to wide."""
    hidden = [(resolved(variant, "softmax.hidden", params), variant) for variant in group.of(SOFTMAX)]
    towers = [Tower(len(units), max(map(int, units), default=0), variant) for units, variant in hidden]
    return sorted(towers, key=lambda tower: tower[:2])


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """The deepest tower against the shallowest and the widest against the narrowest, by quality and by cost."""
    group = evidence.part("depth")
    if isinstance(group, NotMeasured):
        return [unknown(CLAIM.wording("deep", label="quality", **NO_SIDES), group.reason)]
    metric, found = params.compare.primary_metric, _towers(group, params)
    deepest, shallowest = found[-1], found[0]
    by_depth = (deepest, shallowest) if deepest.depth > shallowest.depth else None
    # Two towers of the same depth, the greatest at which widths differ.
    alike = [[*towers] for depth, towers in groupby(found, key=attrgetter("depth")) if depth]
    by_width = next(((same[-1], same[0]) for same in reversed(alike) if same[-1].width > same[0].width), None)
    parts = (
        ("deep", by_depth, metric),
        ("wide", by_width, metric),
        ("epoch", by_depth, EPOCH_SECONDS),
        ("wide_epoch", by_width, EPOCH_SECONDS),
        ("queries", by_depth, QUERY_RATE),
    )
    return of_variants([_question(group, *part) for part in parts])


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


def by_depth(group: VariantGroup, params: ReportParams, statistics: Statistics) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Towers, and models without a tower on the same users.

    A tower without hidden layers has no width: the line of every width starts with it.

    Returns:
        model, label, base, name, y (mean), low, high, num_parameters, epoch (CPU seconds), training (seconds), rate
        (queries per CPU second); of towers also x (hidden layers), width (units) and series (the same in words).
    """
    found, metric = _towers(group, params), params.compare.primary_metric
    columns = [(v["name"], "", group.values(v["name"], metric).to_numpy(np.float64)) for v in group.variants]
    means = estimates(columns, statistics).set_index("group")[["mean", "low", "high"]].rename(columns={"mean": "y"})
    names = pd.DataFrame(group.variants, columns=["name", "model", "label", "base", "num_parameters"]).set_index("name")
    costs = pd.DataFrame.from_dict(group.cost, "index").reindex(columns=[*COSTS]).astype(float).rename(columns=COSTS)
    known = names.join(costs).join(means, how="inner")
    known["name"] = known.label.where(~known.base, known.label + " (shipped)")
    widths = sorted({tower.width for tower in found if tower.depth}) or [0]
    places = [(t.variant["name"], t.depth, width) for t in found for width in ([t.width] if t.depth else widths)]
    shown, depths, units = zip(*places, strict=True)
    towers = known.loc[[*shown]].reset_index(drop=True).assign(x=depths, width=units)
    towers["series"] = [f"{formats.count(width)} units" if width else "no hidden layer" for width in units]
    return towers, known[known.model != SOFTMAX]


def _charts(group: VariantGroup, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    """Quality by depth, and the time of an epoch by depth where it was measured."""
    towers, baselines = by_depth(group, params, statistics)
    label, styles = formats.metric_label(params.compare.primary_metric), _styles(towers, baselines)
    best, others = towers.loc[towers.y.idxmax()], [*baselines.itertuples()]
    named = baselines.assign(name=baselines.model.map(model_label))
    rows = pd.concat([towers.drop_duplicates("label"), named])
    y = alt.Y("y:Q", title=f"{label}, mean over users", scale=alt.Scale(zero=False, padding=20))
    of_all = {**model_styles(baselines.model), **styles}
    yield Figure(
        "depth",
        *caption("depth", label=label, best=best, simplest=towers.iloc[0], others=others),
        spec=series_charts.series_lines(_drawn(towers, baselines), of_all, LAYERS, y),
        table=record_table(
            "Quality of each tower",
            rows.itertuples(),
            ("Tower, or model" if others else "Tower", lambda row: row.name),
            (label, lambda row: f"{decimal(row.y)} ({decimal(row.low)} to {decimal(row.high)})"),
            ("Parameters", lambda row: formats.count(row.num_parameters)),
        ),
    )
    if towers.epoch.notna().any():
        yield _cost(towers, styles)


def _styles(towers: pd.DataFrame, baselines: pd.DataFrame) -> Styles:
    """Styles of the widths: first those unlike any model that is drawn, MF's style last."""
    taken = {look(name).shape for name in baselines.model}
    order = sorted(PALETTE, key=lambda style: (style.shape in taken, style.shape == look(MF).shape))
    return dict(zip(dict.fromkeys(towers.sort_values("width").series), cycle(order), strict=False))


def _drawn(towers: pd.DataFrame, baselines: pd.DataFrame) -> pd.DataFrame:
    """Towers, and below them baselines, which have no layers and are the same at every depth."""
    depths = pd.DataFrame({"x": sorted(towers.x.unique())})
    level = baselines.assign(series=baselines.model.map(model_label)).merge(depths, how="cross")
    return pd.concat([level, towers])[["series", "x", "y", "low", "high"]]


def _cost(towers: pd.DataFrame, styles: Styles) -> Figure:
    timed = towers[towers.epoch.notna()]
    dearest, cheapest = timed.loc[timed.epoch.idxmax()], timed.loc[timed.epoch.idxmin()]
    y = alt.Y("y:Q", title="CPU seconds of an epoch", scale=alt.Scale(zero=True))
    return Figure(
        "depth-cost",
        *caption("depth-cost", cheapest=cheapest, dearest=dearest),
        spec=series_charts.series_lines(timed.assign(y=timed.epoch)[["series", "x", "y"]], styles, LAYERS, y, ".3s"),
        table=record_table(
            "Cost of each tower",
            towers.drop_duplicates("label").itertuples(),
            ("Tower", lambda row: row.name),
            ("Training, wall time", lambda row: formats.duration(row.training)),
            ("Epoch, CPU time", lambda row: formats.duration(row.epoch)),
            ("Queries per CPU second", lambda row: formats.count(row.rate + 0.5)),
        ),
    )


TOPIC = Topic("depth", 430, Page.EVIDENCE, "depth", _charts, "Cost", "Depth and width", CLAIM, _ask, "depth")
