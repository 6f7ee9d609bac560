import numpy as np
import pytest

from bakeoff.data.engine.engine import value_at
from bakeoff.data.split.methods import is_at_least


@pytest.fixture
def rows(as_table):
    rng = np.random.default_rng(1)
    columns = {"hour": rng.integers(-3, 9, 400), "second": rng.integers(0, 4, 400), "name": rng.permutation(400)}
    return as_table({name: values.tolist() for name, values in columns.items()})


def test_what_stands_at_a_place_is_found_without_sorting_the_rest(rows):
    in_order = sorted(tuple(row.values()) for row in rows.to_pyarrow().to_pylist())
    by = {name: rows[name] for name in ("hour", "second", "name")}
    places = [0, 1, 57, 57, 398, 399]
    assert value_at(rows, rows.hour, by, places) == [in_order[place] for place in places]


@pytest.mark.parametrize("bound", [(0, 0, 0), (2, 1, 150), (-4, 9, 9), (9, 0, 0)])
def test_rows_before_and_behind_a_bound_are_told_by_the_first_value_that_differs(rows, bound):
    values = [rows.hour, rows.second, rows.name]
    told = rows.mutate(least=is_at_least(values, bound), most=is_at_least(bound, values)).to_pyarrow().to_pylist()
    for hour, second, name, least, most in (row.values() for row in told):
        assert (least, most) == ((hour, second, name) >= bound, (hour, second, name) <= bound)
