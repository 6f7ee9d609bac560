"""The charts of the comparison, each with its alternative text, its sentence and the table behind it.

A sentence says what to see in a chart, and is made from its figures.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

import altair as alt
import pandas as pd

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import BaselineComparison, Estimate
from bakeoff.report.models import MF, SOFTMAX, Style, model_label, model_noun, model_styles
from bakeoff.report.render import tables
from bakeoff.report.render.figure import Figure, Spec, fixed_colors, interval_chart
from bakeoff.report.render.pareto import pareto_figure
from bakeoff.report.situations import Segment, weakest
from bakeoff.report.slices import NewUserFigure, known_interactions, share_within_an_hour, step_label
from bakeoff.report.summary import Summary
from bakeoff.report.topics.base.topic import topic_figures
from bakeoff.report.topics.popularity import WATCHED
from bakeoff.report.training import TrainingFigure, progress
from bakeoff.report.verdict import Result

SIDES = {Verdict.BETTER: "softmax DNN ahead", Verdict.WORSE: "MF ahead", Verdict.NO_EVIDENCE: "no difference"}
SIDE_AXIS = "← MF ahead · softmax DNN ahead →"
SIDE_COLORS = (f"var(--{SOFTMAX})", f"var(--{MF})", "var(--muted)")
SIDE_COLOR = fixed_colors("side", dict(zip(SIDES.values(), SIDE_COLORS, strict=True)))
DRAWN = ["metric", "mean", "low", "high", "p_holm", "side"]
WHOLE_NUMBERS = alt.Axis(tickMinStep=1, format="d")


def all_figures(summary: Summary) -> dict[str, Figure]:
    """All charts that the figures allow, by key."""
    drawn = [accuracy_figure(summary), _differences(summary), _profile(summary), pareto_figure(summary)]
    drawn += [_slices(summary)] if summary.slices else []
    drawn += [_new_users(summary)] if summary.new_users else []
    drawn += [_searches(summary)] if summary.searches else []
    return {figure.key: figure for figure in [*drawn, *topic_figures(summary.findings)]}


def accuracy_figure(summary: Summary) -> Figure:
    """Every model on every metric at the cutoff of the primary metric."""
    drawn = [estimate for estimate in summary.estimates if estimate.metric.endswith(f"@{summary.cutoff}")]
    return Figure(
        key="accuracy",
        title=f"Accuracy in the first {summary.cutoff}, every model",
        alt="Dot chart: a group per metric, a mark with its interval per model.",
        sentence=accuracy_caption(drawn),
        spec=_dots(((formats.metric_label(e.metric), e, False) for e in drawn), "mean over users"),
        table=tables.metric_table(summary.estimates),
    )


def _differences(summary: Summary) -> Figure:
    table = pd.DataFrame([d for d in summary.differences if d.metric.endswith(f"@{summary.cutoff}")])
    table = table.assign(metric=table.metric.map(formats.metric_label), side=table.verdict.map(SIDES))
    found = [difference.verdict for difference in summary.differences]
    ahead, behind, none = (found.count(v) for v in (Verdict.BETTER, Verdict.WORSE, Verdict.NO_EVIDENCE))
    favour, favour_mf = (_verb(number, "favours", "favour") for number in (ahead, behind))
    return Figure(
        key="differences",
        title="Softmax DNN − MF, paired by user",
        alt="Interval chart: a row per metric with the mean difference and its interval, and a line at zero.",
        sentence=f"Judged together, {ahead or 'none'} of {len(found)} differences {favour} the softmax DNN, "
        f"{behind or 'none'} {favour_mf} MF, and {none or 'none'} {_verb(none, 'shows', 'show')} no evidence for "
        "either.",
        spec=interval_chart(table[DRAWN], "metric", SIDE_AXIS, SIDE_COLOR, p_holm=".4f"),
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
        sentence=f"{formats.percent(share_within_an_hour(summary.slices), 0)} of test events come within an hour of "
        "the last one that the models knew.",
        spec=_dots(rows, f"{label}, mean over users"),
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
        key="profile",
        title=f"Where the places in lists of {summary.cutoff} go",
        alt="Line chart: share of list places by tenth of the catalogue, most popular tenth first, a line per model.",
        sentence=f"The most popular tenth of the catalogue takes {formats.percent(head[MF], 0)} of the places in "
        f"MF's lists and {formats.percent(head[SOFTMAX], 0)} in those of the softmax DNN; of {WATCHED} it is "
        f"{formats.percent(head[WATCHED], 0)}.",
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
        sentence=new_users_caption(summary.new_users, metric),
        spec=_dots(rows, f"{label}, mean over new users", "first interactions that the model knows"),
        table=tables.new_user_table(summary.new_users, summary.new_differences, metric),
    )


def _searches(summary: Summary) -> Figure:
    label = formats.metric_label(summary.searches[0].metric)
    found = progress(summary.searches).rename(columns={"trial": "x", "value": "y", "better": "marked"})
    table = found.assign(series=found.model.map(model_label))[["series", "x", "y", "marked"]]
    x = alt.X("x:Q", title="trial", scale=alt.Scale(zero=False, nice=False), axis=WHOLE_NUMBERS)
    y = alt.Y("y:Q", title=f"best {label} so far, validation", scale=alt.Scale(zero=False))
    parts = []
    for search in summary.searches:
        reached = [place for place, value in enumerate(search.history, start=1) if value == search.best]
        last = f" in trial {reached[0]} of {search.trials}" if reached else f" in {search.trials} trials"
        parts.append(f"{model_noun(search.model)} reaches {formats.decimal(search.best, 3)}{last}")
    return Figure(
        key="searches",
        title="Best setting so far, trial by trial",
        alt="Step chart: the best validation metric among the trials so far, a line per model.",
        sentence=f"{formats.sentence(formats.listing(parts))}. A line that still climbs at its end suggests that the "
        "search was too short.",
        spec=series_charts.series_lines(table, model_styles(found.model), x, y, interpolate="step-after"),
        table=tables.search_table(summary.searches),
        open=True,
    )


def _dots(rows: Iterable[tuple[str, Estimate, bool]], axis: str, title: str | None = None) -> Spec:
    """A chart of dots from groups, estimates, and whether a fallback answered."""
    shown = list(rows)
    table = pd.DataFrame(
        [(group, model_label(e.model), e.mean, e.low, e.high, fallback) for group, e, fallback in shown],
        columns=["group", "series", "mean", "low", "high", "fallback"],
    )
    return series_charts.series_dots(table, model_styles(e.model for _, e, _ in shown), axis, title)


def accuracy_caption(estimates: Sequence[Estimate]) -> str:
    """Which model has the highest mean, and on how many metrics."""
    best = [max(row, key=lambda e: e.mean).model for _, row in groupby(estimates, key=lambda e: e.metric)]
    leader = max(dict.fromkeys(best), key=best.count)
    won = best.count(leader)
    where = "on every metric" if won == len(best) else f"on {won} of {len(best)} metrics"
    return (
        f"{formats.sentence(model_noun(leader))} has the highest mean {where}. The paired differences below show "
        "whether a gap is more than chance."
    )


def standings_caption(rows: Sequence[BaselineComparison], confidence: float) -> str:
    """Which models are better or worse than the best baseline, and which are not shown to be either."""
    names = {v: [model_noun(row.model) for row in rows if row.verdict(confidence) is v] for v in Verdict}
    clear = ((names[Verdict.BETTER], "better"), (names[Verdict.WORSE], "worse"))
    parts = [f"{formats.listing(found)} {_verb(len(found), 'is', 'are')} {word}" for found, word in clear if found]
    if unclear := names[Verdict.NO_EVIDENCE]:
        parts.append(f"no evidence of a difference for {formats.listing(unclear)}")
    return (
        f"{formats.sentence(model_noun(rows[0].baseline))} is the best of the baselines "
        f"({formats.decimal(rows[0].baseline_mean, 3)}). Compared with it, {'; '.join(parts)}."
    )


def new_users_caption(figures: Sequence[NewUserFigure], metric: str) -> str:
    """Which model has the highest mean for each number of known interactions."""
    leaders: dict[str, list[str]] = {}
    for first, step in groupby(figures, key=lambda f: f.first):
        best = max(step, key=lambda f: f.estimate(metric).mean).model
        leaders.setdefault(model_noun(best), []).append(known_interactions(first))
    parts = [f"{name} with {formats.listing(known)}" for name, known in leaders.items()]
    return f"The highest mean is that of {'; '.join(parts)} known."


def learning_curves_caption(figures: Sequence[TrainingFigure], metric: str) -> str:
    """Which epochs were chosen, and whether the limit cut a curve short."""
    chosen = [f for f in figures if f.selected_epoch is not None]
    parts = [
        f"{model_noun(f.model)} is best after epoch {f.selected_epoch} of {f.last_epoch} "
        f"({formats.decimal(f.best_value, 3)})"
        for f in chosen
    ]
    cut = [model_noun(f.model) for f in chosen if f.stopped_at_limit]
    limit = "stopped at the limit of epochs: more might have been better."
    warning = f" {formats.sentence(formats.listing(cut))} {limit}" if cut else ""
    return f"On the validation {formats.metric_label(metric)}, {formats.listing(parts)}.{warning}"


def weakest_segment(found: Sequence[Segment], result: Result) -> str:
    """Which known users the better contender serves worst, or that none are shown to be served worse."""
    noun, metric = model_noun(result.ahead), formats.metric_label(result.metric)
    if not found:
        return ""
    worst = weakest(found, result.confidence)
    if worst is None:
        return (
            f"None of {len(found)} segments of known users is shown to be served worse by {noun} than all others; "
            f"the lowest {metric} is that of {found[0].name} ({formats.decimal(found[0].mean)})."
        )
    return (
        f"{formats.sentence(noun)} serves one segment of known users worst: {worst.name} "
        f"({formats.count(worst.num_users)} users) has {metric} {formats.decimal(worst.mean)}, all others "
        f"{formats.decimal(worst.others)} ({formats.p_value(worst.p)})."
    )


def _verb(number: int, one: str, several: str) -> str:
    """The form of a verb for so many; none counts as one."""
    return one if number < 2 else several
