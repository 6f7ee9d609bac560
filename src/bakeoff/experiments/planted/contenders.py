"""What is trained on a planted data set: MF by the weight of unobserved pairs, the softmax DNN by its negatives.

Softmax DNNs that never see a negative of another group are the cases in which they fold.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories, Queries
from bakeoff.experiments.params import ExperimentSettings
from bakeoff.experiments.planted.generator import PlantedDataset
from bakeoff.experiments.training.runner import REFERENCES, Build, Experiment
from bakeoff.experiments.variants.variant import Variant
from bakeoff.models.neural.batches import Batch, Batches
from bakeoff.models.neural.examples import target_chances
from bakeoff.models.neural.pooling import RecencyPooling
from bakeoff.models.neural.proposals import InBatchSampler, NegativeSampler
from bakeoff.models.neural.spec import SoftmaxParams
from bakeoff.models.neural.trainer import build


class OwnGroupSampler(NegativeSampler):
    """In-batch negatives of batches whose users are all of one group: the targets of the others of that group."""

    def __init__(
        self, histories: Histories, num_items: int, params: SoftmaxParams, user_groups: NDArray[np.integer]
    ) -> None:
        """Count within each group; an item that users of several groups meet, as noise has it, by the most likely."""
        parts = [histories.take(np.flatnonzero(user_groups == group)) for group in np.unique(user_groups)]
        chances = [_in_batch(part, num_items, params).inclusion for part in parts]
        super().__init__(np.max(chances, axis=0))  # given a batch of the item's group

    def _ids(self, targets: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.integer]:
        return np.unique(targets)


class OwnGroupBatches(Batches):
    """Batches of users of one group each, in random order."""

    user_groups: NDArray[np.integer]
    """[n], group of each query; set before the first epoch."""

    @property
    def per_epoch(self) -> int:
        """Batches in which every user is seen once; the last one of a group may be smaller."""
        sizes = np.bincount(self.user_groups[self._users])
        return int((-(-sizes // self._params.users_per_batch)).sum())

    def epoch(self) -> Iterator[Batch]:
        """One pass over the users."""
        order = self._rng.permutation(self._users)
        of_group = [order[self.user_groups[order] == group] for group in np.unique(self.user_groups)]
        size = self._params.users_per_batch
        batches = [users[start : start + size] for users in of_group for start in range(0, len(users), size)]
        for place in self._rng.permutation(len(batches)):
            yield self._batch(batches[place])


class PositivesOnlyBatches(Batches):
    """Batches in which every candidate is masked, as if all items were the user's own."""

    def _own(self, block: Queries, candidates: NDArray[np.int32]) -> NDArray[np.bool_]:
        return np.ones((len(block), len(candidates)), np.bool_)


def own_group_batches(
    queries: Queries,
    pooling: RecencyPooling,
    params: SoftmaxParams,
    num_items: int,
    rng: np.random.Generator,
    user_groups: NDArray[np.integer],
) -> Batches:
    """Batches with negatives of the user's own group alone; user_groups [n] holds the group of each query."""
    sampler = OwnGroupSampler(queries.histories, num_items, params, user_groups)
    batches = OwnGroupBatches(queries, sampler, pooling, params, num_items, rng)
    batches.user_groups = user_groups
    return batches


def positives_only_batches(
    queries: Queries, pooling: RecencyPooling, params: SoftmaxParams, num_items: int, rng: np.random.Generator
) -> Batches:
    """Batches without any negative: a user's positives compete with each other and nothing else."""
    return PositivesOnlyBatches(
        queries, _in_batch(queries.histories, num_items, params), pooling, params, num_items, rng
    )


def _in_batch(histories: Histories, num_items: int, params: SoftmaxParams) -> InBatchSampler:
    return InBatchSampler(partial(target_chances, params=params), histories, params.users_per_batch, num_items)


positives_only_trainer = partial(build, make_batches=positives_only_batches)
"""Builds a softmax DNN that is trained without negatives."""


def own_group_trainer(user_groups: NDArray[np.integer]) -> Build:
    """Builds a softmax DNN with negatives of the user's own group; user_groups [n] holds the group of each query."""
    return partial(build, make_batches=partial(own_group_batches, user_groups=user_groups))


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
    for name, label, changed, special in variants:
        kind = changed.get("negatives.sampler"), changed.get("negatives.selection", "none")
        base = special is None and kind == (shipped.sampler, shipped.selection)
        values = {f"softmax.{setting}": value for setting, value in changed.items()}
        yield Variant(f"softmax-{name}", "softmax", label, values, base, special)
