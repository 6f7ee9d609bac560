"""Each visit is a query of its own: when it is asked, what it knows, and what it is to find."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.data.features.encoding import EncodedFeatures, FeatureEncoding
from bakeoff.data.prepared.tables import HeldOut, Prepared
from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.evaluation.ranking.protocol import EvalQueries
from bakeoff.evaluation.ranking.visits import PAUSE, visit_metrics, visits

HOUR = 3600


def events(rows):
    """Lists of (item, time), oldest first → Histories."""
    pairs = [(row, *event) for row, each in enumerate(rows) for event in each]
    row, items, times = np.array(pairs, np.int64).reshape(-1, 3).T
    return Histories.from_rows(row, items, times, len(rows))


def split(known, keeps_repeats=False):
    nothing = EncodedFeatures(np.zeros((len(known), 1), np.float32), np.zeros((len(known), 0), np.int32), ())
    users = pa.table({"user_id": [f"u{u}" for u in range(len(known))], "is_new": [False] * len(known)})
    items = pa.table({"item_id": [f"i{j}" for j in range(50)]})
    return Prepared(
        users, items, nothing, nothing, FeatureEncoding(), known, known.first(0), keeps_repeats=keeps_repeats
    )


def listed(histories):
    return [each.tolist() for each in np.split(histories.items, histories.offsets[1:-1])]


KNOWN = events([[(0, 100), (1, 200)], [(2, 100)], [(3, 100)], []])
TRUTH = events(
    [
        # Goes on after 100 s, then comes back twice; exactly an hour is no pause.
        [(10, 300), (11, 300 + HOUR), (12, 301 + 2 * HOUR), (13, 400 + 2 * HOUR), (14, 401 + 3 * HOUR)],
        [(20, 101 + HOUR)],
        [],
        [(30, 7), (31, 8)],
    ]
)


EVERYONE = np.arange(4)


def test_a_visit_begins_after_more_than_an_hour():
    found, rows, pauses = visits(split(KNOWN), EVERYONE, KNOWN, TRUTH)
    assert rows.tolist() == [0, 0, 0, 1, 3]
    assert found.users.tolist() == rows.tolist()
    assert listed(found.truth) == [[10, 11], [12, 13], [14], [20], [30, 31]]
    assert pauses.tolist() == [100, HOUR + 1, HOUR + 1, HOUR + 1, 0]
    assert PAUSE == HOUR


def test_a_query_is_asked_when_its_visit_begins_with_all_that_was_before():
    found, *_ = visits(split(KNOWN), EVERYONE, KNOWN, TRUTH)
    assert found.queries.times.tolist() == [300, 301 + 2 * HOUR, 401 + 3 * HOUR, 101 + HOUR, 7]
    assert listed(found.queries.histories) == [[0, 1], [0, 1, 10, 11], [0, 1, 10, 11, 12, 13], [2], []]
    assert listed(found.exclude) == listed(found.queries.histories)


def test_where_repeats_are_kept_lists_may_hold_them():
    found, *_ = visits(split(KNOWN, keeps_repeats=True), EVERYONE, KNOWN, TRUTH)
    assert not len(found.exclude.items)
    assert len(found.queries.histories.items)


def test_nobody_with_something_to_find_is_no_query():
    nothing = events([[], [], [], []])
    found, _, pauses = visits(split(KNOWN), EVERYONE, KNOWN, nothing)
    assert len(found) == len(pauses) == 0


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_held_out_event_is_in_one_visit_and_no_query_knows_what_comes_later(seed):
    rng = np.random.default_rng(seed)
    lengths, cuts = rng.integers(0, 9, 5), rng.random(5)
    rows = np.repeat(np.arange(5), lengths)
    times = 1_000 + np.cumsum(rng.integers(0, 2 * HOUR, lengths.sum()))
    everything = Histories.from_rows(rows, np.arange(len(rows)) % 50, times, 5)
    is_known = everything.position < np.repeat((cuts * lengths).astype(int), lengths)
    known, truth = everything.keep(is_known), everything.keep(~is_known)
    found, _, pauses = visits(split(known), np.arange(5), known, truth)
    np.testing.assert_array_equal(found.truth.items, truth.items)
    queries = found.queries
    assert (queries.histories.last_times <= queries.times).all()
    assert (queries.histories.lengths + found.truth.lengths <= lengths[found.users]).all()
    has_before = queries.histories.lengths > 0
    np.testing.assert_array_equal(pauses[has_before], (queries.times - queries.histories.last_times)[has_before])
    gaps = np.diff(found.truth.timestamps)[np.diff(found.truth.rows) == 0]
    assert (gaps <= PAUSE).all()


def test_an_empty_row_has_no_first_or_last_time():
    assert KNOWN.first_times.tolist() == [100, 100, 100, 0]
    assert KNOWN.last_times.tolist() == [200, 100, 100, 0]


def test_users_are_those_that_are_named():
    some = np.array([3, 0])
    found, rows, _ = visits(split(KNOWN), some, KNOWN.take(some), TRUTH.take(some))
    assert found.users.tolist() == [3, 0, 0, 0]
    assert rows.tolist() == [0, 1, 1, 1]
    assert listed(found.truth) == [[30, 31], [10, 11], [12, 13], [14]]


def test_held_out_events_before_known_ones_are_refused():
    known, truth = events([[(0, 100)], [(1, 500)]]), events([[(2, 200)], [(3, 400)]])
    with pytest.raises(BakeoffError, match=r"1 users have held-out events before known ones.*split\.method"):
        visits(split(known), np.arange(2), known, truth)


@pytest.mark.parametrize("time", [0, 1_600_000_000])
def test_events_without_times_that_differ_are_refused(time):
    known = truth = events([[(0, time)], [(1, time)]])
    with pytest.raises(BakeoffError, match="events have no time"):
        visits(split(known), np.arange(2), known, truth)


def test_users_whose_events_share_a_time_are_asked_where_those_of_others_do_not():
    known, truth = events([[(0, 100), (1, 100)], [(2, 90)]]), events([[(3, 100)], [(4, 95)]])
    found, *_ = visits(split(known), np.array([0]), known.part(0, 1), truth.part(0, 1))
    assert found.queries.times.tolist() == [100]


class Ranks:
    """Ranks items by number, so that a visit finds what is small; keeps the histories of each set of queries."""

    item_embeddings = -np.arange(50, dtype=np.float32)[:, None]

    def __init__(self):
        self.asked = []

    def embed_queries(self, queries):
        return np.ones((len(queries), 1), np.float32)

    def uses_fallback(self, queries):
        self.asked.append(queries.histories)
        return np.zeros(len(queries), np.bool_)


def test_users_are_asked_about_a_few_at_a_time_with_the_same_figures(monkeypatch):
    rng, users = np.random.default_rng(0), np.arange(40)
    rows = np.sort(rng.choice(users[1:-1], 600))  # the first and the last user have no event
    times = 1_000 + np.cumsum(rng.integers(0, 2 * HOUR, 600))
    everything = Histories.from_rows(rows, rng.integers(0, 50, 600), times, 40)
    is_known = everything.position < np.repeat(everything.lengths // 2, everything.lengths)
    known, truth = everything.keep(is_known), everything.keep(~is_known)
    params = EvaluateParams(cutoffs=(10,), list_length=10)
    queries = EvalQueries(split(known), HeldOut(truth, truth.first(0), truth.first(0)), params, 0, 1)
    at_once, in_parts = Ranks(), Ranks()
    expected = visit_metrics(queries, at_once, users)
    assert len(at_once.asked) == 1
    monkeypatch.setattr("bakeoff.core.histories.EVENTS_PER_BLOCK", 2_000)
    found = visit_metrics(queries, in_parts, users)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert len(in_parts.asked) > 5
    assert max(len(each.items) for each in in_parts.asked) <= 2_000
    # A visit has a list of its own, which counts as 64 events where its history has fewer.
    assert max(len(each) for each in in_parts.asked) <= 2_000 // 64
    assert listed(Histories.joined(in_parts.asked)) == listed(at_once.asked[0])


def test_metrics_are_means_over_the_visits_of_a_user():
    held_out = HeldOut(TRUTH, TRUTH.first(0), TRUTH.first(0))
    params = EvaluateParams(cutoffs=(10,), list_length=10)
    queries = EvalQueries(split(KNOWN), held_out, params, 0, 1)
    found = visit_metrics(queries, Ranks(), np.array([0, 1, 3]))
    assert found["visits"].tolist() == [3, 1, 1]
    assert found["after_pause"].tolist() == [2, 1, 0]
    # User 0 knows items 0 and 1, so that its first list is 2 to 11: both items of the visit are hits. The next leaves
    # 10 and 11 out, too, and is 2 to 9, 12 and 13: both again; the last is 2 to 9, 14 and 15.
    np.testing.assert_allclose(found["visits_recall@10"], [1, 0, 0])
    np.testing.assert_allclose(found["after_pause_hit_rate@10"], [1, 0, np.nan])
