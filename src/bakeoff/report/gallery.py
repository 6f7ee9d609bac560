"""The charts of the page, each with its alternative text, its sentence and the table behind it."""

from collections.abc import Sequence

import pandas as pd

from bakeoff.report import charts, formats, sentences, tables, training_charts, training_tables, tuning
from bakeoff.report.accuracy import Difference, Estimate
from bakeoff.report.figure import Figure
from bakeoff.report.models import model_label
from bakeoff.report.new_users import NewUserFigure, step_label
from bakeoff.report.summary import Summary
from bakeoff.report.topics import serving
from bakeoff.report.topics.base.topic import topic_figures
from bakeoff.report.verdict import cost_sentence

DOTS = ["model", "group", "mean", "low", "high", "fallback"]
"""Columns that a chart of dots is made from."""


def figures(summary: Summary) -> dict[str, Figure]:
    """All charts that the figures allow, by key."""
    drawn = [accuracy(summary), _differences(summary), _user_differences(summary), _profile(summary)]
    if summary.slices:
        drawn.append(_slices(summary))
    if summary.new_users:
        drawn.append(_new_users(summary))
    if len(summary.curves):
        drawn.append(_learning_curves(summary))
    if len(summary.phases):
        drawn.append(_training_seconds(summary))
    if summary.searches:
        drawn.append(_searches(summary))
    drawn += topic_figures(summary.findings)
    return {figure.key: figure for figure in drawn}


def training_cost(summary: Summary) -> str | None:
    """The sentence on wall seconds of training."""
    return cost_sentence({figure.model: figure.wall_seconds for figure in summary.training})


def costs(summary: Summary) -> list[str]:
    """Sentences on wall seconds of training, and on how soon an answer comes; of what was measured."""
    answers = serving.one_query(summary.findings.of(serving.TOPIC))
    return [sentence for sentence in (training_cost(summary), answers) if sentence]


def accuracy(summary: Summary) -> Figure:
    """Every model on every metric, in the first places of its lists; what is said is said of what is drawn."""
    drawn = [estimate for estimate in summary.estimates if estimate.metric.endswith(f"@{summary.cutoff}")]
    return Figure(
        key="accuracy",
        title=f"Accuracy in the first {summary.cutoff}, every model",
        alt="Dot chart: a group per metric, a mark with its interval per model.",
        sentence=f"{sentences.accuracy(drawn)} The table has the longer lists too.",
        spec=charts.dots(_estimate_frame(drawn), "mean over users"),
        table=tables.metric_table(summary.estimates),
        open=True,
    )


def _differences(summary: Summary) -> Figure:
    return Figure(
        key="differences",
        title="Softmax DNN − MF, paired by user",
        alt="Interval chart: a row per metric with the mean difference and its interval beside a line at zero.",
        sentence=sentences.differences(summary.differences),
        spec=charts.differences(_difference_frame(summary.differences)),
        table=tables.difference_table(summary.differences),
        open=True,
    )


def _user_differences(summary: Summary) -> Figure:
    label = formats.metric_label(summary.result.metric)
    bins = charts.binned(summary.user_differences)
    shown = pd.DataFrame(
        {
            "range": [
                "0, no difference" if row.low < 0 < row.high else f"{row.from_:+.1f} to {row.to:+.1f}"
                for row in bins.rename(columns={"from": "from_"}).itertuples()
            ],
            "users": bins.users,
        }
    )
    return Figure(
        key="users",
        title=f"{label}: difference per user",
        alt="Histogram: how many users see which difference, with a bar of its own for users without one.",
        sentence=sentences.user_differences(summary.user_differences),
        spec=charts.difference_histogram(bins),
        table=tables.frame_table("Users by difference", shown, ["Difference", "Users"]),
    )


def _slices(summary: Summary) -> Figure:
    metric = summary.result.metric
    rows = [
        (e.model, f"{part.name}\n{formats.count(part.num_users)} users", e.mean, e.low, e.high, False)
        for part in summary.slices
        for e in part.estimates
    ]
    label = formats.metric_label(metric)
    return Figure(
        key="slices",
        title=f"{label} by time since the last known event",
        alt="Dot chart: a group per span of time, a mark with its interval per model.",
        sentence=sentences.slices(summary.slices, summary.order_blind, summary.result.confidence),
        spec=charts.dots(pd.DataFrame(rows, columns=DOTS), f"{label}, mean over users"),
        table=tables.slice_table(summary.slices, metric),
        open=True,
    )


def _profile(summary: Summary) -> Figure:
    profile = summary.profile
    wide = profile.pivot_table(index="group", columns="source", values="share", sort=False)
    shown = wide.map(lambda share: formats.percent(share)).reset_index()
    sources = [formats.sentence(model_label(name)) for name in wide.columns]
    return Figure(
        key="profile",
        title=f"Where the places in lists of {summary.cutoff} go",
        alt="Line chart: share of list places by tenth of the catalogue, most popular tenth first, a line per model.",
        sentence=sentences.popularity_profile(profile),
        spec=charts.popularity_profile(profile),
        table=tables.frame_table("Share of list places by tenth of the catalogue", shown, ["Tenth", *sources]),
    )


def _new_users(summary: Summary) -> Figure:
    metric = summary.result.metric
    return Figure(
        key="new-users",
        title=f"{formats.metric_label(metric)} on new users",
        alt="Dot chart: a group per number of first interactions, a mark with its interval per model.",
        sentence=sentences.new_users(summary.new_users, metric),
        spec=charts.dots(
            _new_user_frame(summary.new_users, metric),
            f"{formats.metric_label(metric)}, mean over new users",
            "first interactions that the model is told",
        ),
        table=tables.new_user_table(summary.new_users, summary.new_differences, metric),
        open=True,
    )


def _learning_curves(summary: Summary) -> Figure:
    metric = "ndcg@10"
    curve = summary.curves.rename(columns={f"valid_{metric}": "value"})
    return Figure(
        key="curves",
        title="Learning curves on validation",
        alt="Line chart: validation metric per epoch, a line per model with epochs, a large mark at the chosen one.",
        sentence=sentences.learning_curves(summary.training, metric),
        spec=training_charts.learning_curves(
            curve[["model", "epoch", "value", "chosen"]], formats.metric_label(metric)
        ),
        table=training_tables.curve_table(summary.curves),
    )


def _training_seconds(summary: Summary) -> Figure:
    return Figure(
        key="seconds",
        title="Wall time of training",
        alt="Bar chart: seconds per model, stacked by what they went into.",
        sentence=sentences.training_seconds(training_cost(summary)),
        spec=training_charts.training_seconds(summary.phases),
        table=training_tables.training_table(summary.training),
        open=True,
    )


def _searches(summary: Summary) -> Figure:
    return Figure(
        key="searches",
        title="Best setting so far, trial by trial",
        alt="Step chart: the best validation metric among the trials so far, a line per model.",
        sentence=sentences.searches(summary.searches),
        spec=training_charts.best_so_far(
            tuning.progress(summary.searches), formats.metric_label(summary.searches[0].metric)
        ),
        table=training_tables.search_table(summary.searches),
        open=True,
    )


def _estimate_frame(estimates: Sequence[Estimate]) -> pd.DataFrame:
    rows = [(e.model, formats.metric_label(e.metric), e.mean, e.low, e.high, False) for e in estimates]
    return pd.DataFrame(rows, columns=DOTS)


def _difference_frame(differences: Sequence[Difference]) -> pd.DataFrame:
    rows = [(formats.metric_label(d.metric), d.mean, d.low, d.high, d.p_holm, d.verdict) for d in differences]
    return pd.DataFrame(rows, columns=["metric", "mean", "low", "high", "p_holm", "verdict"])


def _new_user_frame(figures: Sequence[NewUserFigure], metric: str) -> pd.DataFrame:
    rows = []
    for figure in figures:
        estimate = figure.estimate(metric)
        fallback = figure.fallback_share > 0
        rows.append((figure.model, step_label(figure.first), estimate.mean, estimate.low, estimate.high, fallback))
    return pd.DataFrame(rows, columns=DOTS)
