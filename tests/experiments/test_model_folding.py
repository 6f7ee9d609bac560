import numpy as np
import pytest

from bakeoff.core.histories import Histories, Queries
from bakeoff.evaluation.metrics.table import means
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.experiments import folding
from bakeoff.experiments.folding import Calibration, Relatedness
from bakeoff.experiments.folding import model_folding as of_users

NUM_USERS, NUM_ITEMS = 30, 40
USER_GROUPS, ITEM_GROUPS = np.arange(NUM_USERS) % 2, np.arange(NUM_ITEMS) % 2
ONE_HOT = np.eye(2, dtype=np.float32)
RELATED = Relatedness(ONE_HOT[USER_GROUPS], ONE_HOT[ITEM_GROUPS], Calibration(np.array([0.0, 1.0]), np.array([0.0, 1])))
"""1 within the group, 0 across."""
ROWS = np.arange(NUM_USERS)


class Table:
    """A retriever that knows who asks by the one dense feature, the user's number."""

    def __init__(self, users, items):
        self._users, self.item_embeddings = np.asarray(users, np.float32), np.asarray(items, np.float32)

    def embed_queries(self, queries):
        return self._users[queries.dense[:, 0].astype(int)]

    def uses_fallback(self, queries):
        return np.zeros(len(queries), bool)


def asked(histories_per_user=5):
    """Users with the first items of their own group."""
    seen = 2 * np.arange(histories_per_user) + USER_GROUPS[:, np.newaxis]
    rows = np.repeat(ROWS, histories_per_user)
    histories = Histories.from_rows(rows, seen.ravel(), np.zeros(seen.size, np.int64), NUM_USERS)
    return Queries(histories, ROWS[:, np.newaxis].astype(np.float32), np.zeros((NUM_USERS, 0), np.int32))


def model_folding(model, queries, rows=ROWS, **options):
    seen = queries.histories
    return means(of_users(model, EvalSet(rows, queries, seen, seen.first(0), seen), RELATED, **options))


def test_a_model_that_scores_by_group_does_not_fold():
    model = Table(ONE_HOT[USER_GROUPS], ONE_HOT[ITEM_GROUPS])
    assert model_folding(model, asked()) == {"folding": 0, "spurious@10": 0}


def test_a_model_that_scores_everything_alike_folds_by_half_of_what_is_foreign():
    # Every score is worth 1/2, and half of the items have relatedness 0: 1/2 · 1/2.
    model = Table(np.ones((NUM_USERS, 1)), np.ones((NUM_ITEMS, 1)))
    assert model_folding(model, asked())["folding"] == pytest.approx(0.25)


def test_a_model_that_recommends_the_other_group_is_spurious_throughout():
    model = Table(ONE_HOT[1 - USER_GROUPS], ONE_HOT[ITEM_GROUPS])
    assert model_folding(model, asked())["spurious@10"] == 1


def test_seen_items_are_left_out_of_lists():
    # All 20 items of the own group were seen, so that the best model has but foreign ones to offer.
    model = Table(ONE_HOT[USER_GROUPS], ONE_HOT[ITEM_GROUPS])
    assert model_folding(model, asked(20))["spurious@10"] == 1


def test_rows_say_whose_relatedness_is_meant():
    model = Table(ONE_HOT[USER_GROUPS], ONE_HOT[ITEM_GROUPS])
    assert model_folding(model, asked(), ROWS[::-1])["spurious@10"] == 1


@pytest.fixture
def noisy():
    rng = np.random.default_rng(8)
    return Table(rng.normal(size=(NUM_USERS, 4)), rng.normal(size=(NUM_ITEMS, 4)))


def test_a_sample_of_users_is_that_of_its_seed(noisy):
    def found(seed):
        return model_folding(noisy, asked(), num_users=10, seed=seed)

    assert found(1) == found(1)
    assert found(1) != found(2)


def test_figures_do_not_depend_on_the_size_of_blocks(noisy, monkeypatch):
    whole = model_folding(noisy, asked())
    monkeypatch.setattr(folding, "SCORES_PER_BLOCK", 1)
    assert model_folding(noisy, asked()) == pytest.approx(whole)


def test_nothing_is_said_where_nobody_is_asked(noisy):
    figures = model_folding(noisy, asked().take(ROWS[:0]), ROWS[:0])
    assert np.isnan(list(figures.values())).all()


def test_users_without_history_leave_nothing_to_calibrate_on(noisy):
    assert np.isnan(model_folding(noisy, asked(0))["folding"])
