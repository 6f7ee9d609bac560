"""Charts of accuracy and popularity as Vega-Lite specifications.

Colours are CSS variables that follow light and dark.
"""

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.stats.tests import Verdict
from bakeoff.report.chart_parts import (
    FEW_TICKS,
    SIZE,
    WIDTH,
    Spec,
    color,
    finish,
    labels,
    layered,
    lines,
    named,
    present,
    shape,
    tooltip,
)
from bakeoff.report.models import MF, SOFTMAX

SIDES = {
    Verdict.BETTER: "softmax DNN ahead",
    Verdict.WORSE: "MF ahead",
    Verdict.NO_EVIDENCE: "no difference",
}
MARK_HEIGHT = 13
"""Pixels for one mark with its interval."""
GROUP_MARGIN = 18
"""Pixels between two groups of marks."""


def dots(table: pd.DataFrame, axis: str, title: str | None = None) -> Spec:
    """Mean and interval per group and model; where a fallback answered, the mark is open.

    Args:
        table: model, group (a label, in order; a line break starts a second line), mean, low, high, fallback (bool).
        axis: what the means are.
        title: what the groups are, where the chart's title does not say it.
    """
    groups = present(table.group)
    base = alt.Chart().encode(
        y=alt.Y(
            "group:N",
            sort=groups,
            title=title,
            scale=alt.Scale(paddingInner=GROUP_MARGIN / _group_height(table), paddingOuter=0.1),
            axis=alt.Axis(grid=False, ticks=False, labelExpr="split(datum.label, '\\n')"),
        ),
        yOffset=alt.YOffset("model:N", sort=labels(table.model)),
        color=color(table.model),
        tooltip=tooltip("model", "group", mean=".4f", low=".4f", high=".4f", fallback=None),
    )
    interval = base.mark_rule().encode(x=alt.X("low:Q", title=axis, axis=FEW_TICKS), x2="high:Q", strokeWidth=WIDTH)
    own = base.mark_point(filled=True, opacity=1).transform_filter("!datum.fallback")
    fallback = base.mark_point(filled=False, opacity=1, strokeWidth=2, fill="var(--page)").transform_filter(
        "datum.fallback"
    )
    points = [
        layer.encode(
            x=alt.X("mean:Q", scale=alt.Scale(zero=True), axis=FEW_TICKS),
            shape=shape(table.model),
            size=SIZE,
        )
        for layer in ([own, fallback] if table.fallback.any() else [own])
    ]
    return layered(named(table), [interval, *points], height=_group_height(table) * len(groups))


def differences(table: pd.DataFrame) -> Spec:
    """Paired differences softmax − MF with their intervals around a line at 0.

    Args:
        table: metric (a label), mean, low, high, p_holm, verdict.
    """
    metrics = present(table.metric)
    base = alt.Chart().encode(
        y=alt.Y("metric:N", sort=metrics, title=None, axis=alt.Axis(grid=False, ticks=False)),
        color=alt.Color("side:N", scale=_sides(), legend=None),
        tooltip=tooltip("metric", mean="+.4f", low="+.4f", high="+.4f", p_holm=".4f"),
    )
    title = "← MF ahead · softmax DNN ahead →"
    axis = alt.X("low:Q", title=title, axis=FEW_TICKS, scale=alt.Scale(padding=8))
    interval = base.mark_rule(strokeWidth=3).encode(x=axis, x2="high:Q")
    point = base.mark_point(filled=True, size=70, opacity=1).encode(x="mean:Q")
    return layered(
        table.assign(side=table.verdict.map(SIDES)), [_zero_line(), interval, point], height=26 * len(metrics)
    )


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
            tooltip=tooltip(**{"from": "+.1f", "to": "+.1f", "users": "d"}),
        )
    )
    return finish(bars, height=190)


def binned(values: NDArray[np.float64], step: float = 0.1) -> pd.DataFrame:
    """Users by their difference in [−1, 1]: bins of `step` on both sides, one of its own for exactly 0.

    Returns:
        low, high (drawn edges), from, to (true edges: from < difference ≤ to, mirrored below 0), users, side;
        ascending. The bar of 0 is drawn a quarter as wide as the others.
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


def popularity_profile(profile: pd.DataFrame) -> Spec:
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
    return layered(named(table, enlarged=0.8), [*lines(base, table.model), point], height=280)


def _group_height(table: pd.DataFrame) -> int:
    return MARK_HEIGHT * len(present(table.model)) + GROUP_MARGIN


def _sides() -> alt.Scale:
    return alt.Scale(domain=list(SIDES.values()), range=[f"var(--{SOFTMAX})", f"var(--{MF})", "var(--muted)"])


def _zero_line() -> alt.Chart:
    return (
        alt.Chart(pd.DataFrame({"zero": [0]}))
        .mark_rule(strokeDash=[4, 3], stroke="var(--muted)", strokeWidth=1.5)
        .encode(x="zero:Q")
    )
