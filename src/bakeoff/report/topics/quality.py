"""Quality over all users: the claim that the DNN ranks better, quality by how active a user was, shared list places."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.table import ACCURACY_LABELS
from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics, best
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import MF, SOFTMAX, baselines, model_label, model_noun, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, table_of
from bakeoff.report.slices import codes
from bakeoff.report.topics.base.claims import CLAIMS, Question
from bakeoff.report.topics.base.judge import on_users
from bakeoff.report.topics.base.topic import MeansByGroup, Named, Page, Topic, estimate_table, estimates

CLAIM = CLAIMS["quality"]

ACTIVITY = {"1–5": 5, "6–20": 20, "21–50": 50, "51–100": 100, "> 100": None}
"""Known interactions of a user → the last number of the bucket."""


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """The primary metric against MF and the best baseline; the others at its cutoff are shown: all are one finding."""
    primary = params.compare.primary_metric
    values = {name: model.users[primary].to_numpy(np.float64) for name, model in evidence.models.items()}
    baseline = best(baselines(values), values)
    others = (f"{name}@{primary.partition('@')[2]}" for name in ACCURACY_LABELS)
    shown = dict.fromkeys((primary, *others))
    against_mf = [_question(evidence, metric, MF, "vs_mf_{metric}", metric == primary) for metric in shown]
    return [*against_mf, _question(evidence, primary, baseline, "vs_best_baseline", True)]


def _question(evidence: Evidence, metric: str, rival: str, key: str, decides: bool) -> Question:
    label = formats.metric_label(metric)
    values = {"metric": metric, "label": label, "name": formats.within_sentence(label), "rival": model_label(rival)}
    words = CLAIM.wording(key, decides=decides, **values)
    return on_users(evidence, words, (SOFTMAX, rival), metric)


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
    label = formats.metric_label(found.metric)
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


TOPIC = Topic("quality", 110, Page.REPORT, "accuracy", _measure, _draw, "Quality", "Accuracy", CLAIM, _ask)


@dataclass(frozen=True)
class Overlap:
    """Overlap of the lists of each pair of models.

    Attributes:
        k: length of the lists.
        models: in order.
        shares: float [num_models, num_models], mean over users of |A ∩ B| / k.
    """

    k: int
    models: Sequence[str]
    shares: np.ndarray


def _measure_overlap(evidence: Evidence, params: ReportParams, _: Statistics) -> Overlap:
    k = int(params.compare.primary_metric.partition("@")[2])
    tops = [codes(model.top(k), evidence) for model in evidence.models.values()]
    pairs = [row * len(evidence.items) + item for row, item in tops]
    places = max(len(evidence.models[MF].users) * k, 1)
    shares = np.array([[np.intersect1d(a, b, assume_unique=True).size / places for b in pairs] for a in pairs])
    return Overlap(k, list(evidence.models), shares)


def _draw_overlap(found: Overlap) -> Iterator[Figure]:
    names = [model_label(name) for name in found.models]
    others = np.where(np.eye(len(names), dtype=bool), np.nan, found.shares)
    yield Figure(
        key="overlap",
        title=f"What the first {found.k} of two models share",
        alt="Matrix: the share of a list that is also in the list of another model, row by column.",
        sentence=_overlap_sentence(found),
        spec=series_charts.matrix(others, names, "shared"),
        table=table_of(
            f"Share of the first {found.k} that another model has among its first {found.k}, mean over users",
            ["Model", *names],
            [[name, *(formats.percent(share, 0) for share in row)] for name, row in zip(names, others, strict=True)],
        ),
        folded=True,
    )


def _overlap_sentence(found: Overlap) -> str:
    """The contenders' share, and the pairs that share most and least."""
    pairs = [(found.shares[i, j], i, j) for i in range(len(found.models)) for j in range(i)]
    if not pairs:
        return "There is one model only."
    mf, softmax = found.models.index(MF), found.models.index(SOFTMAX)
    most, least = max(pairs), min(pairs)

    def pair(i: int, j: int) -> str:
        return f"{model_noun(found.models[j])} and {model_noun(found.models[i])}"

    return (
        f"MF and the softmax DNN share {formats.percent(found.shares[mf, softmax], 0)} of the first {found.k} on "
        f"average. {formats.sentence(pair(*most[1:]))} share most ({formats.percent(most[0], 0)}), {pair(*least[1:])} "
        f"least ({formats.percent(least[0], 0)})."
    )


OVERLAP = Topic("overlap", 115, Page.REPORT, "accuracy", _measure_overlap, _draw_overlap)
