"""Who is asked what: queries with a known truth, and how a model is ranked and measured on them.

Every model answers the same queries, in whatever process they are ranked.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories, Queries, offsets_of
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.metrics import table
from bakeoff.evaluation.metrics.formulas import divide, num_relevant, relevance
from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.evaluation.metrics.table import MetricSet, PerUser
from bakeoff.evaluation.ranking import TopLists, rank
from bakeoff.models.base.retriever import Retriever

ALL = "all"
"""`first_interactions` of new users who are asked about with their whole history."""

TEST = "test"
"""Name of the queries about warm users."""

USERS_PER_BATCH = 1 << 16
"""Users whose lists are in memory at once, as lists, metrics and rows of a file: about 400 MB with lists of 100."""

Users = NDArray[np.int64]
"""[n] user_index."""


@dataclass(frozen=True)
class EvalSet:
    """Queries of n users and the items that would be right.

    Attributes:
        users: int64 [n], user_index of each.
        queries: n queries, each asked at the time of the first event to be found.
        exclude: n rows, items that lists must not contain.
        truth: n rows, the held-out items.
        earlier: n rows, all earlier events of the users; a query may hold fewer.
    """

    users: Users
    queries: Queries
    exclude: Histories
    truth: Histories
    earlier: Histories

    @classmethod
    def of(cls, prepared: Prepared, history: Histories, truth: Histories, users: Users | None = None) -> "EvalSet":
        """Queries with this history; lists exclude it, unless the split keeps repeats.

        Args:
            prepared: the split.
            history: events before the query; rows are user_index.
            truth: held-out events; rows are user_index.
            users: user_index of those to evaluate; None: everyone with truth.
        """
        users = np.flatnonzero(truth.lengths) if users is None else users
        return cls.of_rows(prepared, users, history.take(users), truth.take(users))

    @classmethod
    def of_rows(
        cls, prepared: Prepared, users: Users, given: Histories, truth: Histories, earlier: Histories | None = None
    ) -> "EvalSet":
        """One query per row of the arguments; lists exclude all earlier events, unless repeats are kept.

        Args:
            prepared: the split.
            users: user_index of each of the n queries.
            given: n rows, what the model is given.
            truth: n rows, held-out events.
            earlier: n rows, all events before the query; None: those that are given.
        """
        before = given if earlier is None else earlier
        queries = replace(prepared.queries_of(given, users), times=truth.first_times)
        return cls(users, queries, prepared.left_out(before), truth, before)

    def __len__(self) -> int:
        return len(self.users)

    def rank(
        self, retriever: Retriever, list_length: int, users_per_block: int, among: NDArray[np.int64] | None = None
    ) -> TopLists:
        """Rank the whole catalogue of the retriever, or some of its items.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        return rank(retriever, self.queries, self.exclude, self.truth, list_length, users_per_block, among)

    def evaluate(self, retriever: Retriever, params: EvaluateParams) -> "Evaluated":
        """Rank with the lengths and cutoffs of the evaluation.

        Raises:
            BakeoffError: the model's embeddings can't be used.
        """
        lists = self.rank(retriever, params.list_length, params.users_per_block)
        return Evaluated(self, lists, params.cutoffs, retriever.uses_fallback(self.queries))


@dataclass(frozen=True)
class Evaluated:
    """Lists that a model gave for an evaluation set, and their metrics.

    Attributes:
        eval_set: the queries, n of them.
        lists: lists of the n users, from `EvalSet.evaluate` or from an exported model.
        cutoffs: k of the metrics.
        fallback: bool [n], whether the model's stated fallback answered; empty for an exported model, which does not
            say so.
    """

    eval_set: EvalSet
    lists: TopLists
    cutoffs: Sequence[int]
    fallback: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    @cached_property
    def relevant(self) -> NDArray[np.bool_]:
        """Whether the item at each rank is one of the truth, [n, length]."""
        return relevance(self.lists, self.eval_set.truth)

    @cached_property
    def accuracy(self) -> PerUser:
        """Accuracy metrics of each user, float64 [n]."""
        return table.accuracy_of(self.relevant, self.eval_set.truth, self.cutoffs)

    def popularity(self, prepared: Prepared) -> PerUser:
        """Popularity metrics of each user's list, float64 [n]."""
        history, counts, users = self.eval_set.queries.histories, prepared.train_counts, prepared.train_users
        return table.popularity_per_user(self.lists, history, counts, users, prepared.num_warm_users, self.cutoffs)

    def beyond_accuracy(self, prepared: Prepared) -> PerUser:
        """Popularity metrics of each user, and those that depend on what is known of the items, float64 [n]."""
        return self.popularity(prepared) | table.at_cutoffs(MetricSet.CATALOGUE, self.cutoffs, self, prepared)

    def repeats(self) -> PerUser:
        """Shares of each user's different test items, and of the hits among the first k, that the user has had before.

        Whether the model was given that event or not. float64 [n] in [0, 1]; NaN without any of them.
        """
        earlier, truth = self.eval_set.earlier, self.eval_set.truth
        stride = 1 + max(earlier.items.max(initial=0), truth.items.max(initial=0))
        had = num_relevant(truth.keep(np.isin(truth.keys(stride), earlier.keys(stride))))
        is_repeat = self.relevant & relevance(self.lists, earlier)
        hits = {
            f"repeats_of_hits@{k}": divide(is_repeat[:, :k].sum(1), self.relevant[:, :k].sum(1)) for k in self.cutoffs
        }
        return {"repeats_of_test": divide(had, num_relevant(truth)), **hits}

    def means(self, prepared: Prepared) -> dict[str, float | None]:
        """Means over users of all metrics that a user has, and the figures of all lists together."""
        beyond = self.beyond_accuracy(prepared)
        together = table.of_all_lists(self.lists, beyond, prepared.num_items, self.cutoffs)
        return table.or_none(table.means(self.accuracy | beyond) | together)


def users_with_test_items(test: Histories, purpose: str) -> Users:
    """[n] warm users with test items.

    Args:
        test: test events; rows are user_index.
        purpose: what they are for, for the message.

    Raises:
        BakeoffError: there are none.
    """
    users = np.flatnonzero(test.lengths)
    if len(users) == 0:
        raise BakeoffError(
            f"No warm user has a test item, so there is nothing to {purpose}: raise split.test_share in params.yaml, "
            "or bring more events per user, and split again."
        )
    return users


@dataclass(frozen=True)
class EvalQueries:
    """The named queries of an evaluation about the users of a split.

    TEST: warm users with test items, given what is known of them. A number, or ALL: new users with test items, given
    that many of their first events.

    Random draws for a user depend on the seed and on the user's place among all users, not on batches.

    Attributes:
        prepared: the split's training data.
        held_out: its test data and new users.
        params: what is measured.
        seed: of sampled candidates.
        sampled_candidates: items that each test item is ranked among, besides the ranking of the whole catalogue.
    """

    prepared: Prepared
    held_out: HeldOut
    params: EvaluateParams
    seed: int
    sampled_candidates: int

    @property
    def steps(self) -> Sequence[str]:
        """Names of the queries about new users."""
        return [*map(str, self.params.first_interactions), ALL]

    def users(self, name: str) -> Users:
        """[n] users of these queries, ascending: those with test items."""
        truth = self.held_out.test if name == TEST else self.held_out.new_test
        return np.flatnonzero(truth.lengths)

    def batches(self, name: str, at_least: int = 1) -> list[Users]:
        """The users in batches; one batch without users if there are none.

        A batch has whole blocks of `users_per_block`, so that what is computed of a block at once does not depend on
        the number of batches: the last bits of an embedding may differ between blocks.

        Args:
            name: of the queries.
            at_least: wanted number of batches, if there are as many blocks; none is larger than USERS_PER_BATCH, unless
                a single block is.
        """
        users, block = self.users(name), self.params.users_per_block
        size = min(math.ceil(len(users) / at_least), USERS_PER_BATCH)
        size = max(1, size // block) * block
        return [users[start : start + size] for start in range(0, max(len(users), 1), size)]

    def eval_set(self, name: str, users: Users) -> EvalSet:
        """The queries of this name about some of its users, ascending."""
        if name == TEST:
            given = earlier = self.prepared.known_of(users)
            truth = self.held_out.test
        else:
            # All earlier events are left out, however many the model was given: figures for different numbers of events
            # then differ by what the model was given and nothing else.
            earlier, truth = self.held_out.new_history.take(users), self.held_out.new_test
            given = earlier if name == ALL else earlier.first(int(name))
        return EvalSet.of_rows(self.prepared, users, given, truth.take(users), earlier)

    def candidate_rng(self, users: Users) -> np.random.Generator:
        """Source of the sampled candidates of a batch of TEST: the same draws for every model."""
        earlier = int(self._test_items_before[users[0]]) if len(users) else 0
        stream = np.random.PCG64([self.seed, 1])  # 1 tells these draws from others of the seed
        return np.random.Generator(stream.advance(earlier * self.sampled_candidates))

    @cached_property
    def _test_items_before(self) -> NDArray[np.int64]:
        """[num_users + 1] test items of all users before each: an item that comes several times is ranked once."""
        return offsets_of(np.concatenate([num_relevant(block) for _, block in self.held_out.test.blocks()]))
