"""The charts of the comparison, each with its alternative text, its sentence and the table behind it."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Estimate
from bakeoff.report.exposure import WATCHED
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.new_users import step_label
from bakeoff.report.render import chart_parts, sentences, tables
from bakeoff.report.render.chart_parts import Spec
from bakeoff.report.render.figure import Figure, Row, Table, table_of
from bakeoff.report.series_charts import Style, model_styles
from bakeoff.report.summary import Summary
from bakeoff.report.topics.base.topic import topic_figures
from bakeoff.report.training import SELECTION_METRIC, progress
from bakeoff.report.verdict import cost_sentence

SIDES = {Verdict.BETTER: "softmax DNN ahead", Verdict.WORSE: "MF ahead", Verdict.NO_EVIDENCE: "no difference"}
SIDE_AXIS = "← MF ahead · softmax DNN ahead →"
SIDE_COLORS = (f"var(--{SOFTMAX})", f"var(--{MF})", "var(--muted)")
SIDE_COLOR = chart_parts.fixed_colors("side", dict(zip(SIDES.values(), SIDE_COLORS, strict=True)))
WHOLE_NUMBERS = alt.Axis(tickMinStep=1, format="d")


def all_figures(summary: Summary) -> dict[str, Figure]:
    """All charts that the figures allow, by key."""
    drawn = [accuracy_figure(summary), _differences(summary), _user_differences(summary), _profile(summary)]
    drawn += [_slices(summary)] if summary.slices else []
    drawn += [_new_users(summary)] if summary.new_users else []
    drawn += [_learning_curves(summary)] if len(summary.curves) else []
    drawn += [_training_seconds(summary)] if len(summary.phases) else []
    drawn += [_searches(summary)] if summary.searches else []
    return {figure.key: figure for figure in [*drawn, *topic_figures(summary.findings)]}


def training_cost(summary: Summary) -> str | None:
    """The sentence on wall seconds of training."""
    return cost_sentence({figure.model: figure.wall_seconds for figure in summary.training})


def accuracy_figure(summary: Summary) -> Figure:
    """Every model on every metric at the cutoff of the primary metric."""
    drawn = [estimate for estimate in summary.estimates if estimate.metric.endswith(f"@{summary.cutoff}")]
    return Figure(
        key="accuracy",
        title=f"Accuracy in the first {summary.cutoff}, every model",
        alt="Dot chart: a group per metric, a mark with its interval per model.",
        sentence=f"{sentences.accuracy_caption(drawn)} The table has the longer lists too.",
        spec=_dots(((formats.metric_label(e.metric), e, False) for e in drawn), "mean over users"),
        table=tables.metric_table(summary.estimates),
        open=True,
    )


def _differences(summary: Summary) -> Figure:
    table = pd.DataFrame(
        [
            (formats.metric_label(d.metric), d.mean, d.low, d.high, d.p_holm, SIDES[d.verdict])
            for d in summary.differences
        ],
        columns=["metric", "mean", "low", "high", "p_holm", "side"],
    )
    return Figure(
        key="differences",
        title="Softmax DNN − MF, paired by user",
        alt="Interval chart: a row per metric with the mean difference and its interval, and a line at zero.",
        sentence=sentences.differences_caption(summary.differences),
        spec=chart_parts.interval_chart(table, "metric", SIDE_AXIS, SIDE_COLOR, p_holm=".4f"),
        table=tables.difference_table(summary.differences),
        open=True,
    )


def _user_differences(summary: Summary) -> Figure:
    bins = binned(summary.user_differences)
    return Figure(
        key="users",
        title=f"{formats.metric_label(summary.result.metric)}: difference per user",
        alt="Histogram: the number of users per difference, with a bar of its own for users without a difference.",
        sentence=sentences.user_differences_caption(summary.user_differences),
        spec=_histogram(bins),
        table=_histogram_table(bins),
    )


def binned(values: NDArray[np.float64], step: float = 0.1) -> pd.DataFrame:
    """Users by their difference in [−1, 1]: bins of `step` on both sides, one of its own for exactly 0.

    Returns:
        low, high (drawn edges), from, to (true edges: from < difference ≤ to, mirrored below 0), users, side;
        ascending. The bar of 0 is a quarter as wide as the others.
    """
    half = step / 8
    rows = [(-half, half, 0.0, 0.0, int((values == 0).sum()), SIDES[Verdict.NO_EVIDENCE])]
    for start, end in pairwise(np.arange(0, 1 + step / 2, step).round(10).tolist()):
        edge = max(start, half)
        ahead, behind = (int(((side > start) & (side <= end)).sum()) for side in (values, -values))
        rows.append((edge, end, start, end, ahead, SIDES[Verdict.BETTER]))
        rows.append((-end, -edge, -end, -start, behind, SIDES[Verdict.WORSE]))
    columns = ["low", "high", "from", "to", "users", "side"]
    return pd.DataFrame(rows, columns=columns).sort_values("low", ignore_index=True)


def _histogram(bins: pd.DataFrame) -> Spec:
    """Distribution over users of the difference softmax − MF, from the bins of `binned`."""
    reach = max(abs(bins.low[bins.users > 0]).max(), abs(bins.high[bins.users > 0]).max(), 0.1)
    shown = bins[bins.low.abs().combine(bins.high.abs(), max) <= reach]
    bars = alt.Chart(shown).mark_bar(stroke="var(--surface)", strokeWidth=1)
    encoded = bars.encode(
        x=alt.X("low:Q", title=SIDE_AXIS, scale=alt.Scale(domain=[-reach, reach]), axis=alt.Axis(format=".1f")),
        x2="high:Q",
        y=alt.Y("users:Q", title="users"),
        y2=alt.datum(0),
        color=SIDE_COLOR,
        tooltip=chart_parts.tooltip(**{"from": "+.1f", "to": "+.1f", "users": "d"}),
    )
    return chart_parts.finish(encoded, height=190)


def _histogram_table(bins: pd.DataFrame) -> Table:
    """Users by their difference, from the bins of `binned`."""
    rows: list[Row] = [
        ["0, no difference" if low < 0 < high else f"{start:+.1f} to {end:+.1f}", str(users)]
        for low, high, start, end, users in bins[["low", "high", "from", "to", "users"]].itertuples(index=False)
    ]
    return table_of("Users by difference", ["Difference", "Users"], rows)


def _slices(summary: Summary) -> Figure:
    label = formats.metric_label(summary.result.metric)
    rows = [
        (f"{part.name}\n{formats.count(part.num_users)} users", estimate, False)
        for part in summary.slices
        for estimate in part.estimates
    ]
    return Figure(
        key="slices",
        title=f"{label} by time since the last known event",
        alt="Dot chart: a group per span of time, a mark with its interval per model.",
        sentence=sentences.slices_caption(summary.slices, summary.order_blind, summary.result.confidence),
        spec=_dots(rows, f"{label}, mean over users"),
        table=tables.slice_table(summary.slices, summary.result.metric),
        open=True,
    )


def _profile(summary: Summary) -> Figure:
    profile = summary.profile
    table = pd.DataFrame({"series": profile.source.map(model_label), "x": profile.group, "y": profile.share})
    x = alt.X("x:O", title="tenth of the catalogue, most popular first", axis=alt.Axis(labelAngle=0))
    y = alt.Y("y:Q", title="share of list places", axis=alt.Axis(format="%"))
    watched = {WATCHED: Style("var(--text)", "triangle-up", dash=(4, 4))}
    return Figure(
        key="profile",
        title=f"Where the places in lists of {summary.cutoff} go",
        alt="Line chart: share of list places by tenth of the catalogue, most popular tenth first, a line per model.",
        sentence=sentences.popularity_profile_caption(profile),
        spec=series_charts.series_lines(table, {**model_styles(summary.models), **watched}, x, y, ".1%"),
        table=tables.profile_table(profile),
    )


def _new_users(summary: Summary) -> Figure:
    metric = summary.result.metric
    label = formats.metric_label(metric)
    rows = [(step_label(f.first), f.estimate(metric), f.fallback_share > 0) for f in summary.new_users]
    return Figure(
        key="new-users",
        title=f"{label} on new users",
        alt="Dot chart: a group per number of known interactions, a mark with its interval per model.",
        sentence=sentences.new_users_caption(summary.new_users, metric),
        spec=_dots(rows, f"{label}, mean over new users", "first interactions that the model knows"),
        table=tables.new_user_table(summary.new_users, summary.new_differences, metric),
        open=True,
    )


def _learning_curves(summary: Summary) -> Figure:
    label, curves = formats.metric_label(SELECTION_METRIC), summary.curves
    shown = curves.rename(columns={"epoch": "x", f"valid_{SELECTION_METRIC}": "y", "chosen": "marked"})
    return Figure(
        key="curves",
        title="Learning curves on validation",
        alt="Line chart: validation metric per epoch, a line per model with epochs, a large mark at the chosen one.",
        sentence=sentences.learning_curves_caption(summary.training, SELECTION_METRIC),
        spec=_progress(shown, "epoch", f"{label}, validation", point=alt.OverlayMarkDef(size=18)),
        table=tables.curve_table(curves),
    )


def _training_seconds(summary: Summary) -> Figure:
    return Figure(
        key="seconds",
        title="Wall time of training",
        alt="Bar chart: seconds per model, stacked by phase.",
        sentence=training_cost(summary) or "Training cost was not measured for both contenders.",
        spec=_phase_bars(summary.phases),
        table=tables.training_table(summary.training),
        open=True,
    )


def _phase_bars(phases: pd.DataFrame) -> Spec:
    """Wall seconds of training, stacked by phase; columns model, phase (a label, in order) and seconds."""
    order, styles = chart_parts.present(phases.phase), model_styles(phases.model)
    columns = {"expr": f"width < {chart_parts.NARROW} ? 1 : {len(order)}"}
    legend = alt.Legend(title=None, columns=columns, symbolFillColor="var(--text)", symbolStrokeWidth=0)
    opacity = alt.Scale(domain=order, range=[1.0, 0.6, 0.3][: len(order)])
    table = phases.assign(model=phases.model.map(model_label), place=phases.phase.map(order.index))
    bars = alt.Chart(table).mark_bar(height=16)
    encoded = bars.encode(
        x=alt.X("seconds:Q", title="wall seconds", axis=chart_parts.FEW_TICKS),
        y=alt.Y("model:N", sort=[*styles], title=None, axis=alt.Axis(ticks=False)),
        color=chart_parts.fixed_colors("model", {label: style.color for label, style in styles.items()}),
        opacity=alt.Opacity("phase:N", scale=opacity, sort=order, legend=legend),
        order="place:O",
        tooltip=chart_parts.tooltip("model", "phase", seconds=".2f"),
    )
    return chart_parts.finish(encoded, height=32 * len(styles))


def _searches(summary: Summary) -> Figure:
    label = formats.metric_label(summary.searches[0].metric)
    shown = progress(summary.searches).rename(columns={"trial": "x", "value": "y", "better": "marked"})
    return Figure(
        key="searches",
        title="Best setting so far, trial by trial",
        alt="Step chart: the best validation metric among the trials so far, a line per model.",
        sentence=sentences.searches_caption(summary.searches),
        spec=_progress(shown, "trial", f"best {label} so far, validation", interpolate="step-after"),
        table=tables.search_table(summary.searches),
        open=True,
    )


def _progress(table: pd.DataFrame, step: str, title: str, **line: Any) -> Spec:
    """A value per model and step: columns model, x, y and marked."""
    x = alt.X("x:Q", title=step, scale=alt.Scale(zero=False, nice=False), axis=WHOLE_NUMBERS)
    y = alt.Y("y:Q", title=title, scale=alt.Scale(zero=False))
    shown = table.assign(series=table.model.map(model_label))[["series", "x", "y", "marked"]]
    return series_charts.series_lines(shown, model_styles(table.model), x, y, **line)


def _dots(rows: Iterable[tuple[str, Estimate, bool]], axis: str, title: str | None = None) -> Spec:
    """A chart of dots from groups, estimates, and whether a fallback answered."""
    shown = list(rows)
    table = pd.DataFrame(
        [(group, model_label(e.model), e.mean, e.low, e.high, fallback) for group, e, fallback in shown],
        columns=["group", "series", "mean", "low", "high", "fallback"],
    )
    return series_charts.series_dots(table, model_styles(e.model for _, e, _ in shown), axis, title)
