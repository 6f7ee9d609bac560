from itertools import pairwise
from math import fsum, isnan, nan

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.evaluation.metrics import table as measures
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
