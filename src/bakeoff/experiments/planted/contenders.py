"""What is trained on a planted data set: MF by the weight of unobserved pairs, the softmax DNN by its negatives."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from bakeoff.experiments.params import ExperimentSettings, PlantedParams
from bakeoff.experiments.planted.generator import PlantedDataset
from bakeoff.experiments.planted.samplers import own_group_trainer, positives_only_trainer
from bakeoff.experiments.training.runner import REFERENCES, Build, Experiment
from bakeoff.models.mf.params import MFParams
from bakeoff.models.neural.params import SoftmaxParams
from bakeoff.models.specs import spec

SAMPLED_SHARE = 4
"""A step samples a quarter of the catalogue: the shipped number would be all of so small a catalogue."""

SELECTED_SHARE = 4
"""Hard negatives are a quarter of what is sampled."""

SOFTMAX_EPOCHS, LEARNING_RATE = 12, 0.03
"""An epoch is a few steps here: at the shipped learning rate, meant for hundreds of steps, little is learned."""


@dataclass(frozen=True)
class PlantedContender:
    """A model with the settings that it is trained with on a planted data set.

    Attributes:
        name: unique, of letters that suit a file name.
        label: for people.
        base: whether weight or negatives are the shipped ones.
        experiment: what is trained.
    """

    name: str
    label: str
    base: bool
    experiment: Experiment

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.experiment.spec.name

    @property
    def unobserved_weight(self) -> float | None:
        """α₀ of MF; None for other models."""
        settings = self.experiment.settings
        return settings.unobserved_weight if isinstance(settings, MFParams) else None


def planted_contenders(settings: ExperimentSettings, dataset: PlantedDataset) -> list[PlantedContender]:
    """All of them: MF by ascending weight, the softmax DNN, then the reference models.

    MF has as many dimensions as there are groups, which suffices to separate all groups and leaves unrelated items
    little room to avoid each other; the softmax DNN, whose embeddings all have length 1, has twice as many. The ridge
    of MF is that of the shipped weight throughout: it would grow with the weight otherwise and hide its effect.
    """
    return [*_mf(settings, dataset), *_softmax(settings, dataset), *_references(settings, dataset)]


def _experiment(
    settings: ExperimentSettings, dataset: PlantedDataset, model: str, section: Any, build: Build | None = None
) -> Experiment:
    return Experiment(spec(model), section, dataset.prepared, settings.seed, build)


def _mf(settings: ExperimentSettings, dataset: PlantedDataset) -> Iterator[PlantedContender]:
    shipped = settings.mf.unobserved_weight
    for weight in sorted({*settings.evidence.unobserved_weights, shipped}):
        section = mf_settings(settings.mf, settings.evidence.planted, weight)
        experiment = _experiment(settings, dataset, "mf", section)
        yield PlantedContender(f"mf-{weight:g}", f"α₀ = {weight:g}", weight == shipped, experiment)


def mf_settings(mf: MFParams, planted: PlantedParams, weight: float) -> MFParams:
    """Settings with this weight, as many dimensions as groups, and the λ_u of the shipped weight."""
    base = planted.events_per_user + mf.unobserved_weight * planted.groups * planted.items_per_group
    return mf.model_copy(
        update={
            "dim": planted.groups,
            "unobserved_weight": weight,
            "regularization": mf.regularization * base**mf.regularization_exponent,
            "regularization_exponent": 0.0,
        }
    )


def _softmax(settings: ExperimentSettings, dataset: PlantedDataset) -> Iterator[PlantedContender]:
    sampled = max(1, dataset.prepared.num_items // SAMPLED_SHARE)
    hard = {"sampler": "mixed", "selection": "hard", "num_selected": max(1, sampled // SELECTED_SHARE)}
    shipped = settings.softmax.negatives
    fitted = softmax_settings(settings.softmax, settings.evidence.planted)
    of_group = partial(own_group_trainer, user_groups=dataset.user_groups)
    variants: tuple[tuple[str, str, dict[str, Any], Build | None, dict[str, Any]], ...] = (
        ("positives", "positives only", {"logq_correction": False}, positives_only_trainer, {"loss": "multi-hot"}),
        ("own-group", "negatives of the own group only", {}, of_group, {}),
        *((name, name, {"sampler": name}, None, {}) for name in ("uniform", "popularity", "in-batch", "mixed")),
        ("hard", "hard", hard, None, {}),
    )
    for name, label, negatives, build, others in variants:
        drawn = {"selection": "none", "num_sampled": sampled} | negatives
        section = fitted.model_copy(update={"negatives": shipped.model_copy(update=drawn), **others})
        kind = section.negatives.sampler, section.negatives.selection
        base = build is None and kind == (shipped.sampler, shipped.selection)
        experiment = _experiment(settings, dataset, "softmax", section, build)
        yield PlantedContender(f"softmax-{name}", label, base, experiment)


def softmax_settings(softmax: SoftmaxParams, planted: PlantedParams) -> SoftmaxParams:
    """Settings with twice as many dimensions as groups, and a schedule for few steps."""
    return softmax.model_copy(
        update={"dim": 2 * planted.groups, "max_epochs": SOFTMAX_EPOCHS, "learning_rate": LEARNING_RATE}
    )


def _references(settings: ExperimentSettings, dataset: PlantedDataset) -> Iterator[PlantedContender]:
    """Reference models as shipped, where the data allows them."""
    for model in REFERENCES:
        experiment = _experiment(settings, dataset, model, settings.models[model])
        if experiment.why_not is None:
            yield PlantedContender(model, "as shipped", True, experiment)
