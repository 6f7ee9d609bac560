"""Intervals of what was measured again and again."""

import numpy as np
import pytest

from bakeoff.evaluation.stats.timing_intervals import Repeated, interval_json, middle, percentile, ratio, total

NAN = float("nan")


def test_the_ends_of_a_percentile_are_two_of_the_values():
    # Of 300 values 277 to 292 lie below the 95th percentile, but for 2.5 % on either side (binomial).
    found = percentile(range(1, 301), 0.95)
    assert (found.value, found.low, found.high) == (pytest.approx(285.05), 277, 293)


@pytest.mark.parametrize(("count", "has_end"), [(71, False), (72, True)])
def test_an_end_that_would_lie_beyond_all_values_is_not_made_up(count: int, has_end: bool):
    # 0.95^72 is the first below 0.025
    found = percentile(list(range(count)), 0.95)
    assert np.isfinite(found.high) == has_end
    assert np.isfinite(found.low)
    assert set(interval_json("p95", found)) == {"p95", "p95_low", *(["p95_high"] if has_end else [])}


def test_six_values_are_the_fewest_whose_median_has_an_interval():
    assert np.isnan(percentile([1, 2, 3, 4, 5], 0.5).low)
    found = percentile([1, 2, 3, 4, 5, 6], 0.5)
    assert (found.low, found.high) == (1, 6)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(4)
    seconds = np.exp(0.5 * rng.standard_normal((2000, 300)))
    truth = np.exp(0.5 * 1.6448536)
    found = [percentile(row, 0.95) for row in seconds[:20]]
    low, high = np.sort(seconds, axis=1)[:, [276, 292]].T  # as above: the same two places of any values
    assert [(each.low, each.high) for each in found] == list(zip(low[:20], high[:20], strict=True))
    assert 0.94 < np.mean((low <= truth) & (truth <= high)) < 0.99
    few = np.exp(0.1 * rng.standard_normal((2000, 2, 5)))
    held = [(found := ratio(middle(2 * one), middle(other))).low <= 2 <= found.high for one, other in few]
    assert 0.94 < np.mean(held) < 0.999


def test_the_median_of_few_has_students_interval_of_their_logarithms():
    found = middle([1.0, np.e, np.e**2])
    # t with 2 degrees of freedom is 4.303 at 97.5 %; sd of the logarithms is 1; √(π/2) for the median
    half = 4.30265 / np.sqrt(3) * np.sqrt(np.pi / 2)
    assert found.value == pytest.approx(np.e)
    assert np.log([found.low, found.high]) == pytest.approx([1 - half, 1 + half], rel=1e-4)


def test_a_single_value_has_no_interval():
    assert np.isnan([middle([2.0]).low, middle([2.0]).high, total([1.0], 3.0).low]).all()
    assert (middle([2.0]).value, total([], 3.0).value) == (2, 3)


def test_a_total_is_as_sure_as_its_steps_are_alike():
    # sd 1 of three steps: the sum moves by t · sd · √3, here relative to the total
    found = total([1.0, 2.0, 3.0], 10.0)
    assert found.value == 10
    assert np.log([10 / found.low, found.high / 10]) == pytest.approx([4.30265 * np.sqrt(3) / 10] * 2, rel=1e-4)
    assert total([2.0, 2.0], 5.0).low == total([2.0, 2.0], 5.0).high == 5


def test_a_total_of_steps_that_differ_much_has_ends_that_can_be_read():
    found = ratio(total([0.05, 0.06], 1.0), total([0.5, 2.5], 6.0))
    assert 0 < found.low < found.value < found.high < 1e3


def test_a_ratio_has_the_ends_that_both_allow():
    found = ratio(Repeated(4.0, 4.0, 4.0), Repeated(2.0, 1.0, 4.0))
    assert (found.value, found.low, found.high) == pytest.approx((2, 1, 4))
    half = np.hypot(np.log(2), np.log(2))
    both = ratio(Repeated(4.0, 2.0, 8.0), Repeated(2.0, 1.0, 4.0))
    assert np.log([both.low, both.high]) == pytest.approx([np.log(2) - half, np.log(2) + half])


def test_a_ratio_without_one_of_the_intervals_has_none():
    found = ratio(Repeated(4.0), Repeated(2.0, 1.0, 3.0))
    assert found.value == pytest.approx(2)
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("unknown", [NAN, 0.0])
def test_a_ratio_of_what_is_not_known_is_not_known(unknown: float):
    assert np.isnan(ratio(Repeated(unknown), Repeated(2.0)).value)
    assert np.isnan(ratio(Repeated(2.0), Repeated(unknown)).value)
