from collections import Counter

import numpy as np

from bakeoff.core.histories import Histories
from bakeoff.evaluation.ranking.protocol import shuffled

HISTORIES = Histories(
    np.array([0, 3, 3, 4, 8]), np.int32([5, 1, 9, 2, 7, 7, 0, 4]), np.array([10, 20, 30, 5, 1, 2, 3, 4])
)


def rows(histories):
    return np.split(histories.items, histories.offsets[1:-1])


def test_each_row_keeps_its_items():
    found = shuffled(HISTORIES, np.random.default_rng(0))
    assert [sorted(row) for row in rows(found)] == [sorted(row) for row in rows(HISTORIES)]


def test_times_keep_their_places_so_that_they_tell_nothing_of_the_order():
    found = shuffled(HISTORIES, np.random.default_rng(0))
    np.testing.assert_array_equal(found.timestamps, HISTORIES.timestamps)


def test_every_order_is_as_likely_as_any_other():
    triples = Histories(np.arange(0, 30_001, 3), np.tile(np.int32([0, 1, 2]), 10_000), np.zeros(30_000, np.int64))
    orders = Counter(map(tuple, shuffled(triples, np.random.default_rng(1)).items.reshape(-1, 3).tolist()))
    # 6 orders, 10,000 / 6 = 1,667 each; the standard deviation is 37
    assert len(orders) == 6
    assert all(abs(count - 1667) < 190 for count in orders.values())


def test_the_seed_decides():
    first, again, other = (shuffled(HISTORIES, np.random.default_rng(seed)).items.tolist() for seed in (3, 3, 4))
    assert first == again != other


def test_rows_that_are_shuffled_in_blocks_have_the_order_of_all_at_once():
    rng = np.random.default_rng(2)
    blocks = [shuffled(block, rng).items for _, block in HISTORIES.blocks(4)]
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), shuffled(HISTORIES, np.random.default_rng(2)).items)
