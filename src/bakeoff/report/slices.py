"""Accuracy on parts of the test: by the time since the last known event, on items had before, on new users by steps.

What looks like knowledge of a user's taste may be the continuation of a session: slices by time separate them. New
users were held out of training whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.core.histories import PAD, Histories, has_order
from bakeoff.evaluation.metrics.table import accuracy_per_user
from bakeoff.evaluation.ranking import TopLists
from bakeoff.evaluation.ranking.visits import AFTER_PAUSE, ALL_VISITS
from bakeoff.report.accuracy import BaselineComparison, Difference, Statistics, judge_parts
from bakeoff.report.evidence import Evidence, asked
from bakeoff.report.models import MF

GAPS = {"same second": 0, "< 1 min": 60, "< 1 h": 3600, "< 1 day": 86_400, "later": inf}
"""Name of a slice → seconds that end it (included)."""
LATER = "later"
"""More than a day after the last known event: the endpoint that no session reaches."""
SESSIONS = {"within an hour": 3600, "an hour to a day": 86_400, LATER: inf}
"""The same, as far as one would choose another model."""
ALL = "all"
"""Of the first interactions of new users."""
VISITS = {ALL_VISITS: "all visits", AFTER_PAUSE: "after a pause of an hour"}
Ends = Mapping[str, float]


@dataclass(frozen=True)
class Slice:
    """A part of the test: events by the time since the user's last known one, or new users by what is known of them.

    Attributes:
        name: of the part: the range, or of the number of first interactions that models know ("0", "1", … or "all").
        num_users: users with such an event.
        num_events: such events, or such visits.
        estimates: model, metric, mean, low, high: a row per model.
        difference: softmax − MF; p adjusted over all slices.
        standing: the better contender compared with the best baseline; p adjusted likewise.
        fallbacks: of new users: model → share of them for whom its fallback answered, in [0, 1].
    """

    name: str
    num_users: int
    num_events: int
    estimates: pd.DataFrame
    difference: Difference
    standing: BaselineComparison
    fallbacks: Mapping[str, float] = field(default_factory=dict)


def all_slices(evidence: Evidence, metric: str, statistics: Statistics) -> list[list[Slice]]:
    """By the spans of GAPS, by those of SESSIONS, and by whether the user had the item before.

    Lists stay whole; the truth is cut to the events of the slice. Users without one count nowhere.
    """
    lists, slices = top_lists(evidence), list[list[Slice]]()
    for found in (events_by_gap(evidence), events_by_gap(evidence, SESSIONS), events_by_repeat(evidence)):
        judged = judge_parts([values_on(evidence, lists, part, metric) for part in found.values()], metric, statistics)
        parts = zip(found.items(), judged, strict=True)
        slices.append([Slice(name, int(part.user_id.nunique()), len(part), *of) for (name, part), of in parts])
    return slices


def visit_slices(evidence: Evidence, metric: str, statistics: Statistics) -> list[Slice]:
    """All visits, each asked when it begins, and those after a pause; none unless `evaluate.visits`."""
    users = {name: model.users for name, model in evidence.models.items()}
    kinds = [kind for kind in VISITS if kind in users[MF] and users[MF][kind].any()]
    values = [{name: of[f"{kind}_{metric}"].to_numpy(np.float64) for name, of in users.items()} for kind in kinds]
    counts = [users[MF][kind] for kind in kinds]
    judged = judge_parts(values, metric, statistics)
    parts = zip(kinds, counts, judged, strict=True)
    return [Slice(VISITS[kind], int((each > 0).sum()), int(each.sum()), *of) for kind, each, of in parts]


def share_within_an_hour(slices: Sequence[Slice]) -> float:
    """Share of test events at most an hour after the last known one; NaN without slices."""
    soon = sum(part.num_events for part in slices if part.name not in ("< 1 day", LATER))
    total = sum(part.num_events for part in slices)
    return soon / total if total else float("nan")


def events_by_gap(evidence: Evidence, gaps: Ends = GAPS) -> dict[str, pd.DataFrame]:
    """Range of `gaps` → its test events, of ranges that hold any.

    None where times don't differ, or a test event precedes a known one.
    """
    events = evidence.events
    known = events[events.part != "test"].groupby("user_id").timestamp.max()
    test = events[events.part == "test"]
    gap = (test.timestamp - known.reindex(pd.Index(test.user_id)).to_numpy()).dropna()
    if gap.empty or not has_order(events.timestamp.to_numpy()) or (gap < 0).any():
        return {}
    ranges = pd.cut(gap, [-1, *gaps.values()], labels=list(gaps))
    return {str(name): part for name, part in test.loc[gap.index].groupby(ranges, sort=True, observed=True)}


def events_by_repeat(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """Test events on items that the user had before, and all others; none where nothing is repeated."""
    events = evidence.events
    test, known = events[events.part == "test"], events[events.part != "test"]
    pairs = pd.MultiIndex.from_frame(test[["user_id", "item_id"]])
    again = pairs.isin(pd.MultiIndex.from_frame(known[["user_id", "item_id"]]))
    return {"had before": test[again], "new to the user": test[~again]} if again.any() and not again.all() else {}


def top_lists(evidence: Evidence) -> dict[str, TopLists]:
    """Model → lists as arrays: rows in the order of the evaluated users, items as places in the catalogue, scores 0."""
    num_users, found = len(evidence.models[MF].users), {}
    for name, model in evidence.models.items():
        row, item = codes(model.lists, evidence)
        rank = model.lists["rank"].to_numpy() - 1
        items = np.full((num_users, int(rank.max(initial=0)) + 1), PAD, np.int32)
        items[row, rank] = item
        found[name] = TopLists(items, np.where(items == PAD, -np.inf, 0).astype(np.float32))
    return found


def values_on(
    evidence: Evidence, lists: Mapping[str, TopLists], events: pd.DataFrame, metric: str
) -> dict[str, NDArray[np.float64]]:
    """Name → [num_users] the metric of whole lists with truth cut to `events`; NaN for users without any of them."""
    row, item = codes(events, evidence)
    truth = Histories.from_rows(row, item, events.timestamp.to_numpy(), len(evidence.models[MF].users))
    cutoff = int(metric.partition("@")[2])
    return {name: accuracy_per_user(top, truth, [cutoff])[metric] for name, top in lists.items()}


def codes(frame: pd.DataFrame, evidence: Evidence) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row of each user among the evaluated ones, and place of each item in the catalogue."""
    row = pd.Index(evidence.models[MF].users.user_id).get_indexer(frame.user_id)
    item = pd.Index(evidence.items.item_id).get_indexer(frame.item_id)
    return row.astype(np.int64), item.astype(np.int64)


def steps(new_users: pd.DataFrame) -> list[str]:
    """Numbers of first interactions in ascending order, "all" last."""
    return sorted(new_users.first_interactions.unique(), key=lambda first: np.inf if first == ALL else int(first))


def step_label(first: str) -> str:
    """`0` → `none`, for people."""
    return {"0": "none"}.get(first, first)


def known_interactions(first: str) -> str:
    """What a model knows of a new user, within a sentence."""
    if first == "0":
        return "nothing but features"
    return {"1": "one interaction", ALL: "all interactions"}.get(first, f"{first} interactions")


def new_user_slices(evidence: Evidence, metric: str, statistics: Statistics) -> list[Slice]:
    """New users with a test item, a slice per number of their first interactions; none without new users."""
    users = {name: model.new_users for name, model in evidence.models.items()}
    found = {first: {name: asked(of, first) for name, of in users.items()} for first in steps(users[MF])}
    values = [{name: of[metric].to_numpy(np.float64) for name, of in tables.items()} for tables in found.values()]
    return [
        Slice(
            first,
            len(tables[MF]),
            int(tables[MF].num_test.sum()),
            *judged,
            fallbacks={name: float(of.fallback.mean()) if len(of) else 0.0 for name, of in tables.items()},
        )
        for (first, tables), judged in zip(found.items(), judge_parts(values, metric, statistics), strict=True)
    ]
