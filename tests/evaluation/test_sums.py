from math import fsum, inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.evaluation.metrics.table import ExactSum

VALUES = st.lists(st.floats(-1e270, 1e270) | st.floats(0, 1) | st.sampled_from([5e-324, -0.0, 1 / 3]), max_size=30)


def summed(*portions):
    found = ExactSum()
    for portion in portions:
        found.add(np.array(portion, np.float64))
    return found


@given(portions=st.lists(VALUES, max_size=5))
def test_the_sum_is_that_of_all_values_at_once_however_they_come(portions):
    values = [value for portion in portions for value in portion]
    found = summed(*portions)
    assert found.value == summed(*reversed(portions)).value == fsum(values)
    assert found.count == len(values)


def test_many_values_add_up_to_the_last_bit():
    values = np.random.default_rng(0).random(1 << 17)
    expected = fsum(values.tolist())
    assert summed(values).value == summed(*np.array_split(values, 7)).value == expected
    # The test would show nothing if plain sums of portions did as well.
    assert len({sum(part.sum() for part in np.array_split(values, count)) for count in range(1, 9)}) > 1


def test_what_cancels_leaves_what_is_small():
    assert summed([1e200, 1.0], [-1e200, 2**-70]).value == 1 + 2**-70
    assert summed([1e200, 2**-70], [-1e200]).value == 2**-70


def test_the_mean_is_the_sum_by_the_number_of_values():
    assert summed([0.1, 0.2], [0.3]).mean == fsum([0.1, 0.2, 0.3]) / 3
    assert isnan(summed([], []).mean)


@pytest.mark.parametrize("value", [nan, inf, -inf, 2.0**900])
def test_what_can_not_be_summed_is_refused(value):
    with pytest.raises(ValueError, match="can't be summed"):
        summed([1.0, value])
