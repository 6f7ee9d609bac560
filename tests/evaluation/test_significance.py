from math import sqrt

import numpy as np
import pytest

from bakeoff.evaluation.stats.significance import Verdict, compare_paired, verdict


def rng():
    return np.random.default_rng(11)


def column(*values):
    return np.asarray(values, np.float64)[:, None]


def test_effect_size_by_hand():
    # mean 2, sd (n − 1) 1
    assert compare_paired(column(1, 2, 3), rng()).effect_size == pytest.approx([2])


def test_effect_size_of_all_ties_is_zero():
    assert compare_paired(column(0, 0, 0), rng()).effect_size.tolist() == [0]


def test_effect_size_is_not_defined_without_spread():
    # the mean of three times 0.1 is not exactly 0.1: its rounding error is no spread
    assert np.isnan(compare_paired(column(0.1, 0.1, 0.1), rng()).effect_size).all()
    assert np.isnan(compare_paired(column(0.1), rng()).effect_size).all()


def test_detectable_difference_by_hand():
    # z.975 + z.8 = 1.959964 + 0.841621; sd 1, n 3
    assert compare_paired(column(1, 2, 3), rng()).detectable == pytest.approx([2.801585 / sqrt(3)], rel=1e-6)


def test_detectable_difference_is_detected_in_four_of_five_cases():
    # 1,000 experiments of 200 users whose true difference is just that large
    sd = 1.0
    difference = 2.801585 * sd / sqrt(200)
    values = rng().normal(difference, sd, (200, 1000))
    found = compare_paired(values, rng(), resamples=400)
    assert (found.low > 0).mean() == pytest.approx(0.8, abs=0.04)


def test_detectable_difference_of_one_user_is_not_defined():
    assert np.isnan(compare_paired(column(0.3), rng()).detectable).all()


def test_wins_ties_and_losses_are_counted():
    found = compare_paired(column(0.5, 0, -0.1, 0.2, np.nan), rng())
    assert (found.wins[0], found.ties[0], found.losses[0], found.num_users[0]) == (2, 1, 1, 4)
    assert found.mean[0] == pytest.approx(0.15)


def test_one_user_is_no_evidence():
    found = compare_paired(column(0.4), rng())
    assert (found.low[0], found.high[0], found.p[0]) == (0.4, 0.4, 1)
    assert verdict(found.low[0], found.high[0], found.p[0]) is Verdict.NO_EVIDENCE


def test_all_ties_are_no_evidence():
    found = compare_paired(np.zeros((30, 1)), rng())
    assert (found.mean[0], found.low[0], found.high[0], found.p[0]) == (0, 0, 0, 1)
    assert verdict(found.low[0], found.high[0], found.p[0]) is Verdict.NO_EVIDENCE


def test_no_users_are_no_evidence():
    found = compare_paired(column(np.nan), rng())
    assert np.isnan([found.mean[0], found.low[0], found.p[0], found.effect_size[0], found.detectable[0]]).all()
    assert verdict(found.low[0], found.high[0], found.p[0]) is Verdict.NO_EVIDENCE


def test_a_clear_difference_is_better_and_its_mirror_worse():
    values = rng().normal(0.5, 1, (300, 1))
    for sign, expected in ((1, Verdict.BETTER), (-1, Verdict.WORSE)):
        found = compare_paired(sign * values, rng())
        assert verdict(found.low[0], found.high[0], found.p[0]) is expected


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.1, 0.3, 0.01, Verdict.BETTER),
        (-0.3, -0.1, 0.01, Verdict.WORSE),
        (-0.1, 0.3, 0.01, Verdict.NO_EVIDENCE),
        (0.0, 0.3, 0.01, Verdict.NO_EVIDENCE),
        (0.1, 0.3, 0.2, Verdict.NO_EVIDENCE),
        (-0.3, -0.1, 0.2, Verdict.NO_EVIDENCE),
    ],
)
def test_a_verdict_needs_the_interval_and_the_test(low, high, p, expected):
    assert verdict(low, high, p) is expected


def test_a_verdict_at_a_higher_level_needs_a_smaller_p():
    assert verdict(0.1, 0.3, 0.02, confidence=0.95) is Verdict.BETTER
    assert verdict(0.1, 0.3, 0.02, confidence=0.99) is Verdict.NO_EVIDENCE


def test_users_in_blocks_have_the_figures_of_all_at_once():
    values = rng().normal(0.1, 1, (3000, 2))
    whole, found = compare_paired(values, rng()), compare_paired(lambda: np.split(values, [7, 1500]), rng())
    for name in ("num_users", "mean", "low", "high", "p", "wins", "ties", "losses"):
        assert getattr(found, name).tolist() == getattr(whole, name).tolist()
    for name in ("effect_size", "detectable"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-12)
