"""Models with a few settings changed, and the groups in which they are compared: what is changed in each."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from bakeoff.core.errors import BakeoffError
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.params import ExperimentSettings, sentence
from bakeoff.experiments.training.runner import REFERENCES, Build, Experiment
from bakeoff.models.base.specs import DataFacts, spec, specs
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.neural.batches import PositivesOnlyBatches
from bakeoff.models.neural.trainer import build

NEW_ITEMS = "new-items"
STUDY = "sampling"
"""The group that is a study of its own and not part of a nightly run."""


@dataclass(frozen=True)
class Variant:
    """One model of a group.

    Attributes:
        name: unique within the group; suits a file name or a key.
        model: name of the model that is changed.
        label: for people, such as "2 × 64".
        settings: what is changed, by dotted names of `params.yaml`: {"mf.unobserved_weight": 0.01}.
        base: whether nothing is changed, so that this is the model as shipped.
        build: makes the trainer in place of the model's own, where no setting describes it; None elsewhere.
    """

    name: str
    model: str
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    base: bool = False
    build: Build | None = None

    def applied_to(self, shipped: ExperimentSettings) -> ExperimentSettings:
        """The shipped settings with those of the variant in their place.

        Raises:
            BakeoffError: a setting does not exist, or a value is not valid.
        """
        return shipped.with_values(self.settings, f"Variant {self.name!r} of {self.model}")

    def experiment(self, shipped: ExperimentSettings, prepared: Prepared) -> Experiment:
        """The experiment that trains it on a split.

        Raises:
            BakeoffError: as `applied_to`.
        """
        section = self.applied_to(shipped).models[self.model]
        return Experiment(spec(self.model), section, prepared, shipped.seed, self.build)


def with_bases(variants: Iterable[Variant], shipped: ExperimentSettings) -> tuple[Variant, ...]:
    """The variants, those that change nothing marked as base; a model without a base gets one before its variants.

    Raises:
        BakeoffError: the settings of a variant are not valid.
    """
    marked = [replace(each, base=each.applied_to(shipped) == shipped and each.build is None) for each in variants]
    result: list[Variant] = []
    for model in dict.fromkeys(each.model for each in marked):
        of_model = [each for each in marked if each.model == model]
        if not any(each.base for each in of_model):
            result.append(Variant(f"{model}-shipped", model, "as shipped", base=True))
        result += of_model
    return tuple(result)


@dataclass(frozen=True)
class Group:
    """Variants that are compared with one another.

    Attributes:
        name: of the group.
        sentence: what was done, for people.
        shipped: settings of the group before a variant changes any.
        variants: in the order in which they are shown.
        judged_on: the part of the split whose events are the truth.
        evaluates_new_users: whether variants are evaluated on new users too.
        measures_folding: whether folding is measured.
        rankings: how often the queries are ranked, to time the ranking.
        seeds: with how many seeds, from the shipped one on, each variant is trained; figures are means over them.
        left_out: models that would belong here but can't be trained on this data, each with the reason.
    """

    name: str
    sentence: str
    shipped: ExperimentSettings
    variants: tuple[Variant, ...]
    judged_on: Literal["valid", "test"] = "test"
    evaluates_new_users: bool = False
    measures_folding: bool = False
    rankings: int = 1
    seeds: int = 1
    left_out: Mapping[str, str] = field(default_factory=dict)


class NothingToCompareError(Exception):
    """Says why a group is skipped on this data and these settings, in a sentence."""


positives_only_trainer = partial(build, make_batches=PositivesOnlyBatches)
"""Builds a softmax DNN that is trained without negatives."""


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

Parts = tuple[Iterable[Variant], Sequence[str], dict[str, Any]]
"""Of a group: variants, models as shipped that they are compared with, and further attributes."""

RANKINGS = 7
"""Times that the same queries are ranked where the cost of ranking is compared; the first one does not count."""


def check_group(name: str) -> None:
    """Refuse what is not the name of a group.

    Raises:
        BakeoffError: names those that there are.
    """
    if name not in GROUPS:
        raise BakeoffError(f"{name!r} is not a group of variants: it must be one of {', '.join(GROUPS)}.")


def make_group(name: str, shipped: ExperimentSettings, data: DataFacts) -> Group:
    """The group with this name.

    Args:
        name: one of GROUPS.
        shipped: the settings.
        data: facts about the split.

    Raises:
        BakeoffError: there is no such group, or a value of `evidence` is not valid for the model.
        NothingToCompareError: the data or the settings leave a single model.
    """
    check_group(name)
    variants, models, options = GROUPS[name](shipped, data)
    reasons = {model: spec(model).why_not(data, shipped.models[model]) for model in models}
    left_out = {model: reason for model, reason in reasons.items() if reason is not None}
    able = [Variant(f"{model}-shipped", model, "as shipped", base=True) for model in models if model not in left_out]
    training = sentence("training", epochs=shipped.softmax.max_epochs)
    done = sentence(name, training=training, on_test=sentence("on_test"))
    if options.get("seeds", 1) > 1:
        done = f"{done} {sentence('seeds', seeds=options['seeds'])}"
    return Group(name, done, shipped, (*variants, *able), left_out=left_out, **options)


def _features(shipped: ExperimentSettings, data: DataFacts) -> Parts:
    variants = [Variant("shipped", "softmax", "as shipped")]
    for there, what in ((data.has_user_features, "user"), (data.has_item_features, "item")):
        if there:
            used = not getattr(shipped.softmax, f"use_{what}_features")
            word = "with" if used else "without"
            settings = {f"softmax.use_{what}_features": used}
            variants.append(Variant(f"{word}-{what}-features", "softmax", f"{word} {what} features", settings))
    if len(variants) == 1:
        raise NothingToCompareError(sentence("features_skipped"))
    return with_bases(variants, shipped), REFERENCES, {"evaluates_new_users": True}


def _depth(shipped: ExperimentSettings, _: DataFacts) -> Parts:
    # Without hidden layers there is no width.
    sizes = ((depth, depth and width) for depth in shipped.evidence.depths for width in shipped.evidence.widths)
    variants = []
    for depth, width in dict.fromkeys(sizes):
        name, label = (f"{depth}x{width}", f"{depth} × {width}") if depth else ("none", "no hidden layer")
        variants.append(Variant(name, "softmax", label, {"softmax.hidden": [width] * depth}))
    towers = with_bases(variants, shipped)
    if len(towers) == 1:
        raise NothingToCompareError(sentence("depth_skipped"))
    return towers, REFERENCES, {"rankings": RANKINGS}


def _folding(shipped: ExperimentSettings, data: DataFacts) -> Parts:
    variants = [
        *mf_by_weight(shipped, lambda weight: _weighted(shipped.mf, weight, data)),
        POSITIVES_ONLY,
        *(softmax_against(name, name, sampler=name) for name in ("uniform", "popularity", "in-batch")),
        softmax_against("mixed", "in-batch + uniform", sampler="mixed", mixture=["in-batch", "uniform"]),
        softmax_against("hard", "hard among uniform", sampler="uniform", selection="hard"),
    ]
    return with_bases(variants, shipped), REFERENCES, {"measures_folding": True}


def mf_by_weight(shipped: ExperimentSettings, changed: Callable[[float], Mapping[str, Any]]) -> Iterator[Variant]:
    """MF by ascending weight of unobserved pairs, the shipped one among them; `changed` gives the settings of each."""
    for weight in sorted({*shipped.evidence.unobserved_weights, shipped.mf.unobserved_weight}):
        yield Variant(f"mf-{weight:g}", "mf", f"α₀ = {weight:g}", changed(weight))


def _weighted(mf: MFParams, weight: float, data: DataFacts) -> dict[str, Any]:
    """MF with this weight, and λ such that λ_u of a user with the mean number of events stays what it is.

    λ_u grows with α₀: with a large weight, the effect would be that of the ridge and not of the weight.
    """
    if weight == mf.unobserved_weight:
        return {}
    before, after = (data.events_per_user + each * data.num_items for each in (mf.unobserved_weight, weight))
    held = (before / after) ** mf.regularization_exponent if before and after else 1.0
    return {"mf.unobserved_weight": weight, "mf.regularization": mf.regularization * held}


def _new_items(shipped: ExperimentSettings, data: DataFacts) -> Parts:
    if shipped.evidence.new_item_share == 0:
        raise NothingToCompareError(sentence("new-items_skipped"))
    models = (*REFERENCES, *(name for name, each in specs().items() if each.role in ("contender", "other")))
    reads_features = data.has_item_features and shipped.softmax.use_item_features
    return [TABLE_ALONE] if reads_features else [], models, {}


def _sampling(shipped: ExperimentSettings, _: DataFacts) -> Parts:
    negatives = shipped.softmax.negatives
    named = {name: getattr(negatives, name) for name in ("sampler", "selection", "logq_correction")}
    variants = with_bases(_samplers(), shipped)
    named_too = [each if each.settings else replace(each, settings=_changed(named)) for each in variants]
    options = {"judged_on": "valid", "measures_folding": True, "seeds": shipped.evidence.study_seeds}
    return named_too, ("mf", "ease", "popularity"), options


def _samplers() -> Iterator[Variant]:
    """Every sampler with and without correction, and every selection over two of the pools."""
    pools = [(sampler, "none") for sampler in ("uniform", "popularity", "log-uniform", "in-batch", "mixed")]
    pools += [(sampler, selection) for selection in ("hard", "top-k") for sampler in ("uniform", "in-batch")]
    for sampler, selection in pools:
        what = sampler if selection == "none" else f"{selection}-{sampler}"
        label = sampler if selection == "none" else f"{selection} among {sampler}"
        for corrected in (True, False):
            word = "corrected" if corrected else "uncorrected"
            settings: dict[str, Any] = {"sampler": sampler, "selection": selection, "logq_correction": corrected}
            yield softmax_against(f"{what}-{word}", f"{label}, {word}", **settings)
    # Nothing is sampled, so there is nothing to correct.
    yield softmax_against("full", "full softmax", sampler="full")


def softmax_against(name: str, label: str, build: Build | None = None, **settings: Any) -> Variant:
    """The softmax DNN trained against other negatives: all that are drawn, unless the settings select some."""
    return Variant(name, "softmax", label, _changed({"selection": "none"} | settings), build=build)


def _changed(negatives: Mapping[str, Any]) -> dict[str, Any]:
    return {f"softmax.negatives.{name}": value for name, value in negatives.items()}


GROUPS = {"features": _features, NEW_ITEMS: _new_items, "folding": _folding, "depth": _depth, STUDY: _sampling}
"""Name of a group → what makes it."""
