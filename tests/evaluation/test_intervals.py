from functools import partial
from statistics import NormalDist

import numpy as np
import pytest

from bakeoff.evaluation.stats import intervals as module
from bakeoff.evaluation.stats.intervals import USERS_PER_BLOCK, block_sizes, chunks, intervals, resampled_means


def rng():
    return np.random.default_rng(7)


def test_interval_is_that_of_the_normal_approximation_for_many_users():
    values = rng().normal(0.3, 2, (2000, 1))
    found = intervals(values, rng())
    half = NormalDist().inv_cdf(0.975) * values.std() / np.sqrt(2000)
    assert found.mean == pytest.approx(values.mean())
    # 10,000 resamples place an end of the interval to about 1 % of its half-length
    assert found.low[0] == pytest.approx(values.mean() - half, abs=0.04 * half)
    assert found.high[0] == pytest.approx(values.mean() + half, abs=0.04 * half)


def test_interval_covers_the_truth_as_often_as_it_says():
    # 2,000 data sets of 150 users side by side, true mean 0. The percentile interval is that of Student's t but for
    # its quantile and a factor √(149/150): 89.6 % ± 1.4 % (two standard errors) hold it.
    values = rng().normal(0, 1, (150, 2000))
    found = intervals(values, rng(), confidence=0.9, resamples=1000)
    covered = ((found.low <= 0) & (found.high >= 0)).mean()
    assert covered == pytest.approx(0.896, abs=0.014)


def test_small_samples_get_their_exact_quantiles():
    # of two users at 0 and 1 the mean of a resample is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4
    values = np.array([[0.0], [1.0]])
    wide = intervals(values, rng(), confidence=0.6)
    narrow = intervals(values, rng(), confidence=0.4)
    assert (wide.low[0], wide.high[0]) == pytest.approx((0, 1))
    assert (narrow.low[0], narrow.high[0]) == pytest.approx((0.5, 0.5))


def test_one_user_has_an_interval_of_no_length():
    found = intervals(np.array([[0.25]]), rng())
    assert (found.mean[0], found.low[0], found.high[0]) == (0.25, 0.25, 0.25)


def test_equal_values_have_an_interval_of_no_length():
    found = intervals(np.zeros((50, 1)), rng())
    assert (found.mean[0], found.low[0], found.high[0]) == (0, 0, 0)


def test_users_without_a_value_count_nowhere():
    values = rng().normal(size=(80, 1))
    with_gaps = np.concatenate([values, np.full((20, 1), np.nan)])
    alone, gaps = intervals(values, rng()), intervals(with_gaps, rng())
    assert gaps.num_users.tolist() == [80]
    assert (gaps.mean, gaps.low, gaps.high) == (alone.mean, alone.low, alone.high)


def test_columns_with_other_gaps_do_not_disturb_each_other():
    values = rng().normal(size=(60, 3))
    values[:20, 1] = np.nan
    found = intervals(values, rng())
    assert found.num_users.tolist() == [60, 40, 60]
    assert found.mean == pytest.approx([values[:, 0].mean(), values[20:, 1].mean(), values[:, 2].mean()])
    assert (found.low < found.mean).all()
    assert (found.mean < found.high).all()


def test_a_column_without_users_is_nan():
    found = intervals(np.array([[np.nan, 1.0], [np.nan, 2.0]]), rng())
    assert found.num_users.tolist() == [0, 2]
    assert np.isnan([found.mean[0], found.low[0], found.high[0]]).all()
    assert found.mean[1] == 1.5


@pytest.mark.parametrize("num_users", [40, 2000, 9000])
def test_same_seed_same_interval_and_other_seed_another(num_users):
    # 2,000 users take several chunks of resamples; of 9,000 draws are counted by the compiled loop, in blocks
    values = rng().normal(size=(num_users, 2))
    first, second = intervals(values, rng()), intervals(values, rng())
    other = intervals(values, np.random.default_rng(8))
    assert first.low.tolist() == second.low.tolist()
    assert first.low.tolist() != other.low.tolist()


def test_a_large_mean_costs_no_precision():
    values = rng().normal(0, 1e-3, (200, 1))
    near, far = intervals(values, rng()), intervals(values + 1e6, rng())
    assert far.low - 1e6 == pytest.approx(near.low, abs=1e-8)


def test_many_users_are_resampled_by_multinomial_weights(monkeypatch):
    monkeypatch.setattr(module, "_MULTINOMIAL_FROM", 0)
    # Users are the unit vectors: the sums of a resample are its weights. Of 7 users, in blocks of 4, 2 and 1, each is
    # drawn 7 times in all, with mean 1, variance 6/7 and covariance −1/7, whichever blocks two of them are in.
    mean, deviations = resampled_means(lambda: [np.eye(7)], rng(), 40_000)[1:]
    weights = (mean + deviations) * 7
    assert weights.sum(axis=1) == pytest.approx(7)
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.02)
    expected = np.full((7, 7), -1 / 7) + np.eye(7)
    assert np.cov(weights.T) == pytest.approx(expected, abs=0.03)


def test_both_ways_to_resample_give_the_same_interval():
    values = rng().normal(0.2, 1, (5000, 3))
    plain = intervals(values, rng())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MULTINOMIAL_FROM", 0)
        compiled = intervals(values, rng())
    # an end is placed by 10,000 resamples to about 1 % of the interval's half-length
    half = (plain.high - plain.low) / 2
    assert (np.abs(compiled.low - plain.low) < 0.05 * half).all()
    assert (np.abs(compiled.high - plain.high) < 0.05 * half).all()


def test_users_in_blocks_have_the_intervals_of_all_at_once():
    # draws for 10,001 users are multinomial, those for 3,000 are not
    for sizes in ([10_001], [1, 4096, 0, 5904], [333] * 30 + [11], [1, 2999], [2000, 0, 1000]):
        values = rng().normal(0.1, 1, (sum(sizes), 2))
        whole = intervals(values, rng())
        ends = np.cumsum(sizes)[:-1]
        found = intervals(partial(np.split, values, ends), rng())
        assert found.num_users.tolist() == [len(values)] * 2
        for name in ("mean", "low", "high"):
            assert getattr(found, name).tolist() == getattr(whole, name).tolist()


def test_blocks_are_powers_of_two():
    # 2 · 4096 + 1000; 1000 = 512 + 256 + 128 + 64 + 32 + 8
    assert block_sizes(2 * USERS_PER_BLOCK + 1000).tolist() == [4096, 4096, 512, 256, 128, 64, 32, 8]


@pytest.mark.parametrize("num_users", [0, 1, 3, 4095, 4096, 4097])
def test_blocks_hold_every_user_once(num_users):
    assert block_sizes(num_users).sum() == num_users


def test_chunks_add_up_and_stay_in_order():
    # 2²⁰ values at once are 1,048 resamples of 1,000 users
    assert [count for _, count in chunks(rng(), 3000, 1000)] == [1048, 1048, 904]


def test_intervals_do_not_depend_on_threads(monkeypatch):
    values = rng().normal(size=(1000, 2))
    alone = intervals(values, rng(), resamples=3000)
    monkeypatch.setattr(module, "_THREADS_FROM", 0)
    threads = intervals(values, rng(), resamples=3000)
    assert threads.low.tolist() == alone.low.tolist()
