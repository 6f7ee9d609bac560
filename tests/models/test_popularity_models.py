"""What counts as recent, and how equal counts are ordered."""

import numpy as np
import pytest
from small import queries

from bakeoff.core.histories import Histories
from bakeoff.models.popularity.popularity import PopularityRetriever, recent_frequencies

DAY = 86_400
NOW = 1_600_000_000


def events(items, days_ago):
    """Events of one user each, some days before now."""
    times = NOW - (np.array(days_ago) * DAY).astype(np.int64)
    return Histories.from_rows(np.arange(len(items)), np.array(items), times, len(items))


def test_the_score_is_the_number_of_events_for_everyone():
    retriever = PopularityRetriever(np.array([3, 0, 7]))
    assert (retriever.embed_queries(queries([[], [1]])) @ retriever.item_embeddings.T).tolist() == [[3, 0, 7]] * 2


def recent(days_ago, window):
    """Which of these events, each of an item of its own, count as recent."""
    return np.floor(recent_frequencies(events(range(len(days_ago)), days_ago), len(days_ago), window)).tolist()


def test_the_window_is_counted_back_from_the_newest_event_of_anyone():
    second = 1 / DAY
    assert recent([2, 2 - second, 0, 3], 2) == [0, 1, 1, 0]
    assert recent([102, 102 - second, 100, 103], 2) == [0, 1, 1, 0]


def test_a_window_may_be_a_fraction_of_a_day():
    assert recent([0, 0.5 - 1 / DAY, 0.5], 0.5) == [1, 1, 0]


def test_where_no_event_has_a_time_all_events_count():
    untimed = Histories.from_rows(np.arange(3), np.arange(3), np.zeros(3, np.int64), 3)
    assert np.floor(recent_frequencies(untimed, 3, 0.1)).tolist() == [1] * 3


def test_no_event_at_all_is_no_event_in_the_window():
    assert recent_frequencies(events([], []), 3, 1).tolist() == [0, 0, 0]


def test_recent_events_decide_whatever_was_popular_before():
    # item 0 twice last week, item 1 once, item 2 five times last year
    found = recent_frequencies(events([0, 0, 1, 2, 2, 2, 2, 2], [0, 1, 2, 300, 300, 300, 300, 300]), 4, 7)
    assert np.argsort(-found).tolist() == [0, 1, 2, 3]
    assert np.floor(found).tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize("window", [7, 1000])
def test_equal_counts_are_ordered_by_all_time(window):
    # both items have one recent event; item 1 has two older ones
    found = recent_frequencies(events([0, 1, 1, 1], [0, 0, 90, 90]), 2, window)
    assert found[1] > found[0]
    assert np.floor(found).tolist() == ([1, 1] if window == 7 else [1, 3])


def test_a_window_that_holds_everything_orders_as_all_time_does():
    rng = np.random.default_rng(0)
    items = rng.integers(0, 20, 200)
    found = recent_frequencies(events(items, rng.random(200)), 20, 10)
    assert np.argsort(-found, kind="stable").tolist() == np.argsort(-np.bincount(items), kind="stable").tolist()


def test_events_are_counted_block_by_block_as_at_once_whichever_block_has_the_newest(monkeypatch):
    many = events([0, 1, 2, 0, 1, 1], [9, 8, 7, 0, 3, 400])
    whole = recent_frequencies(many, 3, 7)
    monkeypatch.setattr("bakeoff.core.histories.EVENTS_PER_BLOCK", 2)
    assert recent_frequencies(many, 3, 7).tolist() == whole.tolist()
    assert np.floor(whole).tolist() == [1, 1, 0]
