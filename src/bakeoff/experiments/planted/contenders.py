"""What is trained on a planted data set: MF by the weight of unobserved pairs, the softmax DNN by its negatives."""

from collections.abc import Iterator
from typing import Any

from bakeoff.experiments.params import ExperimentSettings
from bakeoff.experiments.planted.generator import PlantedDataset
from bakeoff.experiments.planted.samplers import own_group_trainer, positives_only_trainer
from bakeoff.experiments.training.runner import REFERENCES, Build, Experiment
from bakeoff.experiments.variants.variant import Variant

SAMPLED_SHARE = 4
"""A step samples a quarter of the catalogue: the shipped number would be all of so small a catalogue."""

SELECTED_SHARE = 4
"""Hard negatives are a quarter of what is sampled."""

SOFTMAX_EPOCHS, LEARNING_RATE = 12, 0.03
"""An epoch is a few steps here: at the shipped learning rate, meant for hundreds of steps, little is learned."""


def planted_contenders(settings: ExperimentSettings, dataset: PlantedDataset) -> list[tuple[Variant, Experiment]]:
    """All that the data allows: MF by ascending weight, the softmax DNN, then the reference models as shipped."""
    fitted = planted_settings(settings, dataset)
    references = (Variant(model, model, "as shipped", base=True) for model in REFERENCES)
    variants = (*_mf(settings), *_softmax(settings, dataset), *references)
    contenders = [(each, each.experiment(fitted, dataset.prepared)) for each in variants]
    return [(variant, experiment) for variant, experiment in contenders if experiment.why_not is None]


def planted_settings(settings: ExperimentSettings, dataset: PlantedDataset) -> ExperimentSettings:
    """Settings for few groups and few steps.

    MF has as many dimensions as there are groups, which suffices to separate all groups and leaves unrelated items
    little room to avoid each other; the softmax DNN, whose embeddings all have length 1, has twice as many. The ridge
    of MF is that of the shipped weight throughout: it would grow with the weight otherwise and hide its effect.
    """
    planted, mf = settings.evidence.planted, settings.mf
    base = planted.events_per_user + mf.unobserved_weight * planted.groups * planted.items_per_group
    values = {
        "mf.dim": planted.groups,
        "mf.regularization": mf.regularization * base**mf.regularization_exponent,
        "mf.regularization_exponent": 0.0,
        "softmax.dim": 2 * planted.groups,
        "softmax.max_epochs": SOFTMAX_EPOCHS,
        "softmax.learning_rate": LEARNING_RATE,
        "softmax.negatives.num_sampled": _num_sampled(dataset),
        "softmax.negatives.selection": "none",
    }
    return settings.with_values(values, "Training on planted groups")


def _num_sampled(dataset: PlantedDataset) -> int:
    return max(1, dataset.prepared.num_items // SAMPLED_SHARE)


def _mf(settings: ExperimentSettings) -> Iterator[Variant]:
    shipped = settings.mf.unobserved_weight
    for weight in sorted({*settings.evidence.unobserved_weights, shipped}):
        changed = {"mf.unobserved_weight": weight}
        yield Variant(f"mf-{weight:g}", "mf", f"α₀ = {weight:g}", changed, weight == shipped)


def _softmax(settings: ExperimentSettings, dataset: PlantedDataset) -> Iterator[Variant]:
    num_selected = max(1, _num_sampled(dataset) // SELECTED_SHARE)
    hard = {"negatives.sampler": "mixed", "negatives.selection": "hard", "negatives.num_selected": num_selected}
    of_group = own_group_trainer(dataset.user_groups)
    positives = {"loss": "multi-hot", "negatives.logq_correction": False}
    variants: tuple[tuple[str, str, dict[str, Any], Build | None], ...] = (
        ("positives", "positives only", positives, positives_only_trainer),
        ("own-group", "negatives of the own group only", {}, of_group),
        *((name, name, {"negatives.sampler": name}, None) for name in ("uniform", "popularity", "in-batch", "mixed")),
        ("hard", "hard", hard, None),
    )
    shipped = settings.softmax.negatives
    for name, label, changed, build in variants:
        kind = changed.get("negatives.sampler"), changed.get("negatives.selection", "none")
        base = build is None and kind == (shipped.sampler, shipped.selection)
        values = {f"softmax.{setting}": value for setting, value in changed.items()}
        yield Variant(f"softmax-{name}", "softmax", label, values, base, build)
