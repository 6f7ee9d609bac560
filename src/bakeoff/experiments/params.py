"""Settings of the experiments: what the claims are measured with, and how single values of a model are replaced."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Annotated, Any, Self, TypeVar, cast

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError, model_validator

from bakeoff.core.errors import BakeoffError
from bakeoff.core.parameters import Dimension, Frozen, Share
from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.models.mf.spec import MFParams
from bakeoff.models.neural.spec import SoftmaxParams

Section = TypeVar("Section", bound=Frozen)


_SENTENCES = tomllib.loads(files("bakeoff.experiments").joinpath("sentences.toml").read_text(encoding="utf-8"))


def sentence(name: str, **values: Any) -> str:
    """What was done, for people: a text of sentences.toml with these values in the place of its names in braces."""
    return str(_SENTENCES[name]).format(**values)


class CompareParams(Frozen):
    """How the verdict is reached."""

    primary_metric: str = "ndcg@10"
    """The metric that the verdict is about."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the intervals."""
    relevant_difference: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Smallest difference between the contenders that matters, as a share of MF's score. There is no verdict if the
    test users are too few to show it (check BK004)."""
    resamples: PositiveInt = 10_000
    """Bootstrap resamples of users, and sign flips of the permutation test."""
    max_users: PositiveInt = 100_000
    """Test users, and as many new ones, whose lists and events the report's sections look at: a seeded sample where
    there are more, which it says. The verdict and the table of all metrics rest on all users, block by block."""
    example_users: Annotated[int, Field(ge=1, le=6)] = 6
    """Users whose history and lists the report shows, at most 6."""


class PlantedParams(Frozen):
    """A data set with known groups: users interact with items of their own group, but for some noise."""

    groups: Annotated[int, Field(ge=2)] = 4
    """Groups of users and items that share no item."""
    users_per_group: PositiveInt = 250
    """Users of each group; more than 600 in all can show that a metric hardly differs."""
    items_per_group: PositiveInt = 80
    """Items of each group."""
    events_per_user: Annotated[int, Field(ge=3)] = 20
    """Events of each user, on different items: train, validation and test need one each."""
    noise: Share = 0.0
    """Share of a user's events that fall on items of other groups."""

    @model_validator(mode="after")
    def _has_items_for_events(self) -> Self:
        if self.events_per_user > self.items_per_group:
            events, items = f"events_per_user is {self.events_per_user}", f"{self.items_per_group} items"
            raise ValueError(f"{events} and a group has {items}: users never repeat an item, so raise items_per_group")
        return self


class EvidenceParams(Frozen):
    """What is measured for the claims table."""

    max_users: PositiveInt = 100_000
    """Users that variants are trained and evaluated on, and whose candidates are reranked; a seeded sample where
    there are more, which the report says."""
    depths: tuple[Annotated[int, Field(ge=0)], ...] = (0, 1, 2, 3)
    """Numbers of hidden layers of the softmax DNN that are compared."""
    widths: tuple[Dimension, ...] = (64, 128)
    """Units of a hidden layer that are compared."""
    unobserved_weights: tuple[NonNegativeFloat, ...] = (0.0, 0.01, 0.1, 1.0, 10.0)
    """α₀ of MF with which folding is measured, on planted groups and on the data itself."""
    relatedness_weight: PositiveFloat = 10.0
    """α₀ of the ALS fit from which the relatedness of a user and an item is read where groups are not known."""
    new_item_share: Share = 0.1
    """Share of the items whose events are taken out of training, to ask about them as new items."""
    growth_shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.125, 0.25, 0.5, 1.0)
    """Shares of the users on which training cost is measured."""
    growth_catalogues: tuple[PositiveInt, ...] = (10_000, 100_000, 1_000_000)
    """Sizes of made catalogues on which a step with the full softmax and one with sampled negatives are timed."""
    serving_seconds: NonNegativeFloat = 0.8
    """Seconds for which an exported model gets one kind of request; each kind is sent at least twenty times."""
    sampled_candidates: PositiveInt = 99
    """Negatives per test item in the panel on sampled metrics."""
    rerank_candidates: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (100, 500)
    """Candidates of MF that the softmax DNN ranks again."""
    map_items: PositiveInt = 1_000
    """Items on the embedding map, and whose nearest items the report shows: those with the most events."""
    neighbour_items: PositiveInt = 100_000
    """Items whose nearest items are sought, each among all of them: those with the most events."""
    study_seeds: PositiveInt = 5
    """Seeds with which `make study` trains each variant; its figures are means over them."""
    planted: PlantedParams = PlantedParams()


@dataclass(frozen=True)
class ExperimentSettings:
    """What experiments read of `params.yaml`.

    Attributes:
        seed: of models and samples.
        models: section of each model, by its name.
        evaluate: how models are evaluated.
        evidence: what is measured for the claims.
        compare: how variants are compared.
    """

    seed: int
    models: Mapping[str, Frozen]
    evaluate: EvaluateParams
    evidence: EvidenceParams
    compare: CompareParams

    @property
    def mf(self) -> MFParams:
        """Section of MF."""
        return cast("MFParams", self.models["mf"])

    @property
    def softmax(self) -> SoftmaxParams:
        """Section of the softmax DNN."""
        return cast("SoftmaxParams", self.models["softmax"])

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
