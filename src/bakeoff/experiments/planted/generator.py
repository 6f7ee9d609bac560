"""A generated data set with known groups: users interact with items of their own group, apart from some noise."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.protocol import EvalSet
from bakeoff.experiments.params import PlantedParams

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

    Raises:
        BakeoffError: a group has too few items for its users' events, or users too few events for three parts.
    """
    _check(params)
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
    return PlantedDataset(
        prepared=_prepared(user_groups, item_groups, train, valid),
        held_out=HeldOut(_histories(test), _histories(test[:, :0]), _histories(test[:, :0])),
        user_groups=user_groups,
        item_groups=item_groups,
    )


def _check(params: PlantedParams) -> None:
    if params.events_per_user > params.items_per_group:
        raise BakeoffError(
            f"evidence.planted.events_per_user is {params.events_per_user} and a group has "
            f"{params.items_per_group} items: users never repeat an item, so raise items_per_group in params.yaml."
        )
    if params.events_per_user < 3:
        raise BakeoffError(
            f"evidence.planted.events_per_user is {params.events_per_user}: train, validation and test need an event "
            "each, so that it must be 3 or more."
        )


def _draw(log_weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[n, count] distinct columns of each row, drawn one by one in proportion to the weights, in random order."""
    # The largest sums of log weight and Gumbel noise are such draws, but in their own order: popular items first.
    keys = log_weights + rng.gumbel(size=log_weights.shape)
    return rng.permuted(np.argsort(-keys, axis=1, kind="stable")[:, :count], axis=1)


def _histories(items: NDArray[np.int64]) -> Histories:
    """One row of items per user, without times."""
    rows = np.repeat(np.arange(len(items)), items.shape[1])
    return Histories.from_rows(rows, items.ravel(), np.zeros(items.size, np.int64), len(items))


def _prepared(user_groups: Groups, item_groups: Groups, train: NDArray[np.int64], valid: NDArray[np.int64]) -> Prepared:
    users = pd.DataFrame({"user_id": _ids(user_groups), "is_new": np.zeros(len(user_groups), np.bool_)})
    items = pd.DataFrame({"item_id": _ids(item_groups), "title": _ids(item_groups)})
    return Prepared.encoded(users, items, FeatureEncoding(), _histories(train), _histories(valid))


def _ids(groups: Groups) -> list[str]:
    return [str(1 + index) for index in range(len(groups))]
