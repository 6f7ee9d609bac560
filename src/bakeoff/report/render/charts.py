"""Charts of models as Vega-Lite specifications. Colours are CSS variables, which follow light and dark mode."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference
from bakeoff.report.models import MF, SOFTMAX
from bakeoff.report.render.chart_parts import (
    FEW_TICKS,
    NARROW,
    SIZE,
    WHOLE_NUMBERS,
    WIDTH,
    Spec,
    color,
    finish,
    interval_chart,
    labels,
    layered,
    model_lines,
    named,
    present,
    shape,
    tooltip,
)

SIDES = {Verdict.BETTER: "softmax DNN ahead", Verdict.WORSE: "MF ahead", Verdict.NO_EVIDENCE: "no difference"}
SIDE_AXIS = "← MF ahead · softmax DNN ahead →"
SIDE_COLOR = alt.Color(
    "side:N",
    scale=alt.Scale(domain=list(SIDES.values()), range=[f"var(--{SOFTMAX})", f"var(--{MF})", "var(--muted)"]),
    legend=None,
)
MARK_HEIGHT = 13
"""Pixels for one mark with its interval."""
GROUP_MARGIN = 18
"""Pixels between two groups of marks."""


def model_dots(table: pd.DataFrame, axis: str, title: str | None = None) -> Spec:
    """Mean and interval per group and model; the mark is open if a fallback answered.

    Args:
        table: model, group (a label, in order; a line break starts a second line), mean, low, high, fallback (bool).
        axis: what the means are.
        title: what the groups are, if the chart's title does not say it.
    """
    groups = present(table.group)
    height = MARK_HEIGHT * table.model.nunique() + GROUP_MARGIN
    base = alt.Chart().encode(
        y=alt.Y(
            "group:N",
            sort=groups,
            title=title,
            scale=alt.Scale(paddingInner=GROUP_MARGIN / height, paddingOuter=0.1),
            axis=alt.Axis(grid=False, ticks=False, labelExpr="split(datum.label, '\\n')"),
        ),
        yOffset=alt.YOffset("model:N", sort=labels(table.model)),
        color=color(table.model),
        tooltip=tooltip("model", "group", mean=".4f", low=".4f", high=".4f", fallback=None),
    )
    interval = base.mark_rule().encode(x=alt.X("low:Q", title=axis, axis=FEW_TICKS), x2="high:Q", strokeWidth=WIDTH)
    own = base.mark_point(filled=True, opacity=1).transform_filter("!datum.fallback")
    fallback = base.mark_point(filled=False, opacity=1, strokeWidth=2, fill="var(--page)")
    marks = [own, fallback.transform_filter("datum.fallback")] if table.fallback.any() else [own]
    x = alt.X("mean:Q", scale=alt.Scale(zero=True), axis=FEW_TICKS)
    points = [layer.encode(x=x, shape=shape(table.model), size=SIZE) for layer in marks]
    return layered(named(table), [interval, *points], height=height * len(groups))


def difference_chart(rows: Sequence[Difference]) -> Spec:
    """Paired differences softmax − MF with their intervals, a row per metric."""
    table = pd.DataFrame(
        [(formats.metric_label(d.metric), d.mean, d.low, d.high, d.p_holm, SIDES[d.verdict]) for d in rows],
        columns=["metric", "mean", "low", "high", "p_holm", "side"],
    )
    return interval_chart(table, "metric", SIDE_AXIS, SIDE_COLOR, p_holm=".4f")


def difference_histogram(bins: pd.DataFrame) -> Spec:
    """Distribution over users of the difference softmax − MF on one metric.

    Args:
        bins: as `binned` makes them.
    """
    reach = max(abs(bins.low[bins.users > 0]).max(), abs(bins.high[bins.users > 0]).max(), 0.1)
    x = alt.X("low:Q", title=SIDE_AXIS, scale=alt.Scale(domain=[-reach, reach]), axis=alt.Axis(format=".1f"))
    bars = (
        alt.Chart(bins[bins.low.abs().combine(bins.high.abs(), max) <= reach])
        .mark_bar(stroke="var(--surface)", strokeWidth=1)
        .encode(
            x=x,
            x2="high:Q",
            y=alt.Y("users:Q", title="users"),
            y2=alt.datum(0),
            color=SIDE_COLOR,
            tooltip=tooltip(**{"from": "+.1f", "to": "+.1f", "users": "d"}),
        )
    )
    return finish(bars, height=190)


def binned(values: NDArray[np.float64], step: float = 0.1) -> pd.DataFrame:
    """Users by their difference in [−1, 1]: bins of `step` on both sides, one of its own for exactly 0.

    Returns:
        low, high (drawn edges), from, to (true edges: from < difference ≤ to, mirrored below 0), users, side;
        ascending. The bar of 0 is a quarter as wide as the others.
    """
    half = step / 8
    rows = [(-half, half, 0.0, 0.0, int((values == 0).sum()), SIDES[Verdict.NO_EVIDENCE])]
    for place in range(round(1 / step)):
        start, end = round(place * step, 10), round((place + 1) * step, 10)
        edge = max(start, half)
        ahead = int(((values > start) & (values <= end)).sum())
        behind = int(((values < -start) & (values >= -end)).sum())
        rows.append((edge, end, start, end, ahead, SIDES[Verdict.BETTER]))
        rows.append((-end, -edge, -end, -start, behind, SIDES[Verdict.WORSE]))
    columns = ["low", "high", "from", "to", "users", "side"]
    return pd.DataFrame(rows, columns=columns).sort_values("low", ignore_index=True)


def profile_chart(profile: pd.DataFrame) -> Spec:
    """Share of list places by tenth of the catalogue, most popular first.

    Args:
        profile: source (model name or WATCHED), group (1 to 10), share in [0, 1].
    """
    table = profile.rename(columns={"source": "model"})
    base = alt.Chart().encode(
        x=alt.X("group:O", title="tenth of the catalogue, most popular first", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("share:Q", title="share of list places", axis=alt.Axis(format="%")),
        color=color(table.model),
        tooltip=tooltip("model", group="d", share=".1%"),
    )
    point = base.mark_point(filled=True, opacity=1).encode(shape=shape(table.model), size=SIZE)
    return layered(named(table, enlarged=0.8), [*model_lines(base, table.model), point], height=280)


def learning_curve_chart(curves: pd.DataFrame, metric: str) -> Spec:
    """Validation metric per epoch; a large mark at the epoch that was chosen.

    Args:
        curves: model, epoch, value, chosen (bool).
        metric: label of the metric.
    """
    base = _progress(curves, "epoch", alt.X("epoch:Q", title="epoch", axis=WHOLE_NUMBERS), f"{metric}, validation")
    chosen = base.mark_point(filled=True, opacity=1, stroke="var(--surface)", strokeWidth=1)
    chosen = chosen.encode(shape=shape(curves.model), size=SIZE).transform_filter("datum.chosen")
    progress = model_lines(base, curves.model, point=alt.OverlayMarkDef(size=18))
    shown = curves[["model", "epoch", "value", "chosen"]]
    return layered(named(shown, enlarged=2), [*progress, chosen], height=260)


def best_so_far(progress: pd.DataFrame, metric: str) -> Spec:
    """Best validation metric among the trials up to each; a mark where a trial was better than all before.

    Args:
        progress: model, trial (from 1), value, better (bool).
        metric: label of the metric.
    """
    x = alt.X("trial:Q", title="trial", scale=alt.Scale(zero=False, nice=False), axis=WHOLE_NUMBERS)
    base = _progress(progress, "trial", x, f"best {metric} so far, validation")
    better = base.mark_point(filled=True, opacity=1).encode(shape=shape(progress.model), size=SIZE)
    steps = model_lines(base, progress.model, interpolate="step-after")
    return layered(named(progress), [*steps, better.transform_filter("datum.better")], height=260)


def training_time_chart(phases: pd.DataFrame) -> Spec:
    """Wall seconds of training, stacked by phase.

    Args:
        phases: model, phase (a label, in order), seconds.
    """
    order = present(phases.phase)
    legend = alt.Legend(
        title=None,
        columns={"expr": f"width < {NARROW} ? 1 : {len(order)}"},
        symbolFillColor="var(--text)",
        symbolStrokeWidth=0,
    )
    opacity = alt.Scale(domain=order, range=[1.0, 0.6, 0.3][: len(order)])
    chart = (
        alt.Chart(named(phases).assign(place=lambda frame: frame.phase.map(order.index)))
        .mark_bar(height=16)
        .encode(
            x=alt.X("seconds:Q", title="wall seconds", axis=FEW_TICKS),
            y=alt.Y("model:N", sort=labels(phases.model), title=None, axis=alt.Axis(ticks=False)),
            color=color(phases.model).legend(None),
            opacity=alt.Opacity("phase:N", scale=opacity, sort=order, legend=legend),
            order="place:O",
            tooltip=tooltip("model", "phase", seconds=".2f"),
        )
    )
    return finish(chart, height=32 * phases.model.nunique())


def _progress(table: pd.DataFrame, step: str, x: alt.X, title: str) -> alt.Chart:
    """A value per model and step."""
    return alt.Chart().encode(
        x=x,
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        color=color(table.model),
        tooltip=tooltip("model", **{step: "d", "value": ".4f"}),
    )
