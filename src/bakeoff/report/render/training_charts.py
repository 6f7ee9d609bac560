"""Charts of training and of the search for settings, as Vega-Lite specifications."""

import altair as alt
import pandas as pd

from bakeoff.report.render.chart_parts import (
    FEW_TICKS,
    NARROW,
    SIZE,
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


def learning_curves(curve: pd.DataFrame, metric: str) -> Spec:
    """Validation metric per epoch; a large mark at the epoch that was chosen.

    Args:
        curve: model, epoch, value, chosen (bool).
        metric: label of the metric.
    """
    base = alt.Chart().encode(
        x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("value:Q", title=f"{metric}, validation", scale=alt.Scale(zero=False)),
        color=color(curve.model),
        tooltip=tooltip("model", epoch="d", value=".4f"),
    )
    chosen = (
        base.mark_point(filled=True, opacity=1, stroke="var(--surface)", strokeWidth=1)
        .encode(shape=shape(curve.model), size=SIZE)
        .transform_filter("datum.chosen")
    )
    progress = lines(base, curve.model, point=alt.OverlayMarkDef(size=18))
    return layered(named(curve, enlarged=2), [*progress, chosen], height=260)


def best_so_far(progress: pd.DataFrame, metric: str) -> Spec:
    """Best validation metric among the trials up to each; a mark where a trial was better than all before.

    Args:
        progress: model, trial (from 1), value, better (bool).
        metric: label of the metric.
    """
    base = alt.Chart().encode(
        x=alt.X(
            "trial:Q", title="trial", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(tickMinStep=1, format="d")
        ),
        y=alt.Y("value:Q", title=f"best {metric} so far, validation", scale=alt.Scale(zero=False)),
        color=color(progress.model),
        tooltip=tooltip("model", trial="d", value=".4f"),
    )
    better = (
        base.mark_point(filled=True, opacity=1)
        .encode(shape=shape(progress.model), size=SIZE)
        .transform_filter("datum.better")
    )
    return layered(named(progress), [*lines(base, progress.model, interpolate="step-after"), better], height=260)


def training_seconds(phases: pd.DataFrame) -> Spec:
    """Wall seconds of training, stacked by phase.

    Args:
        phases: model, phase (a label, in order), seconds.
    """
    order = present(phases.phase)
    opacity = alt.Scale(domain=order, range=[1.0, 0.6, 0.3][: len(order)])
    chart = (
        alt.Chart(named(phases).assign(place=lambda frame: frame.phase.map(order.index)))
        .mark_bar(height=16)
        .encode(
            x=alt.X("seconds:Q", title="wall seconds", axis=FEW_TICKS),
            y=alt.Y("model:N", sort=labels(phases.model), title=None, axis=alt.Axis(ticks=False)),
            color=color(phases.model).legend(None),
            opacity=alt.Opacity(
                "phase:N",
                scale=opacity,
                sort=order,
                legend=alt.Legend(
                    title=None,
                    columns={"expr": f"width < {NARROW} ? 1 : {len(order)}"},
                    symbolFillColor="var(--text)",
                    symbolStrokeWidth=0,
                ),
            ),
            order="place:O",
            tooltip=tooltip("model", "phase", seconds=".2f"),
        )
    )
    return finish(chart, height=32 * phases.model.nunique())
