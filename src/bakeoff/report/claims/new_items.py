"""Claim 2: new items can be asked about where a network reads their features."""

import numpy as np
import pandas as pd

from bakeoff.report.claims.caveats import of_variants
from bakeoff.report.claims.claim import Asked, Expected, Paired, Question, Unknown, Words
from bakeoff.report.evidence import Evidence
from bakeoff.report.formats import metric_label
from bakeoff.report.measured import Skipped, VariantGroup, figure, paired
from bakeoff.report.models import MF, SOFTMAX, model_label, model_noun
from bakeoff.report.params import ReportParams
from bakeoff.report.variants import resolved

TWO_TOWER = "two_tower"
READS = "_with_features"
"""End of the keys of parts that are about a DNN that reads features of items."""


def ask(evidence: Evidence, params: ReportParams) -> Asked:
    """The two-tower model against both contenders, among all items and among the new ones."""
    questions = _questions(evidence, params)
    return Asked(
        key="new_items",
        title="New items",
        words="A second network over the features of items can be asked about items that nobody has had yet; MF and "
        "a DNN with a mere table of items can't.",
        section="new-items",
        questions=questions,
        # A DNN that reads features of items beside its table is not the one that the claim is about.
        decided_by=frozenset(key for each in questions if not (key := each.words.key).endswith(READS)),
    )


def _questions(evidence: Evidence, params: ReportParams) -> list[Question]:
    metrics = [f"recall@{k}" for k in params.evaluate.cutoffs]
    group = evidence.measured.group("new-items")
    if isinstance(group, Skipped):
        return [Unknown(_words(MF, metrics[0]), group.reason)]
    tower = group.base(TWO_TOWER)
    if tower is None:
        return [Unknown(_words(MF, metrics[0]), "The two-tower model was not trained without the new items.")]
    questions: list[Question] = []
    for name in (MF, SOFTMAX):
        for rival in group.of(name):
            for metric in metrics:
                values = paired(group.values(tower["name"], metric), group.values(rival["name"], metric))
                reads = name == SOFTMAX and rival["base"] and resolved(rival, "softmax.use_item_features", params)
                words = _words(name, metric, "" if rival["base"] else rival["label"], READS if reads else "")
                note = "This DNN reads features of items beside its table." if reads else ""
                questions.append(Paired(words, *values, Expected.LARGER, note=note))
    return of_variants([*questions, _among_new(group)], params)


def _words(name: str, metric: str, label: str = "", what: str = "") -> Words:
    return Words(
        key=f"{metric.replace('@', '_')}_{name}{what}",
        says=f"The two-tower model finds more new items than {model_noun(name)}{f' with {label}' if label else ''}",
        measured=f"{metric_label(metric)} of new items, in lists over the whole catalogue",
        first=model_label(TWO_TOWER),
        second=f"{model_label(name)}{f', {label}' if label else ''}",
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
