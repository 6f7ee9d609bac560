"""Quality: the claim that the DNN ranks better, quality by how active a user was, shared list places.

And taste or the session: the claim of taste, on events more than a day after the last known one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import inf

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics, best
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import MF, SOFTMAX, baselines, model_label, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, caption, table_of
from bakeoff.report.slices import LATER, codes, events_by_gap, top_lists, values_on
from bakeoff.report.topics.base.claims import CLAIMS, Paired, Question
from bakeoff.report.topics.base.judge import on_users, unknown
from bakeoff.report.topics.base.topic import Named, Page, Topic, estimate_table, estimates

QUALITY, TASTE = CLAIMS["quality"], CLAIMS["taste"]

ACTIVITY = {"1–5": 5, "6–20": 20, "21–50": 50, "51–100": 100, "> 100": inf}
"""Known interactions of a user → the last number of the bucket."""


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """The primary metric against MF and the best baseline; the others at its cutoff are shown: all are one finding."""
    primary = params.compare.primary_metric
    values = {name: model.users[primary].to_numpy(np.float64) for name, model in evidence.models.items()}
    rivals = baselines(values)
    others = (f"{name}@{primary.partition('@')[2]}" for name in ACCURACY_LABELS)
    shown = dict.fromkeys((primary, *others))
    against_mf = [_question(evidence, metric, MF, "vs_mf_{metric}", metric == primary) for metric in shown]
    against_best = _question(evidence, primary, best(rivals, values), "vs_best_baseline", True)
    return [*against_mf, replace(against_best, rivals=len(rivals))]


def _question(evidence: Evidence, metric: str, rival: str, key: str, decides: bool) -> Paired:
    label = formats.metric_label(metric)
    values = {"metric": metric, "label": label, "name": formats.within_sentence(label), "rival": model_label(rival)}
    words = QUALITY.wording(key, decides=decides, **values)
    return on_users(evidence, words, (SOFTMAX, rival), metric)


def _charts(evidence: Evidence, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    metric, models = params.compare.primary_metric, list(evidence.models)
    yield activity_chart(by_activity(evidence, metric, statistics), metric, models)
    k = int(metric.partition("@")[2])
    yield _overlap_chart(overlap(evidence, k), k, models)


def by_activity(evidence: Evidence, metric: str, statistics: Statistics) -> pd.DataFrame:
    """`estimates` of every model in each bucket of ACTIVITY that holds users."""
    history = evidence.models[MF].users.num_history.to_numpy()
    bucket = pd.cut(history, [0, *ACTIVITY.values()], labels=list(ACTIVITY))
    columns: list[Named] = []
    for name in ACTIVITY:
        users = np.asarray(bucket == name)
        label = f"{name}\n{formats.count(users.sum())} users"
        columns += [
            (label, model_label(model), np.where(users, found.users[metric].to_numpy(np.float64), np.nan))
            for model, found in evidence.models.items()
        ]
    return estimates(columns, statistics)


def activity_chart(frame: pd.DataFrame, metric: str, models: Sequence[str]) -> Figure:
    """The caption names the leader of each bucket."""
    label = formats.metric_label(metric)
    leaders = []
    for group in dict.fromkeys(frame.group):
        rows = frame[frame.group == group].sort_values("mean", ascending=False, kind="stable")
        leader = next(name for name in models if model_label(name) == rows.series.iloc[0])
        leaders.append((leader, group.partition("\n")[0]))
    return Figure(
        "by-user",
        *caption("by-user", label=label, leaders=leaders),
        spec=series_charts.series_dots(frame, model_styles(models), f"{label}, mean over users"),
        table=estimate_table(f"{label} by known interactions", "Known interactions", frame),
        folded=True,
    )


def overlap(evidence: Evidence, k: int) -> NDArray[np.float64]:
    """[num_models, num_models] mean over users of |A ∩ B| / k, of the first k of two models."""
    tops = [codes(model.top(k), evidence) for model in evidence.models.values()]
    pairs = [row * len(evidence.items) + item for row, item in tops]
    places = max(len(evidence.models[MF].users) * k, 1)
    return np.array([[np.intersect1d(a, b, assume_unique=True).size / places for b in pairs] for a in pairs])


def _overlap_chart(shares: NDArray[np.float64], k: int, models: Sequence[str]) -> Figure:
    names = [model_label(name) for name in models]
    others = np.where(np.eye(len(names), dtype=bool), np.nan, shares)
    pairs = [(shares[i, j], i, j) for i in range(len(names)) for j in range(i)]
    return Figure(
        "overlap",
        *caption("overlap", k=k, models=models, shares=shares, most=max(pairs), least=min(pairs)),
        spec=series_charts.matrix(others, names, "shared"),
        table=table_of(
            f"Share of the first {k} that another model has among its first {k}, mean over users",
            ["Model", *names],
            [[name, *(formats.percent(share, 0) for share in row)] for name, row in zip(names, others, strict=True)],
        ),
        folded=True,
    )


ACCURACY = Topic("quality", 110, Page.REPORT, "accuracy", _charts, "Quality", "Accuracy", QUALITY, _ask)


def _ask_later(evidence: Evidence, params: ReportParams) -> list[Question]:
    """A day later, against MF and the best baseline."""
    metric = params.compare.primary_metric
    wording = partial(TASTE.wording, label=formats.metric_label(metric))
    later = events_by_gap(evidence).get(LATER)
    if later is None:
        return [unknown(wording("later"), "No test event is known to come more than a day after the last known one.")]
    values = values_on(evidence, top_lists(evidence), later, metric)
    rivals = baselines(values)
    baseline = best(rivals, values)
    later_baseline = wording("later_baseline", rival=model_label(baseline))
    return [
        Paired(wording("later"), values[SOFTMAX], values[MF]),
        Paired(later_baseline, values[SOFTMAX], values[baseline], rivals=len(rivals)),
    ]


WHEN = Topic(
    "when", 120, Page.REPORT, "when", group="Quality", title="Within the session and later", claim=TASTE, ask=_ask_later
)
