"""The groups of variants, built from `params.yaml`: what is changed in each, and how it is judged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bakeoff.core.errors import BakeoffError
from bakeoff.experiments.variants.variant import Variant, with_bases, with_settings
from bakeoff.models.mf.params import MFParams
from bakeoff.params import Params

FEATURES, NEW_ITEMS, FOLDING, DEPTH, SAMPLING = NAMES = ("features", "new-items", "folding", "depth", "sampling")

STUDY = SAMPLING
"""The group that is a study of its own and no part of a nightly run."""

# Per pair there would be nothing to compete with; with a multi-hot target a user's own positives do. Nothing is drawn,
# so nothing is to be corrected: with a correction of the positives alone the model learns how popular items are.
POSITIVES_ONLY = Variant(
    "positives-only",
    "softmax",
    "positives only",
    {"softmax.loss": "multi-hot", "softmax.negatives.selection": "none", "softmax.negatives.logq_correction": False},
    positives_only=True,
)

TABLE_ALONE = Variant("softmax-table", "softmax", "a table of items alone", {"softmax.use_item_features": False})
"""What the textbook means by a DNN that can't be asked about new items."""

NETWORKS = ("softmax", "two_tower")

ASKED_TIMES = 7
"""Times that towers are asked the same, where what an answer costs is compared; the first one does not count."""


@dataclass(frozen=True)
class Group:
    """Variants that are compared with one another.

    Attributes:
        name: of the group.
        sentence: what was done, for people.
        params: what stands for all variants of the group.
        variants: in the order in which they are shown.
        judged_on: the part that is asked about.
        asks_new_users: whether new users are asked about as well.
        measures_folding: whether folding is measured.
        asked_times: how often the question is put, to time the answers.
        left_out: models that would belong here but can't be trained on this data, each with the reason.
    """

    name: str
    sentence: str
    params: Params
    variants: tuple[Variant, ...]
    judged_on: Literal["valid", "test"] = "test"
    asks_new_users: bool = False
    measures_folding: bool = False
    asked_times: int = 1
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """What a group must know of the data: whether users and items have features, and how large it is."""

    user_features: bool
    item_features: bool
    num_items: int
    events_per_user: float = 0.0
    """Mean over users with any."""


@dataclass(frozen=True)
class Skipped:
    """A group with nothing to compare, and the sentence that says why."""

    reason: str


def check_group(name: str) -> None:
    """Refuse what is not the name of a group.

    Raises:
        BakeoffError: names those that there are.
    """
    if name not in NAMES:
        raise BakeoffError(f"{name!r} is not a group of variants: it must be one of {', '.join(NAMES)}.")


def make_group(name: str, params: Params, data: Data) -> Group | Skipped:
    """The group with this name.

    Args:
        name: one of NAMES.
        params: of the whole project.
        data: what is to be trained on.

    Raises:
        BakeoffError: there is no such group, or a value of `evidence` is not one that the model can have.
    """
    check_group(name)
    if name == STUDY:
        return _sampling(params, data)
    shorter = _shorter(params)
    if name == FEATURES:
        return _features(shorter, data)
    if name == DEPTH:
        return _depth(shorter, data)
    return _folding(shorter, data) if name == FOLDING else _new_items(shorter, data)


def _shorter(params: Params) -> Params:
    share = params.evidence.epoch_share
    epochs = {f"{model}.max_epochs": max(1, round(share * getattr(params, model).max_epochs)) for model in NETWORKS}
    return with_settings(params, epochs, "A shorter training")


def _trained(params: Params, model: str) -> str:
    """How all variants of a group came to be."""
    epochs = getattr(params, model).max_epochs
    return (
        f"Every variant learned from the train part alone, networks for {epochs} epochs, and is the best of the epochs "
        "that were looked at on validation."
    )


TEST_WAS_ASKED = "Test was asked about with train and validation as the history, without training on validation."


def _features(params: Params, data: Data) -> Group | Skipped:
    variants = [Variant("shipped", "softmax", "as shipped")]
    for there, what in ((data.user_features, "user"), (data.item_features, "item")):
        if there:
            used = not getattr(params.softmax, f"use_{what}_features")
            word = "with" if used else "without"
            settings = {f"softmax.use_{what}_features": used}
            variants.append(Variant(f"{word}-{what}-features", "softmax", f"{word} {what} features", settings))
    if len(variants) == 1:
        return Skipped(
            "Neither users nor items have features, so there is nothing to leave out: name some under "
            "data.user_features or data.item_features in params.yaml."
        )
    left_out = _too_large(params, data)
    return Group(
        FEATURES,
        "The softmax DNN with and without the features that the data has, all else as shipped. "
        f"{_trained(params, 'softmax')} {TEST_WAS_ASKED} New users were asked about with the first of their events.",
        params,
        (*with_bases(variants, params), *_references(left_out)),
        asks_new_users=True,
        left_out=left_out,
    )


def _depth(params: Params, data: Data) -> Group | Skipped:
    variants = []
    for depth in dict.fromkeys(params.evidence.depths):
        for width in dict.fromkeys(params.evidence.widths):
            name, label = (f"{depth}x{width}", f"{depth} × {width}") if depth else ("none", "no hidden layer")
            settings = {"softmax.hidden": [width] * depth}
            variants.append(Variant(name, "softmax", label, settings))
    different = {each.name: each for each in variants}  # without hidden layers there is no width
    group = with_bases(different.values(), params)
    if len(group) == 1:
        return Skipped("evidence.depths and evidence.widths name nothing but the network as shipped.")
    left_out = _too_large(params, data)
    return Group(
        DEPTH,
        "The softmax DNN with other numbers and widths of hidden layers, all else as shipped. "
        f"{_trained(params, 'softmax')} {TEST_WAS_ASKED}",
        params,
        (*group, *_references(left_out)),
        left_out=left_out,
        asked_times=ASKED_TIMES,
    )


def _folding(params: Params, data: Data) -> Group:
    weights = [
        Variant(f"mf-{weight:g}", "mf", f"α₀ = {weight:g}", _weighted(params.mf, weight, data))
        for weight in sorted({*params.evidence.unobserved_weights, params.mf.unobserved_weight})
    ]
    negatives = [
        POSITIVES_ONLY,
        _negatives("uniform", "uniform", sampler="uniform"),
        _negatives("popularity", "popularity", sampler="popularity"),
        _negatives("in-batch", "in-batch", sampler="in-batch"),
        _negatives("mixed", "in-batch + uniform", sampler="mixed", mixture=["in-batch", "uniform"]),
        _negatives("hard", "hard among uniform", sampler="uniform", selection="hard"),
    ]
    left_out = _too_large(params, data)
    return Group(
        FOLDING,
        "MF over weights of the pairs that were not observed, with the ridge λ_u of the mean user held; the softmax "
        "DNN over ways to draw its negatives; all else as shipped. "
        f"{_trained(params, 'softmax')} {TEST_WAS_ASKED}",
        params,
        (*with_bases([*weights, *negatives], params), *_references(left_out)),
        measures_folding=True,
        left_out=left_out,
    )


def _references(left_out: Mapping[str, str], models: Sequence[str] = ("popularity", "ease")) -> tuple[Variant, ...]:
    """Models that stand beside the contenders' variants."""
    able = [model for model in models if model not in left_out]
    return tuple(Variant(f"{model}-shipped", model, "as shipped", base=True) for model in able)


def _too_large(params: Params, data: Data) -> dict[str, str]:
    """EASE, where its matrix of items on items would not fit, and why."""
    if data.num_items <= params.ease.max_items:
        return {}
    return {"ease": f"{data.num_items:,} items are more than ease.max_items = {params.ease.max_items:,}."}


def _weighted(mf: MFParams, weight: float, data: Data) -> dict[str, Any]:
    """MF with this weight, and λ such that λ_u of a user with the mean number of events stays what it is.

    λ_u grows with α₀ by itself: with a large weight it would be the ridge that speaks, and not the weight.
    """
    if weight == mf.unobserved_weight:
        return {}
    shipped, changed = (data.events_per_user + each * data.num_items for each in (mf.unobserved_weight, weight))
    held = (shipped / changed) ** mf.regularization_exponent if shipped and changed else 1.0
    return {"mf.unobserved_weight": weight, "mf.regularization": mf.regularization * held}


def _new_items(params: Params, data: Data) -> Group | Skipped:
    if params.evidence.new_item_share == 0:
        return Skipped("evidence.new_item_share is 0, so that no item counts as new: raise it in params.yaml.")
    left_out = _too_large(params, data)
    if not data.item_features:
        left_out["two_tower"] = "Items have no features to be told by."
    models = [each for each in ("popularity", "ease", "mf", "softmax", "two_tower") if each not in left_out]
    shipped = tuple(Variant(model, model, "as shipped", base=True) for model in models)
    reads_features = data.item_features and params.softmax.use_item_features
    return Group(
        NEW_ITEMS,
        "Items that the models have never met: all their events were taken out of train and validation, and the warm "
        f"users' test events on them are what is asked for. {_trained(params, 'softmax')} {TEST_WAS_ASKED}",
        params,
        (*shipped, TABLE_ALONE) if reads_features else shipped,
        left_out=left_out,
    )


def _sampling(params: Params, data: Data) -> Group:
    left_out = _too_large(params, data)
    shipped = params.softmax.negatives
    named = {"sampler": shipped.sampler, "selection": shipped.selection, "logq_correction": shipped.logq_correction}
    variants = with_bases(_samplers(), params)
    return Group(
        SAMPLING,
        "The softmax DNN over samplers, their correction and the selection of hard negatives, all else as shipped; "
        f"beside it other models. {_trained(params, 'softmax')} It was judged on validation as well, with the "
        "train part as the history.",
        params,
        (
            *(each if each.settings else replace(each, settings=_changed(named)) for each in variants),
            *_references(left_out, ("mf", "ease", "popularity")),
        ),
        judged_on="valid",
        measures_folding=True,
        left_out=left_out,
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
