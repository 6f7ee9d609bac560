import numpy as np
import pytest

from bakeoff.experiments.growth import fit_exponent

SIZES = [1_000, 2_000, 4_000, 8_000]


@pytest.mark.parametrize("exponent", [-0.5, 0, 1, 1.7])
def test_a_power_law_gets_its_exponent_and_no_doubt(exponent):
    costs = [3e-6 * size**exponent for size in SIZES]
    found = fit_exponent(SIZES, costs)
    assert found == pytest.approx(dict.fromkeys(("exponent", "low", "high"), exponent), abs=1e-9)


def test_the_interval_by_hand():
    # log₂ sizes 0 1 2 3, log₂ costs 0 1 3 3: slope Σ(x − 1.5)(y − 1.75) / 5 = 5.5 / 5 = 1.1; fitted values
    # 0.1 1.2 2.3 3.4 leave residuals −0.1 −0.2 0.7 −0.4, squares 0.7; its error is √(0.7 / 2 / 5) = 0.26458 and
    # t(0.975, 2 degrees) 4.30265
    found = fit_exponent([1, 2, 4, 8], [1, 2, 8, 8])
    assert found["exponent"] == pytest.approx(1.1)
    assert found["high"] - found["exponent"] == pytest.approx(4.30265 * 0.26458, rel=1e-4)
    assert found["exponent"] - found["low"] == pytest.approx(4.30265 * 0.26458, rel=1e-4)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    fits = [fit_exponent(SIZES, size_costs) for size_costs in np.exp(np.log(SIZES) + rng.normal(0, 0.1, (2000, 4)))]
    # 95 % ± 1 % (two standard errors)
    assert np.mean([fit["low"] <= 1 <= fit["high"] for fit in fits]) == pytest.approx(0.95, abs=0.011)


def test_two_sizes_have_no_exponent():
    assert fit_exponent([1, 2], [1, 2]) is None
    assert fit_exponent([1, 2, 2], [1, 2, 2]) is None


def test_a_cost_of_nothing_has_no_exponent():
    assert fit_exponent([1, 2, 4], [0, 1, 2]) is None
