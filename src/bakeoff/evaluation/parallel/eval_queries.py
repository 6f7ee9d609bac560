"""What evaluation asks a model, in portions of users: the same questions whoever answers them, and wherever."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.histories import Histories
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.protocol import Answers, Asker
from bakeoff.evaluation.shuffling import shuffled
from bakeoff.params import Params

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

    What chance decides about a user depends on the seed and on their place among all, not on the portion.
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

    def about(self, name: str) -> Users:
        """[n] users who are asked about, ascending."""
        return self.warm if name in OF_WARM else self.new

    def portions(self, name: str, at_least: int = 1) -> list[Users]:
        """These users in portions, one without users if there are none.

        A portion has whole blocks of `evaluate.users_per_block`, so that what is computed of a block at once does not
        depend on the number of portions: the last bits of an embedding may differ between blocks.

        Args:
            name: of the question.
            at_least: how many portions there should be, as far as there are blocks; none is larger than
                USERS_PER_PORTION, unless a single block is.
        """
        users, block = self.about(name), self.params.evaluate.users_per_block
        size = min(math.ceil(len(users) / at_least), USERS_PER_PORTION)
        size = max(1, size // block) * block
        return [users[start : start + size] for start in range(0, max(len(users), 1), size)]

    def ask(self, asker: Asker, name: str, users: Users) -> Answers:
        """Put a question about a portion of its users.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        told = self._told(name, users)
        # Of new users all earlier events are left out, whatever was told: so figures for different numbers of events
        # differ by what the model was told and nothing else.
        exclude = told if name in OF_WARM else self.held_out.new_history.take(users)
        return asker.ask(users, self.prepared.queries_of(told, users), exclude, self._truth(name).take(users))

    def candidate_draws(self, users: Users) -> np.random.Generator:
        """For a portion of TEST, numbers by which the candidates beside its test items are drawn."""
        earlier = int(self.held_out.test.offsets[users[0]]) if len(users) else 0
        return self._draws("sampled", earlier * self.params.evidence.sampled_candidates)

    def _told(self, name: str, users: Users) -> Histories:
        if name == TEST:
            return self.prepared.known_of(users)
        if name == SHUFFLED:
            return self._shuffled(users)
        history = self.held_out.new_history.take(users)
        return history if name == ALL else history.first(int(name))

    def _truth(self, name: str) -> Histories:
        return self.held_out.test if name in OF_WARM else self.held_out.new_test

    def _shuffled(self, users: Users) -> Histories:
        """Known events of a portion: of all between its first and its last user some are drawn for."""
        if len(users) == 0:
            return self.prepared.known_of(users)
        everyone = np.arange(users[0], users[-1] + 1)
        train, valid = self.prepared.train, self.prepared.valid
        rng = self._draws("shuffled", int(train.offsets[users[0]] + valid.offsets[users[0]]))
        return shuffled(self.prepared.known_of(everyone), rng).take(users - users[0])

    def _draws(self, purpose: Literal["shuffled", "sampled"], earlier: int) -> np.random.Generator:
        """The same draws for every model, after `earlier` others; one purpose has nothing to do with the other."""
        stream = np.random.PCG64([self.params.seed, ("shuffled", "sampled").index(purpose)])
        return np.random.Generator(stream.advance(earlier))
