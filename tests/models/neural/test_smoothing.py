import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import histories, random_rows

from bakeoff.models.neural.pooling import smooth

NUM_ITEMS, NUM_USERS = 9, 6


def case(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, NUM_USERS, NUM_ITEMS - 1, 5)  # nobody has the last item
    items, queries = (rng.normal(0, 1, (number, 3)).astype(np.float32) for number in (NUM_ITEMS, NUM_USERS))
    return items, queries, rows


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), strength=st.floats(0, 3))
def test_an_item_moves_towards_the_queries_of_its_users(seed, strength):
    items, queries, rows = case(seed)
    found = smooth(items, queries, histories(rows), strength)
    for item in range(NUM_ITEMS):
        users = [user for user, row in enumerate(rows) if item in row]
        moved = sum((queries[user] / len(rows[user]) for user in users), np.zeros(3))
        expected = items[item] + strength * moved / np.sqrt(max(len(users), 1))
        assert found[item] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_by_hand():
    # Item 0 has two users, of one and two items: (1 + 2/2)/√2 at strength 1; item 1 has one of them: 2/2.
    found = smooth(np.zeros((2, 1), np.float32), np.array([[1], [2]], np.float32), histories([[0], [0, 1]]), 1.0)
    assert found.ravel().tolist() == pytest.approx([np.sqrt(2), 1])
    assert found.dtype == np.float32


def test_with_a_strength_of_zero_nothing_moves():
    items, queries, rows = case(0)
    assert smooth(items, queries, histories(rows), 0.0).tolist() == items.tolist()


def test_an_item_without_events_stays_where_it_is():
    items, queries, rows = case(1)
    found = smooth(items, queries, histories(rows), 2.0)
    assert found[-1].tolist() == items[-1].tolist()
    assert not np.allclose(found[:-1], items[:-1])


def test_blocks_of_histories_move_items_as_all_at_once(monkeypatch):
    items, queries, rows = case(1)
    whole = smooth(items, queries, histories(rows), 0.7)
    monkeypatch.setattr("bakeoff.core.histories.EVENTS_PER_BLOCK", 3)
    np.testing.assert_allclose(smooth(items, queries, histories(rows), 0.7), whole, rtol=1e-6)
