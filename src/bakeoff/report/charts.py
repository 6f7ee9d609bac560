"""The report's charts as Vega-Lite specifications; colours are CSS variables that follow light and dark."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.significance import Verdict
from bakeoff.report.exposure import WATCHED
from bakeoff.report.formats import MODEL_LABELS, model_label

Spec = dict[str, Any]

COLORS = {
    "popularity": "var(--popularity)",
    "mf": "var(--mf)",
    "softmax": "var(--softmax)",
    WATCHED: "var(--text)",
}
SHAPES = {"popularity": "square", "mf": "circle", "softmax": "diamond", WATCHED: "triangle-up"}
FONT = "system-ui, sans-serif"
FEW_TICKS = alt.Axis(tickCount=6)
SIDES = {
    Verdict.BETTER: "softmax DNN ahead",
    Verdict.WORSE: "MF ahead",
    Verdict.NO_EVIDENCE: "no difference",
}
ROW_HEIGHT = 44
"""Pixels for one metric with a mark per model."""


def accuracy(estimates: pd.DataFrame) -> Spec:
    """Mean and interval per metric and model.

    Args:
        estimates: model, metric (a label), mean, low, high.
    """
    metrics = list(dict.fromkeys(estimates.metric))
    base = alt.Chart(_named(estimates)).encode(
        y=alt.Y(
            "metric:N",
            sort=metrics,
            title=None,
            scale=alt.Scale(paddingInner=0.25),
            axis=alt.Axis(grid=False, ticks=False),
        ),
        yOffset=alt.YOffset("model:N", sort=list(MODEL_LABELS.values())),
        color=_color(estimates.model),
        tooltip=_tooltip("model", "metric", mean=".4f", low=".4f", high=".4f"),
    )
    interval = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title="mean over users", axis=FEW_TICKS), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=alt.X("mean:Q", scale=alt.Scale(zero=True), axis=FEW_TICKS), shape=_shape(estimates.model)
    )
    return _finish(alt.layer(interval, point), height=ROW_HEIGHT * len(metrics))


def differences(table: pd.DataFrame) -> Spec:
    """Paired differences softmax − MF with their intervals around a line at 0.

    Args:
        table: metric (a label), mean, low, high, p_holm, verdict.
    """
    metrics = list(dict.fromkeys(table.metric))
    base = alt.Chart(table.assign(side=table.verdict.map(SIDES))).encode(
        y=alt.Y("metric:N", sort=metrics, title=None, axis=alt.Axis(grid=False, ticks=False)),
        color=alt.Color("side:N", scale=_sides(), legend=None),
        tooltip=_tooltip("metric", mean="+.4f", low="+.4f", high="+.4f", p_holm=".4f"),
    )
    title = "← MF ahead · softmax DNN ahead →"
    axis = alt.X("low:Q", title=title, axis=FEW_TICKS, scale=alt.Scale(padding=8))
    interval = base.mark_rule(strokeWidth=3).encode(x=axis, x2="high:Q")
    point = base.mark_point(filled=True, size=70, opacity=1).encode(x="mean:Q")
    return _finish(alt.layer(_zero_line(), interval, point), height=26 * len(metrics))


def difference_histogram(bins: pd.DataFrame) -> Spec:
    """How the difference softmax − MF on one metric is spread over users.

    Args:
        bins: as `binned` makes them.
    """
    reach = max(abs(bins.low[bins.users > 0]).max(), abs(bins.high[bins.users > 0]).max(), 0.1)
    bars = (
        alt.Chart(bins[bins.low.abs().combine(bins.high.abs(), max) <= reach])
        .mark_bar(stroke="var(--surface)", strokeWidth=1)
        .encode(
            x=alt.X(
                "low:Q",
                title="← MF ahead · softmax DNN ahead →",
                scale=alt.Scale(domain=[-reach, reach]),
                axis=alt.Axis(format=".1f"),
            ),
            x2="high:Q",
            y=alt.Y("users:Q", title="users"),
            y2=alt.datum(0),
            color=alt.Color("side:N", scale=_sides(), legend=None),
            tooltip=_tooltip(**{"from": "+.1f", "to": "+.1f", "users": "d"}),
        )
    )
    return _finish(bars, height=190)


def binned(values: NDArray[np.float64], width: float = 0.1) -> pd.DataFrame:
    """Users by their difference in [−1, 1]: bins of `width` on both sides, one of its own for exactly 0.

    Returns:
        low, high (drawn edges), from, to (true edges: from < difference ≤ to, mirrored below 0), users, side;
        ascending. The bar of 0 is drawn a quarter as wide as the others.
    """
    half = width / 8
    rows = [(-half, half, 0.0, 0.0, int((values == 0).sum()), SIDES[Verdict.NO_EVIDENCE])]
    for step in range(round(1 / width)):
        start, end = round(step * width, 10), round((step + 1) * width, 10)
        edge = max(start, half)
        ahead = int(((values > start) & (values <= end)).sum())
        behind = int(((values < -start) & (values >= -end)).sum())
        rows.append((edge, end, start, end, ahead, SIDES[Verdict.BETTER]))
        rows.append((-end, -edge, -end, -start, behind, SIDES[Verdict.WORSE]))
    columns = ["low", "high", "from", "to", "users", "side"]
    return pd.DataFrame(rows, columns=columns).sort_values("low", ignore_index=True)


def popularity_profile(profile: pd.DataFrame) -> Spec:
    """Share of list places by tenth of the catalogue, most popular first.

    Args:
        profile: source (model name or WATCHED), group (1 to 10), share in [0, 1].
    """
    table = _named(profile.rename(columns={"source": "model"}))
    base = alt.Chart(table).encode(
        x=alt.X("group:O", title="tenth of the catalogue, most popular first", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("share:Q", title="share of list places", axis=alt.Axis(format="%")),
        color=_color(profile.source).legend(title=None, columns=2),
        tooltip=_tooltip("model", group="d", share=".1%"),
    )
    line = base.mark_line(strokeWidth=2).encode(strokeDash=_dash(profile.source))
    point = base.mark_point(filled=True, size=46, opacity=1).encode(shape=_shape(profile.source))
    return _finish(alt.layer(line, point), height=260)


def groups(table: pd.DataFrame, metric: str, axis: str) -> Spec:
    """A metric per group and model; where a fallback answered, the mark is open.

    Args:
        table: model, group (a label, in order), mean, low, high, fallback (bool).
        metric: label of the metric.
        axis: what the groups are.
    """
    order = list(dict.fromkeys(table.group))
    base = alt.Chart(_named(table)).encode(
        x=alt.X("group:N", sort=order, title=axis, axis=alt.Axis(labelAngle=0, labelOverlap=False)),
        xOffset=alt.XOffset("model:N", sort=list(MODEL_LABELS.values())),
        color=_color(table.model),
        tooltip=_tooltip("model", "group", mean=".4f", low=".4f", high=".4f", fallback=None),
    )
    interval = base.mark_rule(strokeWidth=2.5).encode(y=alt.Y("low:Q", title=metric, axis=FEW_TICKS), y2="high:Q")
    own = base.mark_point(filled=True, size=64, opacity=1).transform_filter("!datum.fallback")
    fallback = base.mark_point(filled=False, size=64, opacity=1, strokeWidth=2, fill="var(--page)").transform_filter(
        "datum.fallback"
    )
    layers = [own, fallback] if table.fallback.any() else [own]
    points = [layer.encode(y="mean:Q", shape=_shape(table.model)) for layer in layers]
    return _finish(alt.layer(interval, *points), height=260)


def learning_curves(curve: pd.DataFrame, metric: str) -> Spec:
    """Validation metric per epoch; a large mark at the epoch that was chosen.

    Args:
        curve: model, epoch, value, chosen (bool).
        metric: label of the metric.
    """
    base = alt.Chart(_named(curve)).encode(
        x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("value:Q", title=f"{metric}, validation", scale=alt.Scale(zero=False)),
        color=_color(curve.model),
        tooltip=_tooltip("model", epoch="d", value=".4f"),
    )
    line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=18))
    chosen = (
        base.mark_point(filled=True, size=170, opacity=1, stroke="var(--surface)", strokeWidth=2)
        .encode(shape=_shape(curve.model))
        .transform_filter("datum.chosen")
    )
    return _finish(alt.layer(line, chosen), height=260)


def training_seconds(phases: pd.DataFrame) -> Spec:
    """Wall seconds of training, stacked by phase.

    Args:
        phases: model, phase (a label, in order), seconds.
    """
    order = list(dict.fromkeys(phases.phase))
    opacity = alt.Scale(domain=order, range=[1.0, 0.6, 0.3][: len(order)])
    chart = (
        alt.Chart(_named(phases).assign(place=phases.phase.map(order.index)))
        .mark_bar(height=22)
        .encode(
            x=alt.X("seconds:Q", title="wall seconds", axis=FEW_TICKS),
            y=alt.Y("model:N", sort=list(MODEL_LABELS.values()), title=None, axis=alt.Axis(ticks=False)),
            color=alt.Color("model:N", scale=_scale(phases.model, COLORS), legend=None),
            opacity=alt.Opacity(
                "phase:N",
                scale=opacity,
                sort=order,
                legend=alt.Legend(title=None, symbolFillColor="var(--text)", symbolStrokeWidth=0),
            ),
            order="place:O",
            tooltip=_tooltip("model", "phase", seconds=".2f"),
        )
    )
    return _finish(chart, height=44 * phases.model.nunique())


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(model=table.model.map(model_label))


def _scale(names: pd.Series, values: Mapping[str, str]) -> alt.Scale:
    present = list(dict.fromkeys(names))
    return alt.Scale(domain=[model_label(name) for name in present], range=[values[name] for name in present])


def _color(names: pd.Series) -> alt.Color:
    return alt.Color("model:N", scale=_scale(names, COLORS), legend=alt.Legend(title=None))


def _shape(names: pd.Series) -> alt.Shape:
    return alt.Shape("model:N", scale=_scale(names, SHAPES), legend=alt.Legend(title=None))


def _dash(names: pd.Series) -> alt.StrokeDash:
    present = list(dict.fromkeys(names))
    dashes = [[4, 4] if name == WATCHED else [1, 0] for name in present]
    scale = alt.Scale(domain=[model_label(name) for name in present], range=dashes)
    return alt.StrokeDash("model:N", scale=scale, legend=alt.Legend(title=None))


def _sides() -> alt.Scale:
    return alt.Scale(domain=list(SIDES.values()), range=[COLORS["softmax"], COLORS["mf"], "var(--muted)"])


def _zero_line() -> alt.Chart:
    return (
        alt.Chart(pd.DataFrame({"zero": [0]}))
        .mark_rule(strokeDash=[4, 3], stroke="var(--muted)", strokeWidth=1.5)
        .encode(x="zero:Q")
    )


def _tooltip(*names: str, **formats: str | None) -> list[alt.Tooltip]:
    plain = [alt.Tooltip(f"{name}:N") for name in names]
    return plain + [
        alt.Tooltip(f"{name}:Q", format=form) if form else alt.Tooltip(f"{name}:N") for name, form in formats.items()
    ]


def _finish(chart: Any, height: int) -> Spec:
    """Fill the width of the page, and take text and grid colours from it."""
    quiet = {"labelColor": "var(--text)", "titleColor": "var(--muted)", "gridColor": "var(--grid)"}
    line = {"domainColor": "var(--grid)", "tickColor": "var(--grid)", "titleFontWeight": "normal"}
    spec: Spec = (
        chart.properties(width="container", height=height, background="transparent")
        .configure(font=FONT, aria=False)
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=12, titlePadding=8, labelLimit=140, **quiet, **line)
        .configure_legend(
            orient="top", direction="horizontal", labelColor="var(--text)", labelFontSize=12, symbolSize=70
        )
        .to_dict()
    )
    spec.pop("$schema", None)
    return spec
