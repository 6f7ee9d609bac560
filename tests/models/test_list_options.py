"""Debiased and diverse lists: by hand, in NumPy, and the same in TensorFlow."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.data.features.encoding import TableEncoding
from bakeoff.models.base import list_options, list_options_graph
from bakeoff.models.base.list_options import CatalogueFeatures, debiased, diverse, standard_log_popularity
from bakeoff.models.base.tensorflow import tf


def test_log_popularity_is_standardised_and_an_item_without_events_counts_as_if_it_had_one():
    # logs 0 0 2 2 in units of log 10: mean 1, deviation 1
    assert standard_log_popularity(np.array([0, 1, 100, 100])) == pytest.approx([-1, -1, 1, 1])
    assert standard_log_popularity(np.array([5, 5])).tolist() == [0, 0]


def test_a_standard_deviation_of_log_popularity_costs_beta_of_one_of_the_best_scores(monkeypatch):
    monkeypatch.setattr(list_options, "BEST", 2)
    scores = np.array([[6, 2, -50], [3, 3, 0]], np.float32)
    popularity = np.array([1, -1, 0], np.float32)
    # the best two are 6 and 2, with a deviation of 2; or 3 and 3, without one
    assert debiased(scores, popularity, 0.5).tolist() == [[5, 3, -50], [3, 3, 0]]
    assert debiased(scores, popularity, 0).tolist() == scores.tolist()


CROSS = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], np.float32)
"""Two items alike, one at a right angle to them, one between."""


def test_a_diverse_list_is_chosen_by_score_less_likeness():
    scores = np.array([10, 9, 5, 0], np.float32)  # relevance 1, .9, .5, 0
    assert diverse(scores, CROSS, 4, 0).tolist() == [0, 1, 2, 3]
    # λ = ½: after item 0, item 1 has (.9 − 1) / 2, item 2 (.5 − 0) / 2, item 3 (0 − .6) / 2; then 1: −.05, 3: −.4
    assert diverse(scores, CROSS, 4, 0.5).tolist() == [0, 2, 1, 3]
    # λ = 1: scores play no part after the first; items 1 and 3 are then 1 and .8 alike to what was chosen
    assert diverse(scores, CROSS, 4, 1).tolist() == [0, 2, 3, 1]
    assert diverse(scores, CROSS, 2, 1).tolist() == [0, 2]


def test_a_diverse_list_of_few_candidates_is_short():
    assert diverse(np.zeros(0, np.float32), np.zeros((0, 2), np.float32), 3, 0.5).tolist() == []
    assert diverse(np.ones(2, np.float32), np.zeros((2, 2), np.float32), 3, 0.5).tolist() == [0, 1]


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), k=st.integers(1, 6), diversity=st.sampled_from([0.25, 0.5, 1.0]))
def test_the_graph_chooses_as_numpy_does(seed, k, diversity):
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.standard_normal((3, 8)).astype(np.float32), axis=1)
    vectors = rng.standard_normal((3, 8, 4)).astype(np.float32)
    filled = rng.integers(0, 9, 3)
    scores[np.arange(8) >= filled[:, None]] = -np.inf
    found = np.asarray(list_options_graph.diverse(tf.constant(scores), tf.constant(vectors), k, diversity))
    for row, count in enumerate(filled):
        expected = diverse(scores[row, :count], vectors[row, :count], k, diversity)
        assert found[row, : len(expected)].tolist() == expected.tolist()
    popularity = rng.standard_normal(8).astype(np.float32)
    scores = rng.standard_normal((3, 8)).astype(np.float32)
    expected = debiased(scores, popularity, diversity)
    np.testing.assert_allclose(list_options_graph.debiased(scores, popularity, diversity), expected, atol=1e-5)


def test_kinds_are_categories_and_tags_unless_there_are_too_many(monkeypatch):
    encoding = TableEncoding(categorical={"maker": ("a", "b")}, tags={"genres": ("x", "y")}, text={"title": ("of",)})
    table = pd.DataFrame({"maker": ["a", "b", ""], "genres": ["x|y", "", None], "year": [1, 2, 3]})
    kinds = CatalogueFeatures.of(table, encoding).kinds
    assert (kinds.toarray() > 0).tolist() == [[True, False, True, True], [False, True, False, False], [False] * 4]
    # of an older model, which was stored without them
    assert CatalogueFeatures.of(table[["year"]], encoding).kinds is None
    assert CatalogueFeatures.of(table[["maker"]], encoding).kinds.shape == (3, 2)
    monkeypatch.setattr(list_options, "MOST_KINDS", 3)
    assert CatalogueFeatures.of(table, encoding).kinds is None
