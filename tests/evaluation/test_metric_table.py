from itertools import pairwise
from math import fsum, inf, isnan, nan

import contrarian
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.core.workspace import Workspace
from bakeoff.evaluation.metrics import table as measures
from bakeoff.evaluation.metrics.table import ExactSum, Metric, MetricSet
from bakeoff.evaluation.ranking import TopLists

CUTS = st.lists(st.integers(0, 40), max_size=4).map(sorted)


def users(seed):
    """Lists of 40 users and their popularity, which some of them lack."""
    rng = np.random.default_rng(seed)
    lists = np.argsort(rng.random((40, 9)), axis=1)[:, :3].astype(np.int32)
    names = (measures.HISTORY_POPULARITY, "arp@2", "arp@3")
    per_user = {name: np.where(rng.random(40) < 0.2, np.nan, rng.random(40) * 100) for name in names}
    return TopLists(lists, np.zeros(lists.shape, np.float32)), per_user


def portions(cuts):
    """Slices of 40 users, some of them empty."""
    edges = [0, *cuts, 40]
    return [slice(*edge) for edge in pairwise(edges)]


@given(seed=st.integers(0, 9), cuts=CUTS)
def test_means_are_the_same_in_however_many_portions_users_come(seed, cuts):
    per_user = users(seed)[1]
    together = measures.Means()
    for part in portions(cuts):
        together.add({name: values[part] for name, values in per_user.items()})
    defined = {name: values[~np.isnan(values)].tolist() for name, values in per_user.items()}
    assert together.figures() == {name: fsum(values) / len(values) for name, values in defined.items()}
    assert together.figures() == measures.means(per_user)


@given(seed=st.integers(0, 9), cuts=CUTS)
def test_figures_of_all_lists_are_the_same_in_however_many_portions_they_come(seed, cuts):
    lists, per_user = users(seed)
    together = measures.AllLists(9, (2, 3))
    for part in portions(cuts):
        some = TopLists(lists.items[part], lists.scores[part])
        together.add(some, {name: values[part] for name, values in per_user.items()})
    assert together.figures() == measures.of_all_lists(lists, per_user, 9, (2, 3))


def test_a_metric_that_is_defined_for_nobody_has_no_mean():
    found = measures.means({"a": np.array([nan, 1.0]), "b": np.array([nan, nan]), "c": np.array([])})
    assert found["a"] == 1
    assert isnan(found["b"])
    assert isnan(found["c"])
    assert measures.or_none(found) == {"a": 1, "b": None, "c": None}


def test_a_metric_of_users_is_one_entry_of_the_table(tmp_path, monkeypatch):
    # precision: of the lists 60 50 40 and 50 40 30 one item each is a hit, of three
    precision = Metric(
        "precision", "Precision", MetricSet.ACCURACY, lambda relevant, _, k: relevant[:, :k].mean(axis=1)
    )
    monkeypatch.setattr(measures, "METRICS", (*measures.METRICS, precision))
    workspace = Workspace(tmp_path)
    contrarian.write_split(workspace)
    contrarian.run(workspace)
    assert contrarian.table(workspace, "users")["precision@3"].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert contrarian.metrics(workspace)["test"]["precision@3"] == pytest.approx(1 / 3)


def test_a_metric_of_all_lists_is_one_entry_of_the_table(monkeypatch):
    largest = Metric("largest", "Largest", MetricSet.ALL_LISTS, lambda totals: float(totals.slots.max()))
    monkeypatch.setattr(measures, "METRICS", (*measures.METRICS, largest))
    lists, per_user = users(1)
    slots = np.bincount(lists.items[:, :2].ravel())
    assert measures.of_all_lists(lists, per_user, 9, [2])["largest@2"] == slots.max()


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


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_can_not_be_summed_is_refused(value):
    with pytest.raises(ValueError, match="can't be summed"):
        summed([1.0, value])
