"""How much the lists of two models share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.evidence import Evidence
from bakeoff.report.models import MF, SOFTMAX, model_label, model_noun
from bakeoff.report.render.figure import Cell, Column, Figure, Table


@dataclass(frozen=True)
class Overlap:
    """Shares of shared places.

    Attributes:
        k: length of the lists.
        models: in order.
        shares: float [num_models, num_models], mean over users of |A ∩ B| / k.
    """

    k: int
    models: Sequence[str]
    shares: np.ndarray


def overlap(evidence: Evidence, k: int) -> Overlap:
    """Mean over users of the share of the first k that two lists have in common."""
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


def figures(found: Overlap) -> list[Figure]:
    """One chart: a matrix of models."""
    names = [model_label(name) for name in found.models]
    rows = [
        (names[i], names[j], float(found.shares[i, j])) for i in range(len(names)) for j in range(len(names)) if i != j
    ]
    return [
        Figure(
            key="overlap",
            title=f"What the first {found.k} of two models share",
            alt="Matrix: the share of a list that is also in the list of another model, row by column.",
            sentence=sentence(found),
            spec=series_charts.matrix(pd.DataFrame(rows, columns=["row", "column", "share"]), names, "shared"),
            table=Table(
                f"Share of the first {found.k} that another model has among its first {found.k}, mean over users",
                [Column("Model"), *(Column(name) for name in names)],
                [
                    [
                        Cell(name),
                        *(
                            Cell(formats.NO_VALUE if i == j else formats.percent(found.shares[i, j], 0))
                            for j in range(len(names))
                        ),
                    ]
                    for i, name in enumerate(names)
                ],
            ),
            section="examples",
        )
    ]


def sentence(found: Overlap) -> str:
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
