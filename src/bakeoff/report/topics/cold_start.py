"""Cold start: the claim that the DNN serves new users better, what features add to it, and who finds new items.

The claim about new items is that a network over their features can recommend them.
"""

from collections.abc import Iterator, Mapping
from itertools import cycle

import numpy as np
import pandas as pd

from bakeoff.report import formats, series_charts
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, Variant, VariantGroup, asked, figure, paired, resolved
from bakeoff.report.models import MF, PALETTE, SOFTMAX, model_label, model_noun, model_styles
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Figure, caption
from bakeoff.report.slices import known_interactions, step_label, steps
from bakeoff.report.topics.base.claims import CLAIMS, Paired, Question
from bakeoff.report.topics.base.judge import of_variants, unknown
from bakeoff.report.topics.base.topic import NEW, Named, Page, Topic, estimate_table, estimates

USERS, ITEMS = CLAIMS["new_users"], CLAIMS["new_items"]

WARM = "warm users"


def _ask_of_users(evidence: Evidence, params: ReportParams) -> list[Question]:
    """New users by the number of their known interactions, then the effect of features."""
    metric = params.compare.primary_metric
    return [*_new_users(evidence, metric), *of_variants(_features(evidence, params, metric))]


def _new_users(evidence: Evidence, metric: str) -> list[Question]:
    label = formats.metric_label(metric)
    questions: list[Question] = []
    for first in steps(evidence.models[MF].new_users):
        softmax, mf = (asked(evidence.models[name].new_users, first) for name in (SOFTMAX, MF))
        falls_back = bool(mf.fallback.any())
        known, answers = known_interactions(first), "its fallback" if falls_back else "fold-in"
        words = USERS.wording("told_{first}", first=first, known=known, label=label, answers=answers)
        note = "MF can't be asked about a user without a history." if falls_back else ""
        values = paired(softmax.set_index("user_id")[metric], mf.set_index("user_id")[metric])
        questions.append(Paired(words, *values, note=note))
    return questions or [unknown(USERS.wording("told", label=label), "The split holds out no new users.")]


def _features(evidence: Evidence, params: ReportParams, metric: str) -> list[Question]:
    """User features for new users without history and for warm users; item features for warm users.

    Features of items are not features of a user, so that part does not decide.
    """
    group = evidence.part("features")
    if isinstance(group, NotMeasured):
        return [unknown(USERS.wording("features"), group.reason)]
    label, questions = formats.metric_label(metric), list[Question]()
    for kind, first in (("user", "0"), ("user", ""), ("item", "")):
        key = f"{kind}_features_{'new' if first else 'warm'}"
        words = USERS.wording(key, decides=kind == "user", label=label)
        pair = _with_and_without(group, kind, params)
        if pair is None:
            questions.append(unknown(words, f"The data has no features of {kind}s to leave out."))
            continue
        both = (group.new_values(v["name"], first, metric) if first else group.values(v["name"], metric) for v in pair)
        questions.append(Paired(words, *paired(*both)))
    return questions


def _with_and_without(group: VariantGroup, kind: str, params: ReportParams) -> tuple[Variant, Variant] | None:
    """The shipped softmax DNN and the variant that differs only in the features of `kind`, the one with them first.

    None where there is no such variant.
    """
    name = f"softmax.use_{kind}_features"
    shipped = group.base(SOFTMAX)
    other = next((variant for variant in group.of(SOFTMAX) if set(variant["settings"]) == {name}), None)
    if shipped is None or other is None:
        return None
    return (shipped, other) if resolved(shipped, name, params) else (other, shipped)


def by_known(group: VariantGroup, named: Mapping[str, str], metric: str, statistics: Statistics) -> pd.DataFrame:
    """`estimates` of the named variants by the number of known interactions of new users, and over warm users."""
    columns: list[Named] = [
        (f"{step_label(first)} known", label, group.new_values(name, first, metric).to_numpy(np.float64))
        for first in steps(group.new_users)
        for name, label in named.items()
    ]
    columns += [(WARM, label, group.values(name, metric).to_numpy(np.float64)) for name, label in named.items()]
    return estimates(columns, statistics)


def _feature_charts(group: VariantGroup, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
    """The shipped DNN compared with its variants by what is known of new users and over warm users; with baselines."""
    metric = params.compare.primary_metric
    label = formats.metric_label(metric)
    variants = {v["name"]: str(v["label"]) for v in sorted(group.of(SOFTMAX), key=lambda variant: not variant["base"])}
    compared = {v["name"]: model_label(v["model"]) for v in group.variants if v["model"] != SOFTMAX}
    frame = by_known(group, variants | compared, metric, statistics)
    styles = dict(zip(dict.fromkeys([*variants.values(), *compared.values()]), cycle(PALETTE), strict=False))
    means = {(row.group, row.series): formats.decimal(row.mean, 3) for row in frame.itertuples()}
    shipped, *others = variants.values()
    parts = []
    for users in (next(iter(frame.group)), WARM):
        rivals = [f"{means[users, each]} ({each})" for each in others if (users, each) in means]
        if rivals and (users, shipped) in means:
            parts.append(f"{users}: {means[users, shipped]} ({shipped}), {', '.join(rivals)}")
    baselines = [f"{each} {means[WARM, each]}" for each in compared.values() if (WARM, each) in means]
    yield Figure(
        "features",
        *caption("features", parts=parts, baselines=baselines, warm=WARM),
        spec=series_charts.series_dots(frame, styles, f"{label}, mean over users"),
        table=estimate_table(f"{label} of the softmax DNN with and without features", "Variant", frame),
    )


FEATURES = Topic(
    "features", 210, Page.EVIDENCE, "features", _feature_charts, NEW, "Side features", USERS, _ask_of_users, "features"
)


TWO_TOWER = "two_tower"
AMONG_NEW = "recall@10"
"""Metric of ranking new items alone."""


def _ask_of_items(evidence: Evidence, params: ReportParams) -> list[Question]:
    """The two-tower model against chance, against all others among the new items, and against a DNN with features.

    MF and a DNN with a mere table find no new item by construction, so that no part compares with them. A shipped DNN
    that reads features of items is not the one of the claim: its parts do not decide.
    """
    group = evidence.part("new-items")
    cutoffs = params.evaluate.cutoffs
    chance = ITEMS.wording("chance", label=formats.metric_label(f"recall@{cutoffs[-1]}"))
    if isinstance(group, NotMeasured):
        return [unknown(chance, group.reason)]
    tower = group.base(TWO_TOWER)
    if tower is None:
        return [unknown(chance, "The two-tower model was not trained without the new items.")]
    by_chance = _by_chance(evidence, group, cutoffs[-1], params.split.keep_repeats)
    found = paired(group.values(tower["name"], f"recall@{cutoffs[-1]}"), by_chance)
    questions = [Paired(chance, *found), _among_new(group)]
    dnn = group.base(SOFTMAX)
    if dnn is not None and resolved(dnn, "softmax.use_item_features", params):
        questions += [_against_features(group, tower, dnn, f"recall@{k}") for k in cutoffs]
    return of_variants(questions)


def _by_chance(evidence: Evidence, group: VariantGroup, k: int, keeps_repeats: bool) -> pd.Series:
    """User id → expected recall@k of k items that are drawn from those that the user's list may hold.

    These are the n items that the user has not had, or all items where the split keeps repeats. A list of k among them
    holds k/n of the |T| new items that came next: k |T| / n / min(k, |T|).
    """
    users = group.users[group.users.variant == group.users.variant.iloc[0]].set_index("user_id")
    known = evidence.models[MF].users.set_index("user_id").num_history.reindex(users.index)
    left_out = 0 if keeps_repeats else known
    found = k * users.num_test / (len(evidence.items) - left_out) / users.num_test.clip(upper=k)
    return found.clip(upper=1.0).where(users.num_test > 0)


def _against_features(group: VariantGroup, tower: Variant, dnn: Variant, metric: str) -> Paired:
    """Shown for information: the claim is about a DNN without features of items."""
    name, label = metric.replace("@", "_"), formats.metric_label(metric)
    words = ITEMS.wording("{name}_softmax_with_features", decides=False, name=name, label=label)
    values = paired(group.values(tower["name"], metric), group.values(dnn["name"], metric))
    return Paired(words, *values, note="This DNN reads features of items in addition to its table.")


def _among_new(group: VariantGroup) -> Question:
    """Against the best of all others when only new items are ranked."""
    values = {v["model"]: figure(v.get("among_new"), AMONG_NEW) for v in group.variants if v["base"]}
    others = {name: value for name, value in values.items() if name != TWO_TOWER and not np.isnan(value)}
    rival = max(others, key=lambda name: others[name]) if others else MF
    words = ITEMS.wording("among_new", label=formats.metric_label(AMONG_NEW), rival=model_label(rival))
    both = [group.base(name) for name in (TWO_TOWER, rival)]
    first, second = (group.values(each["name"], f"among_new_{AMONG_NEW}") if each else pd.Series() for each in both)
    return Paired(words, *paired(first, second))


def _new_item_charts(group: VariantGroup, params: ReportParams, statistics: Statistics) -> Iterator[Figure]:
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


NEW_ITEMS = Topic(
    "new_items", 220, Page.EVIDENCE, "new-items", _new_item_charts, NEW, "New items", ITEMS, _ask_of_items, "new-items"
)
