"""Parameters of our ALS as those of Spark MLlib, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.models.mf.mllib import MLlibALS, MLlibParameters
from bakeoff.models.mf.spec import MFParams


def everything_liked(num_users, num_items):
    users, items = np.divmod(np.arange(num_users * num_items), num_items)
    return Histories.from_rows(users, items, np.zeros(len(users), np.int64), num_users)


def test_frequency_scaled_regularisation_is_a_multiple_of_the_number_of_pairs():
    # λ_u = 0.1 (2 + 0.5 · 2) = 0.3 with 2 pairs, λ_i = 0.1 (4 + 0.5 · 4) = 0.6 with 4: ρ = 0.15 on both sides
    params = MFParams(unobserved_weight=0.5, regularization=0.1, regularization_exponent=1)
    found = MLlibParameters.of(everything_liked(4, 2), 2, params)
    assert found.alpha == 2
    assert found.regularization == pytest.approx(1.5 / 0.5 * 0.15)
    assert found.user_scale == found.item_scale == pytest.approx(1 / np.sqrt(1.5))


def test_plain_regularisation_shrinks_the_side_with_fewer_pairs_more():
    # λ = 0.1 everywhere: ρ_U = 0.1 / 2 = 0.05, ρ_I = 0.1 / 4 = 0.025, and ρ_U / ρ_I = 2
    params = MFParams(unobserved_weight=0.5, regularization=0.1, regularization_exponent=0)
    found = MLlibParameters.of(everything_liked(4, 2), 2, params)
    assert found.regularization == pytest.approx(3 * np.sqrt(0.05 * 0.025))
    assert found.item_scale == pytest.approx(2**0.25 / np.sqrt(1.5))
    assert found.user_scale == pytest.approx(2**-0.25 / np.sqrt(1.5))


def test_who_has_no_pair_has_no_part_in_it():
    params = MFParams(unobserved_weight=0.5, regularization=0.1, regularization_exponent=0)
    one = everything_liked(2, 2)
    with_idle = Histories(np.append(one.offsets, one.offsets[-1]), one.items, one.timestamps)
    assert MLlibParameters.of(with_idle, 3, params) == MLlibParameters.of(one, 2, params)


def test_mllib_always_weighs_unobserved_pairs():
    with pytest.raises(BakeoffError, match=r"mf\.unobserved_weight is 0, .*: set it above 0"):
        MLlibParameters.of(everything_liked(1, 1), 1, MFParams(unobserved_weight=0))


def test_weights_of_events_and_dislikes_are_refused_with_the_fix():
    weighted = replace(everything_liked(4, 2), weights=np.ones(8, np.float32))
    fix = r"takes no weights.*another mf.solver.*split\.dislike_weight to 0.*null and split again"
    with pytest.raises(BakeoffError, match=fix):
        MLlibALS(weighted, 2, MFParams(solver="mllib"), 0, None, None)
