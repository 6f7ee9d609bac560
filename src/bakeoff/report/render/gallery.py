"""The charts of the comparison, each with its alternative text, its sentence and the table behind it."""

from collections.abc import Iterable

import pandas as pd

from bakeoff.report import formats, tuning
from bakeoff.report.accuracy import Estimate
from bakeoff.report.new_users import step_label
from bakeoff.report.render import charts, run_tables, sentences, tables
from bakeoff.report.render.figure import Figure
from bakeoff.report.summary import Summary
from bakeoff.report.topics.base.topic import topic_figures
from bakeoff.report.training import SELECTION_METRIC
from bakeoff.report.verdict import cost_sentence

DOTS = ["model", "group", "mean", "low", "high", "fallback"]
"""Columns of a chart of dots."""


def all_figures(summary: Summary) -> dict[str, Figure]:
    """All charts that the figures allow, by key."""
    drawn = [accuracy_figure(summary), _differences(summary), _user_differences(summary), _profile(summary)]
    drawn += [_slices(summary)] if summary.slices else []
    drawn += [_new_users(summary)] if summary.new_users else []
    drawn += [_learning_curves(summary)] if len(summary.curves) else []
    drawn += [_training_seconds(summary)] if len(summary.phases) else []
    drawn += [_searches(summary)] if summary.searches else []
    drawn += topic_figures(summary.findings)
    return {figure.key: figure for figure in drawn}


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
        spec=charts.model_dots(_dots((formats.metric_label(e.metric), e, False) for e in drawn), "mean over users"),
        table=tables.metric_table(summary.estimates),
        open=True,
    )


def _differences(summary: Summary) -> Figure:
    return Figure(
        key="differences",
        title="Softmax DNN − MF, paired by user",
        alt="Interval chart: a row per metric with the mean difference and its interval, and a line at zero.",
        sentence=sentences.differences_caption(summary.differences),
        spec=charts.difference_chart(summary.differences),
        table=tables.difference_table(summary.differences),
        open=True,
    )


def _user_differences(summary: Summary) -> Figure:
    bins = charts.binned(summary.user_differences)
    return Figure(
        key="users",
        title=f"{formats.metric_label(summary.result.metric)}: difference per user",
        alt="Histogram: the number of users per difference, with a bar of its own for users without a difference.",
        sentence=sentences.user_differences_caption(summary.user_differences),
        spec=charts.difference_histogram(bins),
        table=tables.histogram_table(bins),
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
        sentence=sentences.slices_caption(summary.slices, summary.order_blind, summary.result.confidence),
        spec=charts.model_dots(_dots(rows), f"{label}, mean over users"),
        table=tables.slice_table(summary.slices, summary.result.metric),
        open=True,
    )


def _profile(summary: Summary) -> Figure:
    return Figure(
        key="profile",
        title=f"Where the places in lists of {summary.cutoff} go",
        alt="Line chart: share of list places by tenth of the catalogue, most popular tenth first, a line per model.",
        sentence=sentences.popularity_profile_caption(summary.profile),
        spec=charts.profile_chart(summary.profile),
        table=tables.profile_table(summary.profile),
    )


def _new_users(summary: Summary) -> Figure:
    metric = summary.result.metric
    label = formats.metric_label(metric)
    rows = [(step_label(f.first), f.estimate(metric), f.fallback_share > 0) for f in summary.new_users]
    axis, groups = f"{label}, mean over new users", "first interactions that the model knows"
    return Figure(
        key="new-users",
        title=f"{label} on new users",
        alt="Dot chart: a group per number of known interactions, a mark with its interval per model.",
        sentence=sentences.new_users_caption(summary.new_users, metric),
        spec=charts.model_dots(_dots(rows), axis, groups),
        table=tables.new_user_table(summary.new_users, summary.new_differences, metric),
        open=True,
    )


def _learning_curves(summary: Summary) -> Figure:
    curves = summary.curves.rename(columns={f"valid_{SELECTION_METRIC}": "value"})
    return Figure(
        key="curves",
        title="Learning curves on validation",
        alt="Line chart: validation metric per epoch, a line per model with epochs, a large mark at the chosen one.",
        sentence=sentences.learning_curves_caption(summary.training, SELECTION_METRIC),
        spec=charts.learning_curve_chart(curves, formats.metric_label(SELECTION_METRIC)),
        table=run_tables.curve_table(summary.curves),
    )


def _training_seconds(summary: Summary) -> Figure:
    return Figure(
        key="seconds",
        title="Wall time of training",
        alt="Bar chart: seconds per model, stacked by phase.",
        sentence=training_cost(summary) or "Training cost was not measured for both contenders.",
        spec=charts.training_time_chart(summary.phases),
        table=run_tables.training_table(summary.training),
        open=True,
    )


def _searches(summary: Summary) -> Figure:
    label = formats.metric_label(summary.searches[0].metric)
    return Figure(
        key="searches",
        title="Best setting so far, trial by trial",
        alt="Step chart: the best validation metric among the trials so far, a line per model.",
        sentence=sentences.searches_caption(summary.searches),
        spec=charts.best_so_far(tuning.progress(summary.searches), label),
        table=run_tables.search_table(summary.searches),
        open=True,
    )


def _dots(rows: Iterable[tuple[str, Estimate, bool]]) -> pd.DataFrame:
    """The data of a chart of dots, from groups, estimates, and whether a fallback answered."""
    shown = [(e.model, group, e.mean, e.low, e.high, fallback) for group, e, fallback in rows]
    return pd.DataFrame(shown, columns=DOTS)
