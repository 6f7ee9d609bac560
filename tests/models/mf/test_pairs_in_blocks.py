import tracemalloc

import numpy as np
import pytest
from made_histories import histories

from bakeoff.core.histories import Histories, offsets_of
from bakeoff.models.mf.mllib import pairs_in_blocks


def in_blocks(given, size):
    return [(users.tolist(), items.tolist()) for users, items in pairs_in_blocks(given, size)]


def test_a_history_is_cut_where_a_block_is_full_and_users_without_events_have_no_pair():
    given = histories([0, 0, 3, 0, 1, 1, 0], [7, 8, 9, 7, 5])
    assert in_blocks(given, 2) == [([2, 2], [7, 8]), ([2, 4], [9, 7]), ([5], [5])]


@pytest.mark.parametrize("size", [1, 4, 5, 6, 100])
def test_blocks_of_any_size_hold_the_same_pairs_and_all_but_the_last_are_full(size):
    given = histories([2, 0, 8, 1, 0, 0, 9], range(20))
    blocks = list(pairs_in_blocks(given, size))
    users, items = (np.concatenate(column) for column in zip(*blocks, strict=True))
    assert users.tolist() == given.rows.tolist()
    assert items.tolist() == given.items.tolist()
    assert {column.dtype for block in blocks for column in block} == {np.dtype(np.int32)}
    assert [len(users) for users, _ in blocks[:-1]] == [size] * (len(blocks) - 1)


@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]])
def test_without_events_there_is_one_empty_block(lengths):
    assert in_blocks(histories(lengths, []), 10) == [([], [])]


def test_memory_is_that_of_a_block_however_many_events_there_are():
    one = np.broadcast_to(np.int32(5), 10**9)  # of one number in memory
    given = Histories(offsets_of(np.full(1000, 10**6)), one, one)
    tracemalloc.start()
    blocks = pairs_in_blocks(given, 10_000)
    taken = [next(blocks)[0].tolist() for _ in range(101)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken[99] == [0] * 10_000
    assert taken[100] == [1] * 10_000
    assert peak < 20 * 2**20
