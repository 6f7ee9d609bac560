"""The protocol `visits`: every visit of a user is a query of its own, asked when it begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import EVENTS_PER_BLOCK, Histories, has_order, offsets_of, row_blocks
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics.table import PerUser
from bakeoff.evaluation.ranking.protocol import USERS_PER_BATCH, EvalQueries, EvalSet, Users
from bakeoff.models.base.retriever import Retriever

PAUSE = 3600
"""Seconds without an event, after which the next event begins a visit."""

ALL_VISITS, AFTER_PAUSE = "visits", "after_pause"
"""Kinds of visits, as names of metrics begin: `visits_ndcg@10`."""

EVENTS_PER_LIST = EVENTS_PER_BLOCK // USERS_PER_BATCH
"""Events that the list of a visit counts as, so that a block has lists of `USERS_PER_BATCH` visits at most."""

Visits = tuple[EvalSet, NDArray[np.int64], NDArray[np.int64]]
"""As `visits` returns them."""


def visits(prepared: Prepared, users: Users, known: Histories, truth: Histories) -> Visits:
    """A query for each visit among held-out events, with all events before it, asked at the time of its first event.

    What comes within an hour of the last known event goes on with a visit that is known in part: it is a query, too.

    Args:
        prepared: the split.
        users: int64 [n], user_index of each.
        known: n rows, events before the held-out ones.
        truth: n rows, held-out events.

    Returns:
        the queries of q visits, in the order of users and times; the place in `users` of each, int64 [q]; and the
        seconds since the event before each, int64 [q]: 0 where there is none.

    Raises:
        BakeoffError: events have no time, or some that are held out come before known ones of the same user.
    """
    return _HeldOutVisits.of(prepared, users, known, truth).queries(prepared)


@dataclass(frozen=True)
class _HeldOutVisits:
    """Where visits begin among the held-out events of n users.

    Attributes:
        users: int64 [n], user_index of each.
        known: n rows, events before the held-out ones.
        truth: n rows, held-out events.
        begins: bool [nnz of truth], whether the event begins a visit.
        pauses: int64 [nnz of truth], seconds since the event before; 0 where there is none.
    """

    users: Users
    known: Histories
    truth: Histories
    begins: NDArray[np.bool_]
    pauses: NDArray[np.int64]

    @classmethod
    def of(cls, prepared: Prepared, users: Users, known: Histories, truth: Histories) -> Self:
        """Find the visits.

        Raises:
            BakeoffError: as `visits`.
        """
        starts, ends = truth.first_times, np.where(truth.lengths > 0, known.last_times, 0)
        # The times of a few users may be the same by chance: those of everyone decide.
        if len(truth.items) and not has_order(truth.timestamps, known.timestamps, prepared.train.timestamps):
            raise BakeoffError(
                "evaluate.visits is true, and events have no time, or all the same one: set it to false."
            )
        if early := int(np.count_nonzero(starts < ends)):
            raise BakeoffError(
                f"evaluate.visits is true, and {early:,} users have held-out events before known ones: set it to "
                "false, or split.method to user-temporal, global-temporal or leave-last-out."
            )
        is_first = truth.position == 0
        before = np.roll(truth.timestamps, 1)
        before[is_first] = np.where(known.lengths > 0, ends, starts)[truth.rows[is_first]]
        pauses = truth.timestamps - before
        return cls(users, known, truth, is_first | (pauses > PAUSE), pauses)

    def blocks(self) -> Iterator[Self]:
        """Consecutive users, the histories of whose visits have EVENTS_PER_BLOCK events at most.

        Those of a single user may have more.
        """
        num_visits = np.bincount(self.truth.rows[self.begins], minlength=len(self.users))
        copied = num_visits * np.maximum(self.known.lengths + self.truth.lengths, EVENTS_PER_LIST)
        for part in row_blocks(offsets_of(copied)):
            known, truth = (each.part(part.start, part.stop) for each in (self.known, self.truth))
            events = slice(self.truth.offsets[part.start], self.truth.offsets[part.stop])
            yield type(self)(self.users[part], known, truth, self.begins[events], self.pauses[events])

    def queries(self, prepared: Prepared) -> Visits:
        """As `visits`; the events before each visit are copied."""
        truth, rows = self.truth, self.truth.rows[self.begins]
        found = Histories.from_rows(np.cumsum(self.begins) - 1, truth.items, truth.timestamps, len(rows))
        given = self.known.lengths[rows] + truth.position[self.begins]  # events before each visit
        everything = self.known.merged(truth).take(rows)
        histories = everything.keep(everything.position < np.repeat(given, everything.lengths))
        asked = EvalSet.of_rows(prepared, self.users[rows], histories, found)
        return asked, rows, self.pauses[self.begins]


def visit_metrics(queries: EvalQueries, retriever: Retriever, users: Users) -> PerUser:
    """Accuracy on the test visits of warm users, float64 [n]: means over the visits of each; NaN without such a visit.

    `visits_<metric>` is over all visits, `after_pause_<metric>` over those that begin after more than an hour; `visits`
    and `after_pause` are the numbers of them.

    Raises:
        BakeoffError: see `visits`; or the model's embeddings can't be used.
    """
    prepared = queries.prepared
    held_out = _HeldOutVisits.of(prepared, users, prepared.known_of(users), queries.held_out.test.take(users))
    found = [_means(queries, retriever, block) for block in held_out.blocks()]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _means(queries: EvalQueries, retriever: Retriever, held_out: _HeldOutVisits) -> PerUser:
    asked, rows, pauses = held_out.queries(queries.prepared)
    accuracy, num_users = asked.evaluate(retriever, queries.params).accuracy, len(held_out.users)
    found: PerUser = {}
    for kind, chosen in ((ALL_VISITS, np.ones(len(rows), np.bool_)), (AFTER_PAUSE, pauses > PAUSE)):
        found[kind] = np.bincount(rows[chosen], minlength=num_users).astype(np.float64)
        for name, values in accuracy.items():
            found[f"{kind}_{name}"] = means_by_row(values[chosen], rows[chosen], num_users)
    return found


def means_by_row(values: NDArray[np.float64], rows: NDArray[np.int64], num_rows: int) -> NDArray[np.float64]:
    """Means [num_rows] of the values [q] that belong to each row; NaN for a row without any."""
    counts = np.bincount(rows, minlength=num_rows)
    return np.where(counts > 0, np.bincount(rows, values, num_rows) / np.maximum(counts, 1), np.nan)
