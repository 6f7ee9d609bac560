"""Claim 2: new items can be asked about where a network reads their features."""

import numpy as np
import pandas as pd

from bakeoff.params import Params
from bakeoff.report.claims.claim import Asked, Expected, Paired, Question, Unknown, Words
from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import metric_label
from bakeoff.report.measured import Skipped, VariantGroup, figure, paired
from bakeoff.report.models import MF, SOFTMAX, model_label, model_noun

TWO_TOWER = "two_tower"


def ask(evidence: Evidence, params: Params) -> Asked:
    """The two-tower model against both contenders, among all items and among the new ones."""
    return Asked(
        key="new_items",
        title="New items",
        words="A second network over the features of items can be asked about items that nobody has had yet; MF and "
        "a DNN with a mere table of items can't.",
        section="new-items",
        questions=_questions(evidence, params),
    )


def _questions(evidence: Evidence, params: Params) -> list[Question]:
    metrics = [f"recall@{k}" for k in params.evaluate.cutoffs]
    group = evidence.measured.group("new-items")
    if isinstance(group, Skipped):
        return [Unknown(_words(MF, metrics[0]), group.reason)]
    tower = group.base(TWO_TOWER)
    if tower is None:
        return [Unknown(_words(MF, metrics[0]), "The two-tower model was not trained without the new items.")]
    note = "This DNN reads features of items beside its table." if params.softmax.use_item_features else ""
    questions: list[Question] = []
    for name, rival in ((name, group.base(name)) for name in (MF, SOFTMAX)):
        if rival is None:
            continue
        for metric in metrics:
            values = paired(group.values(tower["name"], metric), group.values(rival["name"], metric))
            about = note if name == SOFTMAX else ""
            questions.append(Paired(_words(name, metric), *values, Expected.LARGER, note=about))
    return [*questions, _among_new(group)]


def _words(name: str, metric: str) -> Words:
    return Words(
        key=f"{metric.replace('@', '_')}_{name}",
        says=f"The two-tower model finds more new items than {model_noun(name)}",
        measured=f"{metric_label(metric)} of new items, in lists over the whole catalogue",
        first=model_label(TWO_TOWER),
        second=model_label(name),
    )


def _among_new(group: VariantGroup) -> Question:
    """Against the best of all others when only new items are ranked."""
    metric = "recall@10"
    values = {v["model"]: figure(v.get("among_new"), metric) for v in group.variants if v["base"]}
    others = {name: value for name, value in values.items() if name != TWO_TOWER and not np.isnan(value)}
    rival = max(others, key=lambda name: others[name]) if others else MF
    words = Words(
        key="among_new",
        says="Among new items alone it tells which ones fit",
        measured=f"{metric_label(metric)} where new items are ranked and no others",
        first=model_label(TWO_TOWER),
        second=f"{model_label(rival)}, the best of the others",
    )
    both = [group.base(name) for name in (TWO_TOWER, rival)]
    first, second = (group.values(each["name"], f"among_new_{metric}") if each else pd.Series() for each in both)
    return Paired(words, *paired(first, second), Expected.LARGER)
