"""A model with a few settings changed, and the groups in which such models are compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.params import ExperimentSettings
from bakeoff.experiments.training.runner import Build, Experiment
from bakeoff.models.base.specs import spec


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


@dataclass(frozen=True)
class SkippedGroup:
    """A group with nothing to compare, and the sentence that says why."""

    reason: str
