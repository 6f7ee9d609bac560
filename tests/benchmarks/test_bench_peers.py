"""The peers that need no environment of their own."""

import importlib

import numpy as np
import pytest
import tiny_bench as tiny
from harness.systems import SYSTEMS
from peers.windows import windows


def train(name, data, setting):
    return list(importlib.import_module(f"peers.{name}").train(data, setting, 1, 1))


def blocks():
    """Twelve users of two tastes: even ones have had three of items 0 to 3, odd ones three of items 4 to 7."""
    rows = np.repeat(np.arange(12), 3)
    items = [4 * (u % 2) + (u // 2 + j) % 4 for u in range(12) for j in range(3)]
    return tiny.data(tiny.histories(rows, items, 12), rows=np.arange(12), num_items=8)


def missing(scores):
    """Whether each user's fourth item of the own taste is best of the items not had."""
    had = np.zeros((12, 8), bool)
    data = blocks()
    had[data.users, data.items] = True
    own = np.arange(8) // 4 == np.arange(12)[:, np.newaxis] % 2
    return [set(np.flatnonzero(own[u] & ~had[u])) == {np.where(had[u], -np.inf, scores[u]).argmax()} for u in range(12)]


def test_ease_equals_a_regression_for_each_item_alone():
    # Column j of B minimises ‖X_j − X B_j‖² + λ‖B_j‖² with B_jj = 0: ridge regression on the other items.
    rng = np.random.default_rng(5)
    x = rng.random((30, 7)) < 0.4
    rows, items = np.nonzero(x)
    data = tiny.data(tiny.histories(rows, items, 30), rows=np.arange(30), num_items=7)
    expected = np.zeros((7, 7))
    for j in range(7):
        others = np.delete(np.arange(7), j)
        a = x[:, others].astype(float)
        expected[others, j] = np.linalg.solve(a.T @ a + 2.5 * np.eye(6), a.T @ x[:, j])
    [scorer] = train("ease", data, {"regularization": 2.5})
    np.testing.assert_allclose(scorer(np.arange(30)), x @ expected, rtol=1e-4, atol=1e-6)


def test_ease_with_recency_weighs_the_query_alone():
    had = tiny.histories([0, 0, 1, 1, 2], [0, 1, 1, 2, 0], 3)
    data = tiny.data(had, rows=[0], num_items=3)
    [plain] = train("ease", data, {"regularization": 1.0})
    [recent] = train("ease", data, {"regularization": 1.0, "recency_scale": 2.0})
    alone = tiny.data(tiny.histories([0, 1], [0, 1], 2), num_items=3)
    assert alone.weights(2.0).tolist() == [1, 1]
    x = np.zeros((1, 3))
    x[0, [0, 1]] = np.exp(-1 / 2), 1
    # User 2 has item 0 alone: a row of B; user 0's plain scores less it give the row of item 1.
    row_0 = plain(np.array([2]))[0]
    row_1 = plain(np.array([0]))[0] - row_0
    np.testing.assert_allclose(recent(np.array([0]))[0], x[0, 0] * row_0 + x[0, 1] * row_1, rtol=1e-5)


def test_popularity_counts():
    [scorer] = train("popularity", tiny.data(tiny.histories([0, 1, 2], [5, 5, 2])), {})
    assert scorer(np.array([0])).tolist() == [[0, 0, 1, 0, 0, 2]]


def test_recent_popularity_counts_a_window_and_then_all_events():
    # events at seconds 1 to 4, of which the last two are within 2 s of the last one
    data = tiny.data(tiny.histories([0, 1, 2, 3], [5, 5, 2, 0]))
    [scorer] = train("popularity", data, {"window_days": 2 / 86_400})
    scores = scorer(np.array([0]))[0]
    assert np.argsort(-scores, kind="stable").tolist()[:3] == [0, 2, 5]
    assert scores[0] == scores[2] > 1 > scores[5] > scores[1] == 0


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("tfrs_tuned", {"features": True, "pairs_per_batch": 36, "learning_rate": 0.05, "epochs": 30}),
        ("tfrs_histories", {"length": 2, "pairs_per_batch": 24, "learning_rate": 0.1, "epochs": 10}),
    ],
)
def test_tfrs_learns_two_tastes(name, own):
    scorers = train(name, blocks(), {"dim": 8, "normalised": True, "dropout": 0.1, "temperature": 0.2} | own)
    assert len(scorers) == own["epochs"]
    assert all(missing(scorers[-1](np.arange(12))))


def test_a_history_is_what_comes_before_a_place_and_of_the_same_user():
    from peers.tfrs_histories import histories_before  # loads TensorFlow

    data = tiny.data(tiny.histories([0, 0, 0, 1, 1], [5, 3, 4, 2, 1], 2), num_items=6)
    found = histories_before(data, np.array([1, 2, 3, 4, 5]), np.array([0, 0, 0, 1, 1]), 2)
    assert found.tolist() == [[6, 5], [5, 3], [3, 4], [6, 2], [2, 1]]


def test_the_tutorial_scores_every_item_for_every_user():
    [scorer] = train("tfrs_tutorial", blocks(), {})
    scores = scorer(np.array([3, 0]))
    assert scores.shape == (2, 8)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_every_system_has_a_module(system):
    assert importlib.util.find_spec(system.module)


def test_every_event_but_the_first_is_once_the_target_of_a_window():
    lengths, width = [1, 2, 4, 5, 11, 23], 4
    items = np.concatenate([100 * user + np.arange(length) for user, length in enumerate(lengths)])
    data = tiny.data(tiny.histories(np.repeat(np.arange(6), lengths), items, 6), num_items=1000)
    cuts = set()
    for seed in range(5):
        found = windows(data, width, np.random.default_rng(seed))
        assert found.shape[1] == width + 1
        targets = found[:, 1:]
        expected = [100 * user + place for user, length in enumerate(lengths) for place in range(1, length)]
        assert sorted(targets[targets != 1000].tolist()) == expected
        before, known = found[:, :-1], targets != 1000
        assert (before[known] + 1 == targets[known]).all()  # what comes before a target is the event before it
        cuts.add(found.tobytes())
    assert len(cuts) > 1
