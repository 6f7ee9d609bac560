"""A large catalogue with planted preferences: one can say how far a model is from what users like."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics.formulas import ndcg


@dataclass(frozen=True)
class Planted:
    """Items in groups, users with a few groups that interest them, and events without an order.

    A user has items of their groups alone, each with a weight of rank^−zipf by its rank in the group, and none twice:
    those with the largest log weight plus Gumbel noise (Kool, van Hoof & Welling 2019, "Stochastic beams and where to
    find them", section 2).

    Attributes:
        num_users: all of whom have `events` train events.
        groups: of items; group g holds the items from g × size on, the most popular first.
        size: items of a group.
        asked: users who have one further event, which is the validation part.
        events: of a user, in train; with the further one, no more than the items of the interests.
        interests: groups of a user.
        zipf: exponent of the popularity of items in a group, and of the groups.
        seed: of everything.
    """

    num_users: int = 30_000
    groups: int = 2_000
    size: int = 100
    asked: int = 6_000
    events: int = 30
    interests: int = 3
    zipf: float = 0.7
    seed: int = 0

    @property
    def num_items(self) -> int:
        """Size of the catalogue."""
        return self.groups * self.size

    @cached_property
    def interesting(self) -> NDArray[np.int64]:
        """Groups of each user, [num_users, interests], no group twice."""
        rng = np.random.default_rng([self.seed, 0])
        found = np.empty((self.num_users, self.interests), np.int64)
        for start in range(0, self.num_users, 1000):
            rows = found[start : start + 1000]
            value = rng.gumbel(size=(len(rows), self.groups)) - self.zipf * np.log(1 + np.arange(self.groups))
            rows[:] = np.argpartition(-value, self.interests - 1, axis=1)[:, : self.interests]
        return found

    def prepared(self) -> Prepared:
        """The split: train, and one validation event of each of the first `asked` users."""
        rng = np.random.default_rng([self.seed, 1])
        candidates = self._candidates(np.arange(self.num_users))
        value = rng.gumbel(size=candidates.shape) - self.zipf * np.log(1 + candidates % self.size)
        best = np.argpartition(-value, self.events, axis=1)[:, : self.events + 1]
        chosen = rng.permuted(np.take_along_axis(candidates, best, axis=1), axis=1)
        everyone, asked = np.arange(self.num_users), np.arange(self.asked)
        rows, had, wanted = np.repeat(everyone, self.events), chosen[:, :-1].ravel(), chosen[: self.asked, -1]
        train = Histories.from_rows(rows, had, np.zeros(len(rows), np.int64), self.num_users)
        valid = Histories.from_rows(asked, wanted, np.zeros(len(asked), np.int64), self.num_users)
        users, items = (
            pd.DataFrame({f"{kind}_id": np.arange(n).astype(str), f"{kind}_index": np.arange(n), "is_new": False})
            for kind, n in (("user", self.num_users), ("item", self.num_items))
        )
        return Prepared.encoded(users, items, FeatureEncoding.model_validate({"user": {}, "item": {}}), train, valid)

    def best_ndcg(self, train: Histories, valid: Histories, users: NDArray[np.int64], k: int) -> float:
        """Mean NDCG@k of lists by the weights that are planted, without what users have had: the best in expectation.

        Args:
            train: what lists leave out.
            valid: the event to be found, one of each user.
            users: who is asked.
            k: length of the lists.
        """
        candidates = self._candidates(users)
        seen = candidates[:, :, np.newaxis] == train.take(users).items.reshape(len(users), 1, self.events)
        order = np.argsort(np.where(seen.any(axis=2), self.size, candidates % self.size), axis=1, kind="stable")
        found = np.take_along_axis(candidates, order, axis=1) == valid.take(users).items[:, np.newaxis]
        return float(ndcg(found, np.ones(len(users), np.int64), k).mean())

    def _candidates(self, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """The items of their groups, [n, interests × size]."""
        items = self.interesting[users][:, :, np.newaxis] * self.size + np.arange(self.size)
        return items.reshape(len(users), -1)
