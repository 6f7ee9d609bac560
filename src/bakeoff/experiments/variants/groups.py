"""The groups of variants: what is changed in each, and how it is evaluated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bakeoff.core.errors import BakeoffError
from bakeoff.experiments.params import ExperimentSettings
from bakeoff.experiments.planted.contenders import positives_only_trainer
from bakeoff.experiments.training.runner import REFERENCES
from bakeoff.experiments.variants.variant import Group, SkippedGroup, Variant, with_bases
from bakeoff.models.base.specs import DataFacts, spec, specs
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.neural.spec import SoftmaxParams

FEATURES, NEW_ITEMS, FOLDING, DEPTH, SAMPLING = NAMES = ("features", "new-items", "folding", "depth", "sampling")

STUDY = SAMPLING
"""The group that is a study of its own and not part of a nightly run."""

# Per pair there would be nothing to compete with; with a multi-hot target a user's own positives do. Nothing is drawn,
# so nothing is to be corrected: with a correction of the positives alone the model learns how popular items are.
POSITIVES_ONLY = Variant(
    "positives-only",
    "softmax",
    "positives only",
    {"softmax.loss": "multi-hot", "softmax.negatives.selection": "none", "softmax.negatives.logq_correction": False},
    build=positives_only_trainer,
)

TABLE_ALONE = Variant("softmax-table", "softmax", "a table of items alone", {"softmax.use_item_features": False})
"""The textbook's DNN, which can't rank new items."""

MakeGroup = Callable[..., Group]
"""Sentence, variants, the models that they are compared with if not REFERENCES, and options of the group → it."""

RANKINGS = 7
"""Times that the same queries are ranked where the cost of ranking is compared; the first one does not count."""


def check_group(name: str) -> None:
    """Refuse what is not the name of a group.

    Raises:
        BakeoffError: names those that there are.
    """
    if name not in NAMES:
        raise BakeoffError(f"{name!r} is not a group of variants: it must be one of {', '.join(NAMES)}.")


def make_group(name: str, shipped: ExperimentSettings, data: DataFacts) -> Group | SkippedGroup:
    """The group with this name.

    Args:
        name: one of NAMES.
        shipped: the settings.
        data: facts about the split.

    Raises:
        BakeoffError: there is no such group, or a value of `evidence` is not valid for the model.
    """
    check_group(name)
    settings = shipped if name == STUDY else _shorter(shipped)
    return _GROUPS[name](settings, data, partial(_group, name, settings, data))


def _shorter(shipped: ExperimentSettings) -> ExperimentSettings:
    """Settings under which networks are trained for a share of their epochs."""
    share = shipped.evidence.epoch_share
    networks = {name: each for name, each in shipped.models.items() if isinstance(each, SoftmaxParams)}
    values = {f"{name}.max_epochs": max(1, round(share * each.max_epochs)) for name, each in networks.items()}
    return shipped.with_values(values, "A shorter training")


def _training_sentence(shipped: ExperimentSettings) -> str:
    """How all variants of a group were trained."""
    return (
        f"Every variant learned from the train part alone, networks for {shipped.softmax.max_epochs} epochs, and is "
        "the best of the epochs that were looked at on validation."
    )


ON_TEST = "The truth is in test; the history is train and validation, without training on validation."


def _features(shipped: ExperimentSettings, data: DataFacts, group: MakeGroup) -> Group | SkippedGroup:
    variants = [Variant("shipped", "softmax", "as shipped")]
    for there, what in ((data.has_user_features, "user"), (data.has_item_features, "item")):
        if there:
            used = not getattr(shipped.softmax, f"use_{what}_features")
            word = "with" if used else "without"
            settings = {f"softmax.use_{what}_features": used}
            variants.append(Variant(f"{word}-{what}-features", "softmax", f"{word} {what} features", settings))
    if len(variants) == 1:
        return SkippedGroup(
            "Neither users nor items have features, so there is nothing to leave out: name some under "
            "data.user_features or data.item_features in params.yaml."
        )
    return group(
        "The softmax DNN with and without the features that the data has, all else as shipped. "
        f"{_training_sentence(shipped)} {ON_TEST} New users are evaluated with the first of their events.",
        with_bases(variants, shipped),
        evaluates_new_users=True,
    )


def _depth(shipped: ExperimentSettings, _: DataFacts, group: MakeGroup) -> Group | SkippedGroup:
    variants = []
    for depth in dict.fromkeys(shipped.evidence.depths):
        for width in dict.fromkeys(shipped.evidence.widths):
            name, label = (f"{depth}x{width}", f"{depth} × {width}") if depth else ("none", "no hidden layer")
            settings = {"softmax.hidden": [width] * depth}
            variants.append(Variant(name, "softmax", label, settings))
    different = {each.name: each for each in variants}  # without hidden layers there is no width
    towers = with_bases(different.values(), shipped)
    if len(towers) == 1:
        return SkippedGroup("evidence.depths and evidence.widths name nothing but the network as shipped.")
    return group(
        "The softmax DNN with other numbers and widths of hidden layers, all else as shipped. "
        f"{_training_sentence(shipped)} {ON_TEST}",
        towers,
        rankings=RANKINGS,
    )


def _folding(shipped: ExperimentSettings, data: DataFacts, group: MakeGroup) -> Group:
    weights = [
        Variant(f"mf-{weight:g}", "mf", f"α₀ = {weight:g}", _weighted(shipped.mf, weight, data))
        for weight in sorted({*shipped.evidence.unobserved_weights, shipped.mf.unobserved_weight})
    ]
    negatives = [
        POSITIVES_ONLY,
        *(_negatives(name, name, sampler=name) for name in ("uniform", "popularity", "in-batch")),
        _negatives("mixed", "in-batch + uniform", sampler="mixed", mixture=["in-batch", "uniform"]),
        _negatives("hard", "hard among uniform", sampler="uniform", selection="hard"),
    ]
    return group(
        "MF over weights of the pairs that were not observed, with the ridge λ_u of the mean user held; the softmax "
        "DNN over ways to draw its negatives; all else as shipped. "
        f"{_training_sentence(shipped)} {ON_TEST}",
        with_bases([*weights, *negatives], shipped),
        measures_folding=True,
    )


def _group(
    name: str,
    shipped: ExperimentSettings,
    data: DataFacts,
    sentence: str,
    variants: Sequence[Variant],
    models: Sequence[str] = REFERENCES,
    **options: Any,
) -> Group:
    """The variants, and models as shipped that they are compared with, those of them that the data allows."""
    left_out = _left_out(shipped, data, models)
    able = [Variant(f"{model}-shipped", model, "as shipped", base=True) for model in models if model not in left_out]
    return Group(name, sentence, shipped, (*variants, *able), left_out=left_out, **options)


def _left_out(shipped: ExperimentSettings, data: DataFacts, models: Sequence[str]) -> dict[str, str]:
    """Those of the models that can't be trained on this data, each with the reason."""
    reasons = {model: spec(model).why_not(data, shipped.models[model]) for model in models}
    return {model: reason for model, reason in reasons.items() if reason is not None}


def _weighted(mf: MFParams, weight: float, data: DataFacts) -> dict[str, Any]:
    """MF with this weight, and λ such that λ_u of a user with the mean number of events stays what it is.

    λ_u grows with α₀: with a large weight, the effect would be that of the ridge and not of the weight.
    """
    if weight == mf.unobserved_weight:
        return {}
    before, after = (data.events_per_user + each * data.num_items for each in (mf.unobserved_weight, weight))
    held = (before / after) ** mf.regularization_exponent if before and after else 1.0
    return {"mf.unobserved_weight": weight, "mf.regularization": mf.regularization * held}


def _new_items(shipped: ExperimentSettings, data: DataFacts, _: MakeGroup) -> Group | SkippedGroup:
    if shipped.evidence.new_item_share == 0:
        return SkippedGroup("evidence.new_item_share is 0, so that no item counts as new: raise it in params.yaml.")
    models = (*REFERENCES, *(name for name, each in specs().items() if each.role in ("contender", "other")))
    left_out = _left_out(shipped, data, models)
    bases = tuple(Variant(model, model, "as shipped", base=True) for model in models if model not in left_out)
    reads_features = data.has_item_features and shipped.softmax.use_item_features
    return Group(
        NEW_ITEMS,
        "Items that the models have never seen: all their events were taken out of train and validation, and the warm "
        f"users' test events on them are the truth. {_training_sentence(shipped)} {ON_TEST}",
        shipped,
        (*bases, TABLE_ALONE) if reads_features else bases,
        left_out=left_out,
    )


def _sampling(shipped: ExperimentSettings, _: DataFacts, group: MakeGroup) -> Group:
    negatives, seeds = shipped.softmax.negatives, shipped.evidence.study_seeds
    named = {name: getattr(negatives, name) for name in ("sampler", "selection", "logq_correction")}
    variants = with_bases(_samplers(), shipped)
    return group(
        "The softmax DNN over samplers, their correction and the selection of hard negatives, all else as shipped; "
        f"other models for comparison. {_training_sentence(shipped)} The truth is in validation as well; the history "
        f"is the train part.{f' All figures are means over {seeds} seeds.' if seeds > 1 else ''}",
        [each if each.settings else replace(each, settings=_changed(named)) for each in variants],
        ("mf", "ease", "popularity"),
        judged_on="valid",
        measures_folding=True,
        seeds=seeds,
    )


def _samplers() -> Iterator[Variant]:
    """Every sampler with and without correction, and every selection over two of the pools."""
    pools = [(sampler, "none") for sampler in ("uniform", "popularity", "log-uniform", "in-batch", "mixed")]
    pools += [(sampler, selection) for selection in ("hard", "top-k") for sampler in ("uniform", "in-batch")]
    for sampler, selection in pools:
        what = sampler if selection == "none" else f"{selection}-{sampler}"
        label = sampler if selection == "none" else f"{selection} among {sampler}"
        for corrected in (True, False):
            word = "corrected" if corrected else "uncorrected"
            settings = {"sampler": sampler, "selection": selection, "logq_correction": corrected}
            yield _negatives(f"{what}-{word}", f"{label}, {word}", **settings)
    # Nothing is sampled, so there is nothing to correct.
    yield _negatives("full", "full softmax", sampler="full", selection="none")


def _negatives(name: str, label: str, **settings: Any) -> Variant:
    return Variant(name, "softmax", label, _changed({"selection": "none"} | settings))


def _changed(negatives: Mapping[str, Any]) -> dict[str, Any]:
    return {f"softmax.negatives.{name}": value for name, value in negatives.items()}


_GROUPS = {FEATURES: _features, NEW_ITEMS: _new_items, FOLDING: _folding, DEPTH: _depth, SAMPLING: _sampling}
