"""Overlap: the share of a model's list that is also in the list of another model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import MF, SOFTMAX, model_label, model_noun
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, table_of
from bakeoff.report.topics.base.topic import Page, Topic


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


def _measure(evidence: Evidence, params: ReportParams, _: Statistics) -> Overlap:
    k = int(params.compare.primary_metric.partition("@")[2])
    codes = pd.Index(evidence.items.item_id)
    users = pd.Index(next(iter(evidence.models.values())).users.user_id)
    tops = []
    for model in evidence.models.values():
        top = model.lists[model.lists["rank"] <= k]
        pairs = users.get_indexer(top.user_id).astype(np.int64) * len(codes) + codes.get_indexer(top.item_id)
        tops.append(np.sort(pairs))
    places = max(len(users) * k, 1)
    shares = np.array([[np.intersect1d(a, b, assume_unique=True).size / places for b in tops] for a in tops])
    return Overlap(k, list(evidence.models), shares)


def _draw(found: Overlap) -> Iterator[Figure]:
    names = [model_label(name) for name in found.models]
    rows = [(names[i], names[j], float(found.shares[i, j])) for i, j in permutations(range(len(names)), 2)]
    others = np.where(np.eye(len(names), dtype=bool), np.nan, found.shares)
    yield Figure(
        key="overlap",
        title=f"What the first {found.k} of two models share",
        alt="Matrix: the share of a list that is also in the list of another model, row by column.",
        sentence=_sentence(found),
        spec=series_charts.matrix(pd.DataFrame(rows, columns=["row", "column", "share"]), names, "shared"),
        table=table_of(
            f"Share of the first {found.k} that another model has among its first {found.k}, mean over users",
            ["Model", *names],
            [[name, *(formats.percent(share, 0) for share in row)] for name, row in zip(names, others, strict=True)],
        ),
        folded=True,
    )


def _sentence(found: Overlap) -> str:
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


TOPIC = Topic("overlap", 115, Page.REPORT, "accuracy", _measure, _draw)
