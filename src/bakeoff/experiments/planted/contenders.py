"""A generated data set with known groups, and what is trained on it.

Users interact with items of their own group, apart from some noise. MF is trained by the weight of unobserved pairs,
the softmax DNN by its negatives; those that never see a negative of another group are the cases in which they fold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.experiments.params import ExperimentSettings, PlantedParams
from bakeoff.experiments.training.runner import REFERENCES, Build, Experiment
from bakeoff.experiments.variants.groups import POSITIVES_ONLY, Variant, mf_by_weight, softmax_against, with_bases
from bakeoff.models.neural.batches import Batch, Batches, in_batch_sampler
from bakeoff.models.neural.proposals import NegativeSampler
from bakeoff.models.neural.spec import SoftmaxParams
from bakeoff.models.neural.trainer import build

VALID_SHARE, TEST_SHARE = 0.1, 0.2
"""Of a user's events, at least one each; validation and test have no noise."""

Groups = NDArray[np.int64]


@dataclass(frozen=True)
class PlantedDataset:
    """A split in memory whose groups are known.

    Attributes:
        prepared: train and validation events; there are no features, and no event has a time.
        held_out: test events, all in the user's own group; there are no new users.
        user_groups: [num_users] in [0, groups).
        item_groups: [num_items] in [0, groups).
    """

    prepared: Prepared
    held_out: HeldOut
    user_groups: Groups
    item_groups: Groups

    @cached_property
    def eval_set(self) -> EvalSet:
        """Test events of every user, with train and validation as the history."""
        return EvalSet.of(self.prepared, self.prepared.known(), self.held_out.test, np.arange(self.prepared.num_users))

    @property
    def relatedness(self) -> NDArray[np.float32]:
        """[num_users, num_items], 1 within the group and 0 across."""
        return np.asarray(self.user_groups[:, np.newaxis] == self.item_groups, np.float32)


def generate(params: PlantedParams, seed: int) -> PlantedDataset:
    """Draw the events of every user: distinct items of its group, the item with rank r in proportion to 1/r.

    The same params and seed give the same data set. Groups are assigned in turn, so that the order of users or items
    doesn't tell them apart.
    """
    rng = np.random.default_rng(seed)
    user_groups = np.arange(params.groups * params.users_per_group) % params.groups
    item_groups = np.arange(params.groups * params.items_per_group) % params.groups
    rank_in_group = 1 + np.arange(len(item_groups)) // params.groups
    is_own = user_groups[:, np.newaxis] == item_groups
    own = _draw(np.where(is_own, -np.log(rank_in_group), -np.inf), params.events_per_user, rng)
    foreign = _draw(np.where(is_own, -np.inf, 0.0), params.events_per_user, rng)
    num_test = max(1, round(TEST_SHARE * params.events_per_user))
    num_valid = max(1, round(VALID_SHARE * params.events_per_user))
    num_train = params.events_per_user - num_valid - num_test
    is_noise = rng.random(own.shape) < params.noise
    is_noise[:, num_train:] = False
    train, valid, test = np.split(np.where(is_noise, foreign, own), [num_train, num_train + num_valid], axis=1)
    nobody = _histories(test[:, :0])
    users = pd.DataFrame({"user_id": _ids(user_groups), "is_new": np.zeros(len(user_groups), np.bool_)})
    items = pd.DataFrame({"item_id": _ids(item_groups), "title": _ids(item_groups)})
    prepared = Prepared.encoded(users, items, FeatureEncoding(), _histories(train), _histories(valid))
    return PlantedDataset(prepared, HeldOut(_histories(test), nobody, nobody), user_groups, item_groups)


def _draw(log_weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[n, count] distinct columns of each row, drawn one by one in proportion to the weights, in random order."""
    # The largest sums of log weight and Gumbel noise are such draws, but in their own order: popular items first.
    keys = log_weights + rng.gumbel(size=log_weights.shape)
    return rng.permuted(np.argsort(-keys, axis=1, kind="stable")[:, :count], axis=1)


def _histories(items: NDArray[np.int64]) -> Histories:
    """One row of items per user, without times."""
    rows = np.repeat(np.arange(len(items)), items.shape[1])
    return Histories.from_rows(rows, items.ravel(), np.zeros(items.size, np.int64), len(items))


def _ids(groups: Groups) -> list[str]:
    return [str(1 + index) for index in range(len(groups))]


def own_group_sampler(
    histories: Histories, num_items: int, params: SoftmaxParams, user_groups: NDArray[np.integer]
) -> NegativeSampler:
    """In-batch negatives of batches whose users are all of one group: the targets of the others of that group.

    Chances are those within the item's group, in batches of the size that it is cut into; of an item that users of
    several groups meet, as noise has it, within the group that is most likely to bring it.
    """
    inclusions = []
    for group in np.unique(user_groups):
        part = histories.take(np.flatnonzero(user_groups == group))
        num_users = int(np.count_nonzero(part.lengths))
        size = num_users / max(_num_batches(num_users, params), 1)
        inclusions.append(in_batch_sampler(part, num_items, params, size).inclusion)
    return NegativeSampler(np.max(inclusions, axis=0))


def _num_batches(num_users: int, params: SoftmaxParams) -> int:
    """The fewest batches that so many users fit in."""
    return -(-num_users // params.users_per_batch)


class OwnGroupBatches(Batches):
    """Batches of users of one group each, in random order."""

    def __init__(self, *arguments: Any, user_groups: NDArray[np.integer], **options: Any) -> None:
        """Know the group of each query, user_groups [n]."""
        self.user_groups = user_groups
        super().__init__(*arguments, **options)

    def _make_sampler(self, num_items: int) -> NegativeSampler:
        return own_group_sampler(self._queries.histories, num_items, self._params, self.user_groups)

    @property
    def per_epoch(self) -> int:
        """Batches in which every user is seen once."""
        return len(self._cut_into_batches(self._users))

    def epoch(self) -> Iterator[Batch]:
        """One pass over the users; the batches of a group are of equal size, on which chances depend."""
        batches = self._cut_into_batches(self._rng.permutation(self._users))
        for place in self._rng.permutation(len(batches)):
            yield self._batch(batches[place])

    def _cut_into_batches(self, users: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Batches of the users of each group, one group after the other, in the order in which the users come."""
        groups = self.user_groups[users]
        of_group = [users[groups == group] for group in np.unique(groups)]
        return [batch for each in of_group for batch in np.array_split(each, _num_batches(len(each), self._params))]


def own_group_trainer(user_groups: NDArray[np.integer]) -> Build:
    """Builds a softmax DNN with negatives of the user's own group; user_groups [n] holds the group of each query."""
    return partial(build, make_batches=partial(OwnGroupBatches, user_groups=user_groups))


SAMPLED_SHARE = 4
"""A step samples a quarter of the catalogue: the shipped number would be all of so small a catalogue."""

SELECTED_SHARE = 4
"""Hard negatives are a quarter of what is sampled."""

SOFTMAX_EPOCHS, LEARNING_RATE = 12, 0.03
"""An epoch is a few steps here: at the shipped learning rate, meant for hundreds of steps, little is learned."""


def planted_contenders(settings: ExperimentSettings, dataset: PlantedDataset) -> list[tuple[Variant, Experiment]]:
    """All that the data allows: MF by ascending weight, the softmax DNN, then the reference models as shipped."""
    fitted = planted_settings(settings, dataset)
    of_mf = mf_by_weight(settings, lambda weight: {"mf.unobserved_weight": weight})
    references = (Variant(model, model, "as shipped") for model in REFERENCES)
    variants = with_bases([*of_mf, *_softmax(dataset), *references], fitted)
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
    num_sampled = max(1, dataset.prepared.num_items // SAMPLED_SHARE)
    values = {
        "mf.dim": planted.groups,
        "mf.regularization": mf.regularization * base**mf.regularization_exponent,
        "mf.regularization_exponent": 0.0,
        "softmax.tower": "pooled",  # as it is without times; the heads of attention need not divide the dimensions
        "softmax.dim": 2 * planted.groups,
        "softmax.max_epochs": SOFTMAX_EPOCHS,
        "softmax.learning_rate": LEARNING_RATE,
        "softmax.negatives.num_sampled": num_sampled,
        "softmax.negatives.num_selected": max(1, num_sampled // SELECTED_SHARE),
    }
    return settings.with_values(values, "Training on planted groups")


def _softmax(dataset: PlantedDataset) -> Iterator[Variant]:
    yield POSITIVES_ONLY
    of_group = own_group_trainer(dataset.user_groups)
    yield softmax_against("softmax-own-group", "negatives of the own group only", of_group)
    for name in ("uniform", "popularity", "in-batch", "mixed"):
        yield softmax_against(f"softmax-{name}", name, sampler=name)
    yield softmax_against("softmax-hard", "hard", sampler="mixed", selection="hard")
