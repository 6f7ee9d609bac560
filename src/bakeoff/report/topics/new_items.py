"""New items: the claim that a network over their features can recommend them, and how well each model does."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, Variant, VariantGroup, figure, paired, resolved
from bakeoff.report.models import MF, SOFTMAX, model_label, model_noun, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, caption
from bakeoff.report.topics.base.claims import CLAIMS, Paired, Question
from bakeoff.report.topics.base.judge import of_variants, unknown
from bakeoff.report.topics.base.topic import NEW, Named, Page, Topic, estimate_table, estimates

CLAIM = CLAIMS["new_items"]

TWO_TOWER = "two_tower"
AMONG_NEW = "recall@10"
"""Metric of ranking new items alone."""


def _ask(evidence: Evidence, params: ReportParams) -> list[Question]:
    """The two-tower model against chance, against all others among the new items, and against a DNN with features.

    MF and a DNN with a mere table find no new item by construction, so that no part compares with them. A shipped DNN
    that reads features of items is not the one of the claim: its parts do not decide.
    """
    group = evidence.part("new-items")
    cutoffs = params.evaluate.cutoffs
    chance = CLAIM.wording("chance", label=formats.metric_label(f"recall@{cutoffs[-1]}"))
    if isinstance(group, NotMeasured):
        return [unknown(chance, group.reason)]
    tower = group.base(TWO_TOWER)
    if tower is None:
        return [unknown(chance, "The two-tower model was not trained without the new items.")]
    by_chance = paired(group.values(tower["name"], f"recall@{cutoffs[-1]}"), _by_chance(evidence, group, cutoffs[-1]))
    questions = [Paired(chance, *by_chance), _among_new(group)]
    dnn = group.base(SOFTMAX)
    if dnn is not None and resolved(dnn, "softmax.use_item_features", params):
        questions += [_against_features(group, tower, dnn, f"recall@{k}") for k in cutoffs]
    return of_variants(questions, params)


def _by_chance(evidence: Evidence, group: VariantGroup, k: int) -> pd.Series:
    """User id → expected recall@k of k items that are drawn from those that the user has not had.

    A list of k among n items holds k/n of the |T| new items that came next: k |T| / n / min(k, |T|).
    """
    users = group.users[group.users.variant == group.users.variant.iloc[0]].set_index("user_id")
    known = evidence.models[MF].users.set_index("user_id").num_history.reindex(users.index)
    found = k * users.num_test / (len(evidence.items) - known) / users.num_test.clip(upper=k)
    return found.clip(upper=1.0).where(users.num_test > 0)


def _against_features(group: VariantGroup, tower: Variant, dnn: Variant, metric: str) -> Paired:
    """Shown for information: the claim is about a DNN without features of items."""
    name, label = metric.replace("@", "_"), formats.metric_label(metric)
    words = CLAIM.wording("{name}_softmax_with_features", decides=False, name=name, label=label)
    values = paired(group.values(tower["name"], metric), group.values(dnn["name"], metric))
    return Paired(words, *values, note="This DNN reads features of items in addition to its table.")


def _among_new(group: VariantGroup) -> Question:
    """Against the best of all others when only new items are ranked."""
    values = {v["model"]: figure(v.get("among_new"), AMONG_NEW) for v in group.variants if v["base"]}
    others = {name: value for name, value in values.items() if name != TWO_TOWER and not np.isnan(value)}
    rival = max(others, key=lambda name: others[name]) if others else MF
    words = CLAIM.wording("among_new", label=formats.metric_label(AMONG_NEW), rival=model_label(rival))
    both = [group.base(name) for name in (TWO_TOWER, rival)]
    first, second = (group.values(each["name"], f"among_new_{AMONG_NEW}") if each else pd.Series() for each in both)
    return Paired(words, *paired(first, second))


def _charts(group: VariantGroup, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    """The caption names the model that finds most in the longest lists, and the models that find none.

    And what variants that are not as shipped find.
    """
    cutoffs = params.evaluate.cutoffs
    variants = [variant for variant in group.variants if variant["base"]]
    metrics = {f"{formats.metric_label(f'recall@{k}')}\nwhole catalogue": f"recall@{k}" for k in cutoffs}
    if f"among_new_{AMONG_NEW}" in group.users:
        metrics[f"{formats.metric_label(AMONG_NEW)}\nnew items alone"] = f"among_new_{AMONG_NEW}"
    columns: list[Named] = [
        (label, model_label(v["model"]), group.values(v["name"], metric).to_numpy(np.float64))
        for label, metric in metrics.items()
        for v in variants
    ]
    frame = estimates(columns, statistics)
    others = {
        f"{model_noun(v['model'])} with {v['label']}": float(group.values(v["name"], f"recall@{cutoffs[-1]}").mean())
        for v in group.variants
        if not v["base"]
    }
    longest = [label for label in dict.fromkeys(frame.group) if "whole" in label][-1]
    means = frame[frame.group == longest].set_index("series")["mean"]
    by_model = {v["model"]: float(means[model_label(v["model"])]) for v in variants if model_label(v["model"]) in means}
    metric, sizes = formats.within_sentence(longest.partition("\n")[0]), group.notes["new_items"]
    yield Figure(
        "new-items",
        *caption("new-items", sizes=sizes, metric=metric, found=by_model, others=others),
        spec=series_charts.series_dots(frame, model_styles(v["model"] for v in variants), "mean over users"),
        table=estimate_table("Recall of items without a training event", "Model", frame),
    )


TOPIC = Topic("new_items", 220, Page.EVIDENCE, "new-items", _charts, NEW, "New items", CLAIM, _ask, "new-items")
