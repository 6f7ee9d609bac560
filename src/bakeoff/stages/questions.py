"""What evaluation asks a model, in portions of users: the same questions whoever answers them, and wherever."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bakeoff.evaluation.asking import Answers, Asker
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.shuffling import shuffled
from bakeoff.params import Params
from bakeoff.preparation.histories import Histories
from bakeoff.stages.prepared import HeldOut, Prepared

ALL = "all"
"""`first_interactions` of new users who were asked about with their whole history."""

OF_WARM = TEST, SHUFFLED = "test", "shuffled"
"""Names of the questions about warm users."""

USERS_PER_PORTION = 1 << 16
"""Users whose lists are in memory at once, as lists, metrics and rows of a file: about 400 MB with lists of 100."""

Users = NDArray[np.int64]


@dataclass(frozen=True)
class Questions:
    """A split, and what is asked about its users; each question has a name.

    TEST: warm users with test items, told what is known of them. SHUFFLED: the same, the order of their histories taken
    away. A number, or ALL: new users with test items, told so many of their first events.
    """

    prepared: Prepared
    held_out: HeldOut
    params: Params

    @property
    def steps(self) -> Sequence[str]:
        """Names of the questions about new users."""
        return [*map(str, self.params.evaluate.first_interactions), ALL]

    @cached_property
    def warm(self) -> Users:
        """[n] warm users with test items."""
        return np.flatnonzero(self.held_out.test.lengths)

    @cached_property
    def new(self) -> Users:
        """[n] new users with test items."""
        return np.flatnonzero(self.held_out.new_test.lengths)

    @cached_property
    def known(self) -> Histories:
        """Of all users."""
        return self.prepared.known()

    def about(self, name: str) -> Users:
        """[n] users who are asked about."""
        return self.warm if name in OF_WARM else self.new

    def portions(self, name: str, at_most: int | None = None) -> list[Users]:
        """These users in portions, of USERS_PER_PORTION if not told; a single one without users if there are none."""
        users, size = self.about(name), USERS_PER_PORTION if at_most is None else at_most
        return [users[start : start + size] for start in range(0, max(len(users), 1), size)]

    def ask(self, asker: Asker, name: str, users: Users) -> Answers:
        """Put a question about some of its users.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        queries = self.prepared.queries(self._told(name), users)
        return asker.ask(users, queries, self._exclude(name).take(users), self._truth(name).take(users))

    def answered(self, name: str, users: Users, lists: TopLists, fallback: NDArray[np.bool_]) -> Answers:
        """What `ask` returned elsewhere, of which lists and fallback came here."""
        return Answers(users, self._told(name).take(users), self._truth(name).take(users), lists, fallback)

    def draws(self, purpose: Literal["shuffled", "sampled"]) -> np.random.Generator:
        """The same draws for every model; one purpose has nothing to do with the other."""
        return np.random.default_rng([self.params.seed, ("shuffled", "sampled").index(purpose)])

    def _told(self, name: str) -> Histories:
        if name == TEST:
            return self.known
        if name == SHUFFLED:
            return self._shuffled
        history = self.held_out.new_history
        return history if name == ALL else history.first(int(name))

    def _exclude(self, name: str) -> Histories:
        """Of new users all earlier events, whatever was told.

        So figures for different numbers of events differ by what the model was told and nothing else.
        """
        return self._told(name) if name in OF_WARM else self.held_out.new_history

    def _truth(self, name: str) -> Histories:
        return self.held_out.test if name in OF_WARM else self.held_out.new_test

    @cached_property
    def _shuffled(self) -> Histories:
        rng = self.draws("shuffled")
        return self.prepared.keep(shuffled(block, rng) for _, block in self.known.blocks())
