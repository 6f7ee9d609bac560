"""Quality over all users: the claim that the DNN ranks better, and quality by how active a user was."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics, best
from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import metric_label, within_sentence
from bakeoff.report.models import MF, SOFTMAX, baselines, model_label, model_noun, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure
from bakeoff.report.topics.base.claims import Claim, Question, Words
from bakeoff.report.topics.base.judge import on_models
from bakeoff.report.topics.base.topic import MeansByGroup, Named, Page, Topic, estimate_table, estimates

ACTIVITY = {"1–5": 5, "6–20": 20, "21–50": 50, "51–100": 100, "> 100": None}
"""Known interactions of a user → the last number of the bucket."""


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """The primary metric against MF and the best baseline; the others at its cutoff are shown: all are one finding."""
    primary = params.compare.primary_metric
    values = {name: model.users[primary].to_numpy(np.float64) for name, model in evidence.models.items()}
    baseline = best(baselines(values), values)
    others = (f"{name}@{primary.partition('@')[2]}" for name in ACCURACY_LABELS)
    shown = dict.fromkeys((primary, *others))
    against_mf = [_question(evidence, metric, MF, "MF", f"vs_mf_{metric}", primary) for metric in shown]
    than = f"the best baseline, {model_label(baseline)}"
    return [*against_mf, _question(evidence, primary, baseline, than, "vs_best_baseline", primary)]


def _question(evidence: Evidence, metric: str, rival: str, than: str, key: str, primary: str) -> Question:
    label = metric_label(metric)
    says, measured = f"It has a better {within_sentence(label)} than {than}", f"{label} on warm users"
    words = Words(key, says, measured, model_label(SOFTMAX), model_label(rival), metric == primary)
    return on_models(evidence, words, metric, models=(SOFTMAX, rival))


def _measure(evidence: Evidence, params: ReportParams, statistics: Statistics) -> MeansByGroup:
    metric = params.compare.primary_metric
    history = evidence.models[MF].users.num_history.to_numpy()
    ends = [0, *(end for end in ACTIVITY.values() if end is not None), np.inf]
    bucket = pd.cut(history, ends, labels=list(ACTIVITY))
    columns: list[Named] = []
    for name in ACTIVITY:
        users = np.asarray(bucket == name)
        if users.any():
            label = f"{name}\n{formats.count(users.sum())} users"
            columns += [
                (label, model_label(model), np.where(users, found.users[metric].to_numpy(np.float64), np.nan))
                for model, found in evidence.models.items()
            ]
    return MeansByGroup(metric, list(evidence.models), estimates(columns, statistics))


def _draw(found: MeansByGroup) -> Iterator[Figure]:
    label = metric_label(found.metric)
    yield Figure(
        key="by-user",
        title=f"{label} by how much is known of the user",
        alt="Dot chart: a group per number of known interactions, a mark with its interval per model.",
        sentence=_sentence(found),
        spec=series_charts.series_dots(found.frame, model_styles(found.models), f"{label}, mean over users"),
        table=estimate_table(f"{label} by known interactions", "Known interactions", found.frame),
        folded=True,
    )


def _sentence(found: MeansByGroup) -> str:
    """The leader of each bucket, and where its lead is clear."""
    parts, clear, groups = [], 0, dict.fromkeys(found.frame.group)
    for group in groups:
        rows = found.frame[found.frame.group == group].sort_values("mean", ascending=False, kind="stable")
        leader = next(name for name in found.models if model_label(name) == rows.series.iloc[0])
        parts.append(f"{model_noun(leader)} with {group.partition(chr(10))[0]}")
        clear += bool((rows.low.iloc[0] > rows.high.iloc[1:]).all())
    return (
        f"By known interactions the highest mean is that of {formats.listing(parts)}; its interval lies above those of "
        f"all others in {clear} of {len(groups)} groups."
    )


CLAIM = Claim(
    10, "quality", "Quality over all", "The DNN captures the relation of users and items better, and so ranks better."
)
TOPIC = Topic("quality", 110, Page.REPORT, "accuracy", _measure, _draw, "Quality", "Accuracy", CLAIM, _ask)
