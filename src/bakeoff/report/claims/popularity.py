"""Claim 4: the DNN is less drawn to popular items."""

import numpy as np
import pandas as pd

from bakeoff.evaluation.metrics.formulas import coverage, gini
from bakeoff.evaluation.stats.intervals import jackknife_half_width
from bakeoff.params import Params
from bakeoff.report.claims.claim import Asked, Expected, Form, Paired, Pooled, Question, Words
from bakeoff.report.evidence import Evidence
from bakeoff.report.measured import paired
from bakeoff.report.models import MF, SOFTMAX, model_label


def ask(evidence: Evidence, params: Params) -> Asked:
    """How popular the lists are, and how much of the catalogue they reach."""
    k = int(params.compare.primary_metric.partition("@")[2])
    return Asked(
        key="popularity",
        title="Popularity",
        words="Popular items tend to win the dot product of MF; the DNN is less drawn to them.",
        section="popularity",
        questions=[
            _per_user(evidence, _words("arp", "The DNN recommends less popular items", _ARP.format(k=k)), f"arp@{k}"),
            _per_user(
                evidence,
                _words("long_tail", "It recommends more of the long tail", f"share of lists of {k} in the long tail"),
                f"long_tail_share@{k}",
                Expected.LARGER,
                Form.SHARE,
            ),
            *_lists(evidence, k, params),
        ],
    )


_ARP = "interactions in training of the items in lists of {k} (the numerator of popularity lift)"


def _words(key: str, says: str, measured: str) -> Words:
    return Words(key, says, measured, model_label(SOFTMAX), model_label(MF))


def _per_user(
    evidence: Evidence,
    words: Words,
    column: str,
    expected: Expected = Expected.SMALLER,
    form: Form = Form.COUNT,
) -> Question:
    softmax, mf = (evidence.models[name].users.set_index("user_id")[column] for name in (SOFTMAX, MF))
    return Paired(words, *paired(softmax, mf), expected, form)


def _lists(evidence: Evidence, k: int, params: Params) -> list[Question]:
    """Figures of all lists together, of those users who are looked at."""
    models = [evidence.models[name] for name in (SOFTMAX, MF)]
    items = pd.Index(evidence.items.item_id)
    users = pd.Index(models[0].users.user_id)
    shown = [model.lists[model.lists["rank"] <= k] for model in models]
    first_places, second_places = ((users.get_indexer(each.user_id), items.get_indexer(each.item_id)) for each in shown)
    questions: list[Question] = []
    for name, of, key, says, expected, form in _TOGETHER:
        words = _words(key, says, f"{name.capitalize()}@{k} of all lists")
        first, second = (of(np.bincount(places[1], minlength=len(items))) for places in (first_places, second_places))
        half = jackknife_half_width(
            first_places, second_places, len(users), len(items), of, params.seed, params.compare.confidence
        )
        questions.append(Pooled(words, first, second, half, len(users), expected, form))
    return questions


_TOGETHER = (
    ("coverage", coverage, "coverage", "Its lists reach more of the catalogue", Expected.LARGER, Form.SHARE),
    ("gini", gini, "gini", "Its places are shared more evenly among items", Expected.SMALLER, Form.NUMBER),
)
