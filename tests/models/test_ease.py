"""EASE against its formula in plain NumPy, and what it makes of histories."""

from dataclasses import replace

import numpy as np
import pytest
import town
from small import histories, queries, random_rows

from bakeoff.core.errors import BakeoffError
from bakeoff.models.ease import ease
from bakeoff.models.ease.spec import EASEParams

NUM_ITEMS = 15
PLAIN = EASEParams(regularization=3, recency_scale=None)
WEIGHTED = EASEParams(regularization=3, recency_scale=2)


@pytest.fixture
def rows():
    return random_rows(np.random.default_rng(3), 12, NUM_ITEMS, 7)


def multi_hot(rows, num_items=NUM_ITEMS):
    result = np.zeros((len(rows), num_items))
    for user, row in enumerate(rows):
        result[user, row] = 1
    return result


def reference(rows, regularization, num_items=NUM_ITEMS):
    """B of Steck (2019), eq. 8, as it is written there."""
    x = multi_hot(rows, num_items)
    p = np.linalg.inv(x.T @ x + regularization * np.eye(num_items))
    return np.eye(num_items) - p / np.diag(p)


def asked(retriever, rows, **of_queries):
    return retriever.embed_queries(queries(rows, **of_queries))


def test_item_embeddings_are_the_columns_of_the_closed_form(rows):
    retriever = ease.fit(histories(rows), NUM_ITEMS, PLAIN)
    assert retriever.item_embeddings == pytest.approx(reference(rows, 3).T, abs=1e-6)


def test_two_items_by_hand():
    # Both users have item 0, one of them item 1, λ = 1: XᵀX + λI = [[3, 1], [1, 2]], of determinant 5,
    # P = [[2, -1], [-1, 3]] / 5, B₀₁ = −P₀₁ / P₁₁ = 1/3, B₁₀ = −P₁₀ / P₀₀ = 1/2.
    retriever = ease.fit(histories([[0], [0, 1]]), 2, EASEParams(regularization=1))
    assert retriever.item_embeddings.tolist() == [[0, 0.5], [pytest.approx(1 / 3), 0]]


def test_an_item_says_nothing_about_itself(rows):
    weights = ease.fit(histories(rows), NUM_ITEMS, PLAIN).item_embeddings
    assert np.diag(weights).tolist() == [0] * NUM_ITEMS


@pytest.mark.parametrize("num_items", [1, 3, 4, 5, 9])
def test_working_in_blocks_changes_nothing(num_items, monkeypatch):
    monkeypatch.setattr(ease, "_ITEMS_PER_BLOCK", 4)
    rows = random_rows(np.random.default_rng(1), 20, num_items, num_items)
    weights = ease.fit(histories(rows), num_items, PLAIN).item_embeddings
    assert weights == pytest.approx(reference(rows, 3, num_items).T, abs=1e-6)


def test_without_a_scale_every_item_of_a_history_weighs_one(rows):
    retriever = ease.fit(histories(rows), NUM_ITEMS, PLAIN)
    assert asked(retriever, [[5, 1, 3], [2]]).tolist() == multi_hot([[5, 1, 3], [2]]).tolist()


def test_with_a_scale_the_item_at_lag_l_weighs_exp_of_minus_l_over_tau(rows):
    query = asked(ease.fit(histories(rows), NUM_ITEMS, WEIGHTED), [[5, 1, 3], [2]])  # of different lengths, padded
    expected = np.zeros((2, NUM_ITEMS))
    expected[0, [5, 1, 3]] = np.exp([-2 / 2, -1 / 2, 0])
    expected[1, 2] = 1
    assert query == pytest.approx(expected, abs=1e-6)


def test_recency_is_of_queries_and_leaves_training_alone(rows):
    plain, weighted = (ease.fit(histories(rows), NUM_ITEMS, params) for params in (PLAIN, WEIGHTED))
    assert plain.item_embeddings.tolist() == weighted.item_embeddings.tolist()


def test_an_item_that_a_query_repeats_weighs_what_its_last_event_weighs(rows):
    query = asked(ease.fit(histories(rows), NUM_ITEMS, WEIGHTED), [[4, 0, 4, 6]])[0]
    assert query[[4, 0, 6]] == pytest.approx(np.exp([-1 / 2, -2 / 2, 0]), abs=1e-6)
    assert query.sum() == pytest.approx(np.exp([-1 / 2, -2 / 2, 0]).sum(), abs=1e-6)


def test_an_item_that_a_user_repeats_counts_once_in_training():
    once, often = (ease.fit(histories(rows), 4, PLAIN) for rows in ([[3, 1], [2, 0]], [[3, 1, 3, 3], [2, 2, 0]]))
    assert often.item_embeddings.tolist() == once.item_embeddings.tolist()


def test_training_leaves_the_histories_as_they_were(rows):
    events = histories([[9, 3, 9, 1], *rows])
    before = events.items.copy()
    ease.fit(events, NUM_ITEMS, PLAIN)
    assert events.items.tolist() == before.tolist()


def test_someone_without_history_is_the_mean_of_all_histories_and_is_said_to_be():
    retriever = ease.fit(histories([[0, 1], [1, 1], [1, 2], [0]]), 4, WEIGHTED)
    assert asked(retriever, [[], [3]]).tolist() == [[0.5, 0.75, 0.25, 0], [0, 0, 0, 1]]
    assert retriever.uses_fallback(queries([[], [3]])).tolist() == [True, False]
    assert "mean of all training histories" in retriever.fallback


def test_an_item_without_events_scores_zero(rows):
    rows = [[item for item in row if item != 7] for row in rows]
    weights = ease.fit(histories(rows), NUM_ITEMS, PLAIN).item_embeddings
    assert weights[7] == pytest.approx(0, abs=1e-12)


def test_training_on_windows_explains_items_by_those_taken_near_them():
    params = PLAIN.model_copy(update={"window": 2})
    retriever = ease.fit(histories([[0, 1, 2, 3], [0, 1]]), 4, params)
    assert retriever.item_embeddings == pytest.approx(reference([[0, 1], [2, 3], [0, 1]], 3, 4).T, abs=1e-6)
    assert asked(retriever, [[]]).tolist() == [[1, 1, 0.5, 0.5]]  # the mean of users, not of windows


@pytest.mark.parametrize(
    ("first", "step", "scale", "window"),
    [(0, 0, None, None), (1_600_000_000, 0, None, None), (1_600_000_000, 1, 2.0, 2)],
)
def test_order_plays_no_part_where_events_have_no_time_or_all_the_same(rows, first, step, scale, window):
    events = histories(rows)
    events = replace(events, timestamps=first + step * events.position)
    retriever = ease.fit(events, NUM_ITEMS, WEIGHTED.model_copy(update={"window": 2}))
    assert retriever.recency_scale == scale
    expected = ease.fit(events.windows(window), NUM_ITEMS, WEIGHTED).item_embeddings
    assert retriever.item_embeddings.tolist() == expected.tolist()


def test_a_regularisation_that_leaves_the_equations_singular_is_refused():
    twins = histories([[0, 1], [0, 1]])  # items that always come together: XᵀX is singular
    with pytest.raises(BakeoffError, match=r"ease\.regularization 1e-300 is too small.*Raise it"):
        ease.fit(twins, 2, EASEParams(regularization=1e-300))


def test_order_helps_where_visits_have_a_theme():
    world, truth = town.town()
    scores = {
        scale: town.ndcg_at_10(
            ease.fit(world.people.histories, world.num_items, EASEParams(regularization=50, recency_scale=scale)),
            world,
            truth,
        )
        for scale in (None, 3)
    }
    assert scores[3] > 1.05 * scores[None] > 0.2
