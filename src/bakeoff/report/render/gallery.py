"""The charts of the comparison, each with its alternative text, its sentence and the table behind it."""

from collections.abc import Iterable
from typing import Any

import altair as alt
import pandas as pd

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Estimate
from bakeoff.report.exposure import WATCHED
from bakeoff.report.models import MF, SOFTMAX, model_label
from bakeoff.report.new_users import step_label
from bakeoff.report.render import chart_parts, sentences, tables
from bakeoff.report.render.chart_parts import Spec
from bakeoff.report.render.figure import Figure
from bakeoff.report.render.pareto import pareto_figure
from bakeoff.report.series_charts import Style, model_styles
from bakeoff.report.summary import Summary
from bakeoff.report.topics.base.topic import topic_figures
from bakeoff.report.training import progress
from bakeoff.report.verdict import cost_sentence

SIDES = {Verdict.BETTER: "softmax DNN ahead", Verdict.WORSE: "MF ahead", Verdict.NO_EVIDENCE: "no difference"}
SIDE_AXIS = "← MF ahead · softmax DNN ahead →"
SIDE_COLORS = (f"var(--{SOFTMAX})", f"var(--{MF})", "var(--muted)")
SIDE_COLOR = chart_parts.fixed_colors("side", dict(zip(SIDES.values(), SIDE_COLORS, strict=True)))
WHOLE_NUMBERS = alt.Axis(tickMinStep=1, format="d")


def all_figures(summary: Summary) -> dict[str, Figure]:
    """All charts that the figures allow, by key."""
    drawn = [accuracy_figure(summary), _differences(summary), _profile(summary), pareto_figure(summary)]
    drawn += [_slices(summary)] if summary.slices else []
    drawn += [_new_users(summary)] if summary.new_users else []
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
        sentence=sentences.accuracy_caption(drawn),
        spec=_dots(((formats.metric_label(e.metric), e, False) for e in drawn), "mean over users"),
        table=tables.metric_table(summary.estimates),
    )


def _differences(summary: Summary) -> Figure:
    table = pd.DataFrame(
        [
            (formats.metric_label(d.metric), d.mean, d.low, d.high, d.p_holm, SIDES[d.verdict])
            for d in summary.differences
            if d.metric.endswith(f"@{summary.cutoff}")
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
    )


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
        sentence=sentences.slices_caption(summary.slices),
        spec=_dots(rows, f"{label}, mean over users"),
        table=tables.slice_table(summary.slices, summary.result.metric),
    )


def _profile(summary: Summary) -> Figure:
    profile = summary.profile
    table = pd.DataFrame({"series": profile.source.map(model_label), "x": profile.group, "y": profile.share})
    x = alt.X("x:O", title="tenth of the catalogue, most popular first", axis=alt.Axis(labelAngle=0))
    y = alt.Y("y:Q", title="share of list places", axis=alt.Axis(format="%", tickCount=5))
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
    )


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
