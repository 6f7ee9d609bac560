"""The settings that experiments share: sections of `params.yaml`, and how single values of them are replaced."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Frozen
from bakeoff.evaluation.params import EvaluateParams
from bakeoff.experiments.params import EvidenceParams
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.neural.spec import SoftmaxParams

Section = TypeVar("Section", bound=Frozen)


@dataclass(frozen=True)
class Comparison:
    """How variants are compared with each other.

    Attributes:
        metric: the primary metric, such as `ndcg@10`.
        confidence: level of the intervals, in (0.5, 1).
        resamples: bootstrap resamples of users.
    """

    metric: str = "ndcg@10"
    confidence: float = 0.95
    resamples: int = 10_000


@dataclass(frozen=True)
class ExperimentSettings:
    """What experiments read of `params.yaml`.

    Attributes:
        seed: of models and samples.
        models: section of each model, by its name.
        evaluate: how models are evaluated.
        evidence: what is measured for the claims.
        comparison: how variants are compared.
    """

    seed: int
    models: Mapping[str, Frozen]
    evaluate: EvaluateParams
    evidence: EvidenceParams
    comparison: Comparison = Comparison()

    @property
    def mf(self) -> MFParams:
        """Section of MF."""
        return cast("MFParams", self.models["mf"])

    @property
    def softmax(self) -> SoftmaxParams:
        """Section of the softmax DNN."""
        return self.network("softmax")

    def network(self, name: str) -> SoftmaxParams:
        """Section of a model that is a network, such as `two_tower`."""
        return cast("SoftmaxParams", self.models[name])

    def with_values(self, values: Mapping[str, Any], source: str) -> "ExperimentSettings":
        """The same settings with some values of models replaced.

        Args:
            values: by dotted name, such as `softmax.negatives.sampler`.
            source: subject of the error message.

        Raises:
            BakeoffError: there is no such model or setting, or a value is not valid.
        """
        by_model: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            model, _, path = name.partition(".")
            if model not in self.models:
                raise BakeoffError(f"{source} is not valid:\n  {name}: there is no model {model!r}.")
            by_model.setdefault(model, {})[path] = value
        changed = {name: with_values(self.models[name], paths, source, name) for name, paths in by_model.items()}
        return replace(self, models={**self.models, **changed})


def with_values(section: Section, values: Mapping[str, Any], source: str, name: str) -> Section:
    """A section with some values replaced.

    Args:
        section: of a model.
        values: by dotted name within the section, such as `negatives.sampler`.
        source: subject of the error message.
        name: of the section, for the error message.

    Raises:
        BakeoffError: there is no such setting, or a value is not valid.
    """
    content = section.model_dump(mode="json")
    for path, value in values.items():
        *parents, last = path.split(".")
        place = content
        for parent in parents:
            place = place.setdefault(parent, {})  # an unknown name is refused below
        place[last] = value
    try:
        return type(section).model_validate(content)
    except ValidationError as error:
        faults = "".join(
            f"\n  {'.'.join([name, *map(str, each['loc'])])}: {each['msg']} (got {each['input']!r})"
            for each in error.errors()
        )
        raise BakeoffError(f"{source} is not valid:{faults}") from None
