import numpy as np
import pytest

from bakeoff.evaluation.stats import resampling
from bakeoff.evaluation.stats.resampling import USERS_PER_BLOCK, blocks, in_chunks


def sizes(parts):
    return [part.stop - part.start for part in parts]


def test_blocks_are_powers_of_two():
    # 2 · 4096 + 1000; 1000 = 512 + 256 + 128 + 64 + 32 + 8
    assert sizes(blocks(2 * USERS_PER_BLOCK + 1000)) == [4096, 4096, 512, 256, 128, 64, 32, 8]


@pytest.mark.parametrize("num_users", [0, 1, 3, 4095, 4096, 4097])
def test_blocks_hold_every_user_once(num_users):
    covered = [user for part in blocks(num_users) for user in range(part.start, part.stop)]
    assert covered == list(range(num_users))


def test_chunks_add_up_and_stay_in_order():
    # 2²⁰ values at once are 1,048 resamples of 1,000 users
    counts = list(in_chunks(np.random.default_rng(0), 3000, 1000, lambda rng, count: count))
    assert counts == [1048, 1048, 904]


def test_draws_do_not_depend_on_threads(monkeypatch):
    def draws():
        return list(in_chunks(np.random.default_rng(0), 3000, 1000, lambda rng, count: rng.integers(1 << 40)))

    alone = draws()
    monkeypatch.setattr(resampling, "_WORTH_THREADS", 0)
    assert draws() == alone
    assert len(set(alone)) == 3
