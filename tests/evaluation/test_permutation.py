from itertools import product

import numpy as np
import pytest

from bakeoff.evaluation.stats.significance import holm, sign_flip_p


def rng():
    return np.random.default_rng(3)


def column(*values):
    return np.asarray(values, np.float64)[:, None]


def enumerated(differences):
    """Two-sided p over all sign patterns, by definition."""
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product([-1, 1], repeat=len(differences))
    ]
    return sum(s >= observed - 1e-9 for s in sums) / len(sums)


def test_three_users_who_agree_have_p_one_quarter():
    # of 8 patterns only +++ and −−− are as extreme
    assert sign_flip_p(column(1, 2, 3), rng()) == pytest.approx([2 / 8])


def test_few_users_are_enumerated_exactly():
    values = rng().normal(0.4, 1, 10)
    assert sign_flip_p(column(*values), rng()) == pytest.approx([enumerated(values)])


def test_sums_that_differ_by_rounding_alone_count_as_equal():
    # Of ±5 ±1 ±6 ±3 only 6 + 1 − 5 − 3 and its mirror are nearer to 0 than 5 + 1 − 6 + 3 = 3; several are 3.
    # In tenths, which binary numbers can't hold, some of those come out below 0.3.
    assert sign_flip_p(column(0.5, 0.1, -0.6, 0.3), rng()) == [14 / 16]


def test_random_patterns_agree_with_enumeration():
    values = rng().normal(0.5, 1, 12)
    # 4,000 patterns < 2^12 are drawn at random: standard error of p at most 0.008
    assert sign_flip_p(column(*values), rng(), resamples=4000) == pytest.approx([enumerated(values)], abs=0.03)


def test_p_is_never_zero():
    assert sign_flip_p(column(*np.ones(200)), rng(), resamples=999) == pytest.approx([1 / 1000])


def test_p_of_models_that_are_alike_is_uniform():
    # 2,000 comparisons of 100 users: 5 % ± 1 % (two standard errors) fall below 0.05
    p = sign_flip_p(rng().normal(size=(100, 2000)), rng(), resamples=500)
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.011)
    assert p.mean() == pytest.approx(0.5, abs=0.03)


def test_all_ties_have_p_one():
    assert sign_flip_p(np.zeros((5, 1)), rng()) == [1]
    assert sign_flip_p(np.zeros((500, 1)), rng()) == [1]


def test_one_user_has_p_one():
    assert sign_flip_p(column(0.7), rng()) == [1]


def test_users_without_a_difference_are_left_out_column_by_column():
    values = np.array([[1.0, 1.0], [2.0, np.nan], [3.0, 3.0]])
    # three users: 2/8; two users: 2/4
    assert sign_flip_p(values, rng()) == pytest.approx([0.25, 0.5])


def test_no_users_have_no_p():
    assert np.isnan(sign_flip_p(column(np.nan, np.nan), rng())).all()


def test_same_seed_same_p():
    values = rng().normal(0.1, 1, (3000, 2))
    assert sign_flip_p(values, rng()).tolist() == sign_flip_p(values, rng()).tolist()


def test_holm_by_hand():
    # sorted .01 .02 .04 → 3·.01 = .03, 2·.02 = .04, 1·.04 = .04
    assert holm(np.array([0.04, 0.01, 0.02])) == pytest.approx([0.04, 0.03, 0.04])


def test_holm_never_lets_a_larger_p_overtake_a_smaller_one():
    # 2·.03 = .06, then 1·.04 = .04 is raised to .06
    assert holm(np.array([0.03, 0.04])) == pytest.approx([0.06, 0.06])


def test_holm_ends_at_one():
    assert holm(np.array([0.6, 0.9])) == pytest.approx([1, 1])


def test_holm_does_not_count_what_was_not_tested():
    assert holm(np.array([np.nan, 0.01, 0.5])) == pytest.approx([np.nan, 0.02, 0.5], nan_ok=True)


def test_holm_of_nothing_is_nothing():
    assert len(holm(np.array([]))) == 0


def test_many_users_are_flipped_block_by_block_as_few_are():
    # 9,000 users are three blocks. √n · mean / sd = 2 has the two-sided p of the normal distribution, 0.0455,
    # which 4,000 patterns tell to ± 0.0033
    values = rng().normal(size=9000)
    values += 2 * values.std() / np.sqrt(9000) - values.mean()
    assert sign_flip_p(column(*values), rng(), resamples=4000) == pytest.approx([0.0455], abs=0.01)


def test_users_in_blocks_have_the_p_values_of_all_at_once():
    differences = np.random.default_rng(3).normal(0.02, 1, (5_000, 3))
    whole = sign_flip_p(differences, np.random.default_rng(4), 2_000)
    found = sign_flip_p(lambda: np.split(differences, [7, 4_500]), np.random.default_rng(4), 2_000)
    assert found.tolist() == whole.tolist()
    assert (found < 1).all()
