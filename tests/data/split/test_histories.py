import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.core.histories import PAD, Histories, Queries, has_order

ROWS = st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=6), max_size=6)


def histories(rows):
    """Rows of (item, timestamp) → Histories, the rows in time order."""
    events = [(row, *event) for row, events in enumerate(rows) for event in sorted(events, key=lambda e: e[1])]
    columns = np.array(events, np.int64).reshape(-1, 3)
    return Histories.from_rows(columns[:, 0], columns[:, 1], columns[:, 2], len(rows))


def lists(blocks):
    return [
        list(zip(blocks.items[a:b].tolist(), blocks.timestamps[a:b].tolist(), strict=True))
        for a, b in zip(blocks.offsets[:-1], blocks.offsets[1:], strict=True)
    ]


EXAMPLE = [[(1, 10), (2, 20), (3, 30)], [], [(4, 5)]]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([[]], False),
        ([[0]], False),
        ([[7]], True),
        ([[0, 0]], False),
        ([[7, 7]], False),
        ([[7, 8]], True),
        ([[7, 7], [7]], False),
        ([[7, 7], [8]], True),
        ([[], [7], []], True),
        ([[0, 0], [7]], True),
    ],
)
def test_times_say_something_of_the_order_where_some_differ_or_there_is_one_event(times, expected):
    assert has_order(*(np.array(each, np.int64) for each in times)) is expected


def test_events_are_grouped_by_row_in_their_order():
    grouped = Histories.from_rows(np.array([2, 0, 2, 0]), np.array([7, 5, 8, 6]), np.array([1, 2, 3, 4]), 4)
    assert lists(grouped) == [[(5, 2), (6, 4)], [], [(7, 1), (8, 3)], []]
    assert (grouped.items.dtype, grouped.timestamps.dtype, grouped.offsets.dtype) == (
        np.int32,
        np.int64,
        np.int64,
    )


def test_no_event_and_no_row_are_possible():
    assert lists(histories([])) == []
    assert lists(histories([[], []])) == [[], []]


def test_lengths_and_rows_describe_the_events():
    assert histories(EXAMPLE).lengths.tolist() == [3, 0, 1]
    assert histories(EXAMPLE).rows.tolist() == [0, 0, 0, 2]


@given(ROWS, st.data())
def test_take_picks_rows_in_any_order_and_repeats_them(rows, data):
    blocks = histories(rows)
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    assert lists(blocks.take(np.array(picked, np.int64))) == [lists(blocks)[row] for row in picked]


@given(ROWS, st.integers(0, 7))
def test_first_and_last_keep_the_ends_of_each_row(rows, count):
    blocks = histories(rows)
    assert lists(blocks.first(count)) == [row[:count] for row in lists(blocks)]
    assert lists(blocks.last(count)) == [row[max(len(row) - count, 0) :] for row in lists(blocks)]


@given(ROWS, st.integers(1, 4))
def test_windows_are_even_parts_of_each_row_in_its_order(rows, size):
    whole = histories(rows)
    counts = [max(1, int(len(row) / size + 0.5)) for row in rows]
    found = lists(whole.windows(size))
    assert len(found) == sum(counts)
    for row, count in zip(lists(whole), counts, strict=True):
        parts, found = found[:count], found[count:]
        assert [event for part in parts for event in part] == row
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_windows_copy_no_event_and_without_a_size_rows_stay_as_they_are():
    whole = histories(EXAMPLE)
    assert np.shares_memory(whole.windows(1).items, whole.items)
    assert whole.windows(None) is whole


@given(ROWS, st.integers(0, 7))
def test_padded_holds_the_last_events_flush_left(rows, width):
    items, timestamps = histories(rows).padded(width)
    for row, kept in enumerate(lists(histories(rows).last(width))):
        rest = width - len(kept)
        assert items[row].tolist() == [item for item, _ in kept] + [PAD] * rest
        assert timestamps[row].tolist() == [time for _, time in kept] + [0] * rest


@given(st.lists(st.tuples(*[st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=5)] * 2), max_size=5))
def test_merged_is_a_stable_sort_by_time_of_both(pairs):
    ours, theirs = histories([a for a, _ in pairs]), histories([b for _, b in pairs])
    expected = [sorted([*a, *b], key=lambda event: event[1]) for a, b in zip(lists(ours), lists(theirs), strict=True)]
    assert lists(ours.merged(theirs)) == expected


@pytest.fixture
def queries():
    return Queries(
        histories(EXAMPLE),
        dense=np.array([[0.5], [1.5], [2.5]], np.float32),
        categorical=np.array([[1, 2], [3, 4], [5, 6]], np.int32),
    )


def test_a_query_keeps_its_history_and_its_features_together(queries):
    taken = queries.take(np.array([2, 0]))
    assert lists(taken.histories) == [EXAMPLE[2], EXAMPLE[0]]
    assert taken.dense.tolist() == [[2.5], [0.5]]
    assert taken.categorical.tolist() == [[5, 6], [1, 2]]


@pytest.mark.parametrize(("size", "ends"), [(1, [1, 2, 3]), (2, [2, 3]), (3, [3]), (100, [3])])
def test_blocks_cover_all_queries_once_in_order(queries, size, ends):
    blocks = list(queries.blocks(size))
    assert [part.stop for part, _ in blocks] == ends
    assert [h for _, block in blocks for h in lists(block.histories)] == EXAMPLE
    assert np.concatenate([block.dense for _, block in blocks]).tolist() == queries.dense.tolist()


def random_histories(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 6, 40)
    items = rng.integers(0, 9, lengths.sum())
    return Histories.from_rows(np.repeat(np.arange(40), lengths), items, rng.integers(0, 50, len(items)), 40)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_blocks_are_all_rows_one_after_the_other(size):
    whole = random_histories(0)
    blocks = list(whole.blocks(size))
    assert [part.start for part, _ in blocks] == [0, *(part.stop for part, _ in blocks[:-1])]
    assert blocks[-1][0].stop == len(whole)
    assert all(len(block.items) <= size or len(block) == 1 for _, block in blocks)
    joined = Histories.joined(block for _, block in blocks)
    for name in ("offsets", "items", "timestamps"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))


def test_no_rows_are_one_empty_block():
    empty = random_histories(0).part(0, 0)
    ((part, block),) = empty.blocks()
    assert (part, len(block), len(block.items)) == (slice(0, 0), 0, 0)


def test_rows_that_follow_each_other_are_taken_without_a_copy():
    whole = random_histories(1)
    taken = whole.take(np.arange(3, 20))
    assert np.shares_memory(taken.items, whole.items)
    for row in range(17):
        assert taken.take(np.array([row])).items.tolist() == whole.take(np.array([row + 3])).items.tolist()


def test_items_are_counted_and_histories_merged_block_by_block_as_at_once(monkeypatch):
    first, second = random_histories(2), random_histories(3)
    counts, merged = np.bincount(first.items, minlength=11), first.merged(second)
    monkeypatch.setattr("bakeoff.core.histories.EVENTS_PER_BLOCK", 4)
    assert first.item_counts(11).tolist() == counts.tolist()
    np.testing.assert_array_equal(first.merged(second).items, merged.items)
    np.testing.assert_array_equal(first.merged(second).timestamps, merged.timestamps)
