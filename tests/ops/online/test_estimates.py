"""The sequential interval and the counterfactual estimates, on data whose truth is known."""

import math

import numpy as np
import pytest

from bakeoff.ops.online.experiment import effective_size, ips, snips, win_rate_interval

RUNS, LISTS = 1_000, 2_000


def intervals(won):
    """Ends after each list, [runs, lists]."""
    return win_rate_interval(won.cumsum(1), np.arange(1, won.shape[1] + 1), 0.95)


def test_the_interval_is_that_of_the_formula():
    # ρ = 50 / (2 ln 20 + ln(1 + 2 ln 20)) = 6.3006; v = 100 / 4 = 25; √(31.3006 ln(31.3006 / (0.0025 · 6.3006))) / 100
    low, high = win_rate_interval(np.array(60), np.array(100), 0.95)
    radius = math.sqrt(31.3006 * math.log(31.3006 / (0.0025 * 6.3006))) / 100
    assert (float(low), float(high)) == pytest.approx((0.6 - radius, 0.6 + radius), abs=1e-5)


def test_without_a_decided_list_nothing_is_known_and_ends_stay_within_0_and_1():
    low, high = win_rate_interval(np.array([0, 3, 0]), np.array([0, 3, 3]), 0.95)
    assert (low[0], high[0], high[1], low[2]) == (0, 1, 1, 0)


@pytest.mark.parametrize("rate", [0.5, 0.42, 0.9])
def test_the_interval_covers_the_truth_at_every_look_in_at_least_93_percent_of_1000_runs(rate):
    won = np.random.default_rng(1).random((RUNS, LISTS)) < rate
    low, high = intervals(won)
    assert np.mean(((low <= rate) & (rate <= high)).all(1)) >= 0.93


def test_it_covers_the_mean_so_far_of_rates_that_differ_by_person_and_follow_what_came_before():
    rng = np.random.default_rng(2)
    rates, won = np.empty((RUNS, LISTS)), np.empty((RUNS, LISTS), np.bool_)
    people = rng.beta(2, 2, (RUNS, 20))
    for n in range(LISTS):
        rates[:, n] = np.take_along_axis(people, rng.integers(20, size=(RUNS, 1)), 1)[:, 0]
        if n:
            rates[:, n] = 0.7 * rates[:, n] + 0.3 * won[:, n - 1]
        won[:, n] = rng.random(RUNS) < rates[:, n]
    low, high = intervals(won)
    truth = rates.cumsum(1) / np.arange(1, LISTS + 1)
    assert np.mean(((low <= truth) & (truth <= high)).all(1)) >= 0.93


def test_a_worse_challenger_is_stopped_early_and_an_equal_one_hardly_ever():
    rng = np.random.default_rng(3)
    stopped = {}
    for rate in (0.4, 0.5):
        is_worse = intervals(rng.random((RUNS, LISTS)) < rate)[1] < 0.5
        stopped[rate] = np.where(is_worse.any(1), is_worse.argmax(1) + 1, LISTS + 1)
    print(f"stopped after {np.median(stopped[0.4]):.0f} decided lists, median of {RUNS} runs")
    assert np.mean(stopped[0.4] <= LISTS) > 0.99
    assert np.median(stopped[0.4]) < 400
    assert np.mean(stopped[0.5] <= LISTS) <= 0.05


PLACES, POOL, SHARE = 3, 6, 0.5
CHANCE = np.array([0.5, 0.3, 0.2, 0.4, 0.1, 0.05])
"""Of a click on each item; the first three are the list without sampling. By place: in full, a half, a third."""
DECAY = np.array([1, 1 / 2, 1 / 3])


def sampled(rng, n):
    """Items shown, [n, places], their propensities, and clicks."""
    shown = np.tile(np.arange(PLACES), (n, 1))
    random = rng.random(n) < SHARE
    shown[random] = rng.permuted(np.tile(np.arange(POOL), (n, 1)), axis=1)[random, :PLACES]
    propensity = np.where(shown == np.arange(PLACES), 1 - SHARE, 0) + SHARE / POOL
    return shown, propensity, rng.random(shown.shape) < CHANCE[shown] * DECAY


@pytest.mark.parametrize("target", [[0, 1, 2], [3, 0, 1]], ids=["own", "other"])
def test_estimates_are_unbiased_and_their_intervals_cover_the_truth(target):
    rng, truth, runs = np.random.default_rng(5), float((CHANCE[target] * DECAY).sum()), 1_000
    found = {"ips": [], "snips": []}
    covered = {"ips": 0, "snips": 0}
    for _ in range(runs):
        shown, propensity, clicks = sampled(rng, 500)
        weight = (shown == target) / propensity
        gain, total, length = (weight * clicks).sum(1), weight.sum(1), np.full(500, float(PLACES))
        for name, value in (("ips", ips(gain)), ("snips", snips(gain, total, length))):
            low, high = value.interval(np.arange(500), 0.95)
            found[name].append(value.estimate)
            covered[name] += low <= truth <= high
    for name, estimates in found.items():
        error = np.std(estimates) / math.sqrt(runs)
        assert np.mean(estimates) == pytest.approx(truth, abs=4 * error), name
        assert covered[name] / runs >= 0.93, name


def test_figures_of_three_lists_by_hand():
    # Weights 2, 0, 4 of one place each, clicks on the first and the third: gains 2, 0, 4.
    gain = weight = np.array([2.0, 0.0, 4.0])
    assert ips(gain).estimate == 2
    assert snips(gain, weight, np.ones(3)).estimate == 1  # every weighted place was clicked
    assert effective_size(weight) == pytest.approx(36 / 20)


def test_lists_of_one_person_count_as_one_observation():
    gain = np.array([1.0, 1.0, 0.0, 0.0])
    alone, together = (ips(gain).interval(np.array(people), 0.95) for people in ([0, 1, 2, 3], [0, 0, 1, 1]))
    assert together[1] - together[0] == pytest.approx(math.sqrt(2) * (alone[1] - alone[0]))


def test_the_difference_of_equal_lists_is_0_without_an_error():
    value = ips(np.array([1.0, 0.0, 2.0]))
    assert value.minus(value).interval(np.arange(3), 0.95) == (0, 0)
