"""The charts of the comparison, each with its caption and the table behind it.

What each model gives for what it costs: every pair of figures as a chart with axes to choose, and its Pareto front.
"""

from collections.abc import Mapping, Sequence
from itertools import compress, product
from math import isfinite

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import BaselineComparison, means
from bakeoff.report.models import MF, SOFTMAX, Style, model_label, model_styles
from bakeoff.report.render import tables
from bakeoff.report.render.figure import CAPTIONS, Figure, Row, Spec, caption, fixed_colors, interval_chart, table_of
from bakeoff.report.slices import known_interactions, share_within_an_hour, step_label
from bakeoff.report.summary import Summary
from bakeoff.report.topics.popularity import WATCHED
from bakeoff.report.training import TrainingFigure, progress
from bakeoff.report.verdict import Result, Segment, weakest

SIDES = {Verdict.BETTER: "softmax DNN ahead", Verdict.WORSE: "MF ahead", Verdict.NO_EVIDENCE: "no difference"}
SIDE_AXIS = "← MF ahead · softmax DNN ahead →"
SIDE_COLORS = (f"var(--{SOFTMAX})", f"var(--{MF})", "var(--muted)")
SIDE_COLOR = fixed_colors("side", dict(zip(SIDES.values(), SIDE_COLORS, strict=True)))
DRAWN = ["metric", "mean", "low", "high", "p_holm", "side"]
WHOLE_NUMBERS = alt.Axis(tickMinStep=1, format="d")
COST = ", less is better"


def all_figures(summary: Summary) -> dict[str, Figure]:
    """All charts that the figures allow, by key."""
    drawn = [accuracy_figure(summary), _differences(summary), _profile(summary), pareto_figure(summary)]
    drawn += [_slices(summary)] if summary.slices else []
    drawn += [_new_users(summary)] if summary.new_users else []
    drawn += [_searches(summary)] if summary.searches else []
    return {figure.key: figure for figure in drawn} | dict(summary.figures)


def accuracy_figure(summary: Summary) -> Figure:
    """Every model on every metric at the cutoff of the primary metric; the caption names the leaders."""
    drawn = summary.estimates[summary.estimates.metric.str.endswith(f"@{summary.cutoff}")]
    is_best = drawn["mean"] == drawn.groupby("metric")["mean"].transform("max")
    best = drawn[is_best].groupby("metric", sort=False).model.agg(tuple).tolist()
    leaders = max(dict.fromkeys(best), key=best.count)
    return Figure(
        "accuracy",
        *caption("accuracy", cutoff=summary.cutoff, leaders=leaders, won=best.count(leaders), of=len(best)),
        spec=_dots(drawn.assign(group=drawn.metric.map(formats.metric_label), fallback=False), "mean over users"),
        table=tables.metric_table(summary.estimates),
    )


def _differences(summary: Summary) -> Figure:
    drawn = [each for each in summary.differences if each.metric.endswith(f"@{summary.cutoff}")]
    found, table = [each.verdict for each in drawn], pd.DataFrame(drawn)
    table = table.assign(metric=table.metric.map(formats.metric_label), side=table.verdict.map(SIDES))
    better, worse, unclear = (found.count(v) for v in (Verdict.BETTER, Verdict.WORSE, Verdict.NO_EVIDENCE))
    return Figure(
        "differences",
        *caption("differences", better=better, worse=worse, unclear=unclear),
        spec=interval_chart(table[DRAWN], "metric", SIDE_AXIS, SIDE_COLOR, p_holm=".4f"),
        table=tables.difference_table(summary.differences),
    )


def _slices(summary: Summary) -> Figure:
    label = formats.metric_label(summary.result.metric)
    drawn = [
        part.estimates.assign(group=f"{part.name}\n{formats.count(part.num_users)} users", fallback=False)
        for part in summary.slices
    ]
    return Figure(
        "slices",
        *caption("slices", label=label, soon=share_within_an_hour(summary.slices)),
        spec=_dots(pd.concat(drawn), f"{label}, mean over users"),
        table=tables.slice_table(summary.slices, summary.result.metric),
    )


def _profile(summary: Summary) -> Figure:
    profile = summary.profile
    table = pd.DataFrame({"series": profile.source.map(model_label), "x": profile.group, "y": profile.share})
    x = alt.X("x:O", title="tenth of the catalogue, most popular first", axis=alt.Axis(labelAngle=0))
    y = alt.Y("y:Q", title="share of list places", axis=alt.Axis(format="%", tickCount=5))
    head = profile[profile.group == 1].set_index("source").share
    watched = {WATCHED: Style("var(--text)", "triangle-up", dash=(4, 4))}
    return Figure(
        "profile",
        *caption("profile", cutoff=summary.cutoff, head=head, watched=WATCHED),
        spec=series_charts.series_lines(table, {**model_styles(summary.models), **watched}, x, y, ".1%"),
        table=tables.profile_table(profile),
    )


def _new_users(summary: Summary) -> Figure:
    metric = summary.result.metric
    label = formats.metric_label(metric)
    drawn, leaders = [], dict[str, list[str]]()
    for part in summary.new_users:
        found = part.estimates
        drawn.append(found.assign(group=step_label(part.name), fallback=found.model.map(part.fallbacks) > 0))
        best = found.sort_values("mean", ascending=False, kind="stable").model.iloc[0]
        leaders.setdefault(best, []).append(known_interactions(part.name))
    return Figure(
        "new-users",
        *caption("new-users", label=label, leaders=leaders),
        spec=_dots(pd.concat(drawn), f"{label}, mean over new users", "first interactions that the model knows"),
        table=tables.new_user_table(summary.new_users, metric),
    )


def _searches(summary: Summary) -> Figure:
    label = formats.metric_label(summary.searches[0].metric)
    found = progress(summary.searches).rename(columns={"trial": "x", "value": "y", "better": "marked"})
    table = found.assign(series=found.model.map(model_label))[["series", "x", "y", "marked"]]
    x = alt.X("x:Q", title="trial", scale=alt.Scale(zero=False, nice=False), axis=WHOLE_NUMBERS)
    y = alt.Y("y:Q", title=f"best {label} so far, validation", scale=alt.Scale(zero=False))
    return Figure(
        "searches",
        *caption("searches", found=summary.searches),
        spec=series_charts.series_lines(table, model_styles(found.model), x, y, interpolate="step-after"),
        table=tables.search_table(summary.searches),
        open=True,
    )


def _dots(estimates: pd.DataFrame, axis: str, title: str | None = None) -> Spec:
    """A chart of dots from estimates with their `group`, and whether a `fallback` answered."""
    table = estimates.assign(series=estimates.model.map(model_label))
    shown = table[["group", "series", "mean", "low", "high", "fallback"]]
    return series_charts.series_dots(shown, model_styles(estimates.model), axis, title)


def measures(summary: Summary) -> dict[str, tuple[Mapping[str, float], int]]:
    """Accuracy, coverage and what else was measured of every model: what training and an answer cost, late events.

    Returns:
        the name of each figure, ending in COST where less is better → its value by model, and the digits that are
        written.
    """
    metric, cutoff = summary.result.metric, summary.cutoff
    label, everyone = formats.metric_label(metric), summary.estimates
    lists = summary.exposures[summary.exposures.k == cutoff]
    late = [part for part in summary.sessions if part.name == "later"]
    found = {
        label: (means(everyone[everyone.metric == metric]), 4),
        f"Coverage@{cutoff} in %": (dict(zip(lists.model, 100 * lists.coverage, strict=True)), 1),
        f"Training CPU seconds{COST}": ({each.model: each.cpu_seconds for each in summary.training}, 2),
        f"Ranking ms per user{COST}": ({each.model: 1000 * each.seconds_per_query for each in summary.training}, 3),
        **{f"{label} after a day": (means(part.estimates), 4) for part in late},
    }
    return {name: each for name, each in found.items() if all(map(isfinite, each[0].values()))}


def front(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points no other point beats: as good on both and better on one; [n] each, the more the better."""
    no_worse = (first[:, None] >= first) & (second[:, None] >= second)
    better = (first[:, None] > first) | (second[:, None] > second)
    return np.array([not beaten.any() for beaten in (no_worse & better).T])


def pareto_figure(summary: Summary) -> Figure:
    """The primary metric against CPU time of training, or against coverage where none was measured; any other pair."""
    found, names = measures(summary), summary.models
    table = pd.DataFrame({label: values for label, (values, _) in found.items()}, names)
    goodness = table * np.where(table.columns.str.endswith(COST), -1, 1)
    fronts = {pair: front(*(goodness[label].to_numpy() for label in pair)).tolist() for pair in product(table, table)}
    up, across = table.columns[0], next((label for label in table if label.startswith("Training")), table.columns[1])
    rows: list[Row] = [
        [model_label(name), *(formats.decimal(values[name], digits) for values, digits in found.values())]
        for name in names
    ]
    return Figure(
        "pareto",
        *caption("pareto", up=up, across=across.removesuffix(COST), best=[*compress(names, fronts[across, up])]),
        spec=_pareto_chart(table, fronts, across, up),
        table=table_of("What each model gives and costs", ["Model", *table], rows),
    )


def _pareto_chart(table: pd.DataFrame, fronts: Mapping[tuple[str, str], Sequence[bool]], across: str, up: str) -> Spec:
    """A row per pair of measures and model; the two lists in `#pareto-axes` choose the pair."""
    rows = [
        (x, y, model_label(name), table.loc[name, x], table.loc[name, y], is_on)
        for (x, y), on_front in fronts.items()
        for name, is_on in zip(table.index, on_front, strict=True)
    ]
    pairs = pd.DataFrame(rows, columns=["across", "up", "series", "x", "y", "front"])
    lists = {"input": "select", "element": "#pareto-axes", "options": [*table]}
    chosen = (("chosen_up", "Vertical axis", up), ("chosen_across", "Horizontal axis", across))
    params = [{"name": key, "value": value, "bind": lists | {"name": name}} for key, name, value in chosen]
    return {"params": params} | series_charts.front(pairs, model_styles(table.index), "chosen_across", "chosen_up")


def standings_caption(rows: Sequence[BaselineComparison]) -> str:
    """Which models are better or worse than the best baseline, and which are not shown to be either."""
    models = {v.name.lower(): [row.model for row in rows if row.difference.verdict is v] for v in Verdict}
    return formats.phrase(CAPTIONS, "standings", best=rows[0], **models)


def learning_curves_caption(figures: Sequence[TrainingFigure], metric: str) -> str:
    """Which epochs were chosen, and whether the limit cut a curve short."""
    chosen = [figure for figure in figures if figure.is_chosen]
    cut = [figure.model for figure in chosen if figure.stopped_at_limit]
    return formats.phrase(CAPTIONS, "learning_curves", metric=metric, chosen=chosen, cut=cut)


def weakest_segment(found: Sequence[Segment], result: Result) -> str:
    """Which known users the better contender serves worst, or that none are shown to be served worse."""
    return formats.phrase(CAPTIONS, "segments", found=found, worst=weakest(found, result.confidence), result=result)
