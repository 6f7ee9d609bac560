"""The protocol `visits`: every visit of a user is a query of its own, asked when it begins."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.metrics.table import PerUser
from bakeoff.evaluation.ranking.protocol import EvalQueries, EvalSet, Users
from bakeoff.models.base.retriever import Retriever

PAUSE = 3600
"""Seconds without an event, after which the next event begins a visit."""

ALL_VISITS, AFTER_PAUSE = "visits", "after_pause"
"""Kinds of visits, as names of metrics begin: `visits_ndcg@10`."""


def visits(
    prepared: Prepared, users: Users, known: Histories, truth: Histories
) -> tuple[EvalSet, NDArray[np.int64], NDArray[np.int64]]:
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
    starts, ends = truth.first_times, np.where(truth.lengths > 0, known.last_times, 0)
    if len(truth.items) and not starts.any():
        raise BakeoffError("evaluate.visits is true, and events have no time: set it to false.")
    if early := int(np.count_nonzero(starts < ends)):
        raise BakeoffError(
            f"evaluate.visits is true, and {early:,} users have held-out events before known ones: set it to false, or "
            "split.method to user-temporal, global-temporal or leave-last-out."
        )
    is_first = truth.position == 0
    before = np.roll(truth.timestamps, 1)
    before[is_first] = np.where(known.lengths > 0, ends, starts)[truth.rows[is_first]]
    pauses = truth.timestamps - before
    begins = is_first | (pauses > PAUSE)
    rows = truth.rows[begins]
    found = Histories.from_rows(np.cumsum(begins) - 1, truth.items, truth.timestamps, len(rows))
    given = known.lengths[rows] + truth.position[begins]  # events before each visit
    everything = known.merged(truth).take(rows)
    histories = everything.keep(everything.position < np.repeat(given, everything.lengths))
    queries = replace(prepared.queries_of(histories, users[rows]), times=truth.timestamps[begins])
    return EvalSet(users[rows], queries, prepared.left_out(histories), found), rows, pauses[begins]


def visit_metrics(queries: EvalQueries, retriever: Retriever, users: Users) -> PerUser:
    """Accuracy on the test visits of warm users, float64 [n]: means over the visits of each; NaN without such a visit.

    `visits_<metric>` is over all visits, `after_pause_<metric>` over those that begin after more than an hour; `visits`
    and `after_pause` are the numbers of them.

    Raises:
        BakeoffError: see `visits`; or the model's embeddings can't be used.
    """
    prepared = queries.prepared
    asked, rows, pauses = visits(prepared, users, prepared.known_of(users), queries.held_out.test.take(users))
    accuracy = asked.evaluate(retriever, queries.params).accuracy
    found: PerUser = {}
    for kind, chosen in ((ALL_VISITS, np.ones(len(rows), np.bool_)), (AFTER_PAUSE, pauses > PAUSE)):
        found[kind] = np.bincount(rows[chosen], minlength=len(users)).astype(np.float64)
        for name, values in accuracy.items():
            found[f"{kind}_{name}"] = means_by_row(values[chosen], rows[chosen], len(users))
    return found


def means_by_row(values: NDArray[np.float64], rows: NDArray[np.int64], num_rows: int) -> NDArray[np.float64]:
    """Means [num_rows] of the values [q] that belong to each row; NaN for a row without any."""
    counts = np.bincount(rows, minlength=num_rows)
    return np.where(counts > 0, np.bincount(rows, values, num_rows) / np.maximum(counts, 1), np.nan)
