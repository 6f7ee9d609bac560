"""An exported model of another vocabulary, asked in terms of the current one."""

import numpy as np
import pandas as pd

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.data.features.encoding import FeatureEncoding, Scale, TableEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.protocol import EvalSet
from bakeoff.evaluation.ranking import TopLists
from bakeoff.models.base.loading import raw_features
from bakeoff.ops.promotion.comparison import knows_answers
from bakeoff.ops.promotion.served_answers import ExportedModel, pessimistic

FEATURES = TableEncoding(dense={"age": Scale(mean=30, std=10), "gone": Scale(mean=0, std=1)}, categorical={"job": ()})


def histories(*rows: list[int]) -> Histories:
    lengths = [len(row) for row in rows]
    items = np.array([item for row in rows for item in row], np.int32)
    return Histories.from_rows(np.repeat(np.arange(len(rows)), lengths), items, np.arange(len(items)), len(rows))


class Old:
    """Knows `a`, `b` and `old`, and recommends them in this order; remembers what it is asked."""

    item_embeddings = np.zeros((3, 1))

    def __init__(self):
        self.asked = []

    def recommend_for_histories(self, history, timestamps, dense, categorical, k):
        self.asked.append((history.tolist(), timestamps.tolist(), dense.tolist(), categorical.tolist()))
        seen = [[item for item in ("a", "b", "old") if item not in row] for row in history.tolist()]
        rows = [(row + [""] * 3)[: min(k, 3)] for row in seen]
        scores = [[-np.inf if item == "" else 3.0 - place for place, item in enumerate(row)] for row in rows]
        return {"item_ids": np.array(rows, np.bytes_).astype(object), "scores": np.array(scores, np.float32)}

    def known_history(self, user_ids):
        known = {"u1": ["a", "old"], "u2": ["b", ""]}
        return {"item_ids": np.array([known.get(u, ["", ""]) for u in user_ids.tolist()], np.bytes_).astype(object)}


def question(*given: list[int]) -> EvalSet:
    nothing = histories(*([[]] * len(given)))
    queries = Queries(histories(*given), np.zeros((len(given), 0), np.float32), np.zeros((len(given), 0), np.int32))
    return EvalSet(np.arange(len(given)), queries, queries.histories, nothing)


def exported(module: Old, users_per_block: int = 10) -> ExportedModel:
    users = pd.DataFrame({"user_id": ["u1", "u2", "u3", "u4"], "age": 40.0, "job": "cook"})
    users.loc[0, ["age", "job"]] = [np.nan, None]
    items = pd.DataFrame({"item_id": ["new", "b", "a"]})
    nothing = histories([], [], [], [])
    prepared = Prepared.encoded(users, items, FeatureEncoding(), nothing, nothing)
    return ExportedModel(module, FEATURES, prepared, users_per_block)


def test_lists_are_told_in_current_items_and_what_is_gone_keeps_its_place():
    found = exported(Old()).lists(question([], [1], [2, 0]), 4)
    a, b = 2, 1
    assert found.items.tolist() == [[a, b, PAD, PAD], [a, PAD, PAD, PAD], [b, PAD, PAD, PAD]]
    assert found.scores[0].tolist() == [3, 2, 1, -np.inf]  # the third is an item that nobody can have any more


def test_users_are_asked_about_in_blocks_of_like_histories_and_answered_in_order():
    old = Old()
    found = exported(old, users_per_block=2).lists(question([2, 1], [], [2], [0, 1, 2]), 4)
    assert [history for history, *_ in old.asked] == [[[""], ["a"]], [["a", "b", ""], ["new", "b", "a"]]]
    assert found.items[:, 0].tolist() == [PAD, 2, 1, PAD]


def test_each_model_gets_its_own_features_in_its_own_order():
    old = Old()
    exported(old).lists(question([2], [2]), 4)
    [(_, timestamps, dense, text)] = old.asked
    assert timestamps == [[0], [1]]
    assert str(dense) == "[[nan, nan], [40.0, nan]]"  # a column that is gone is unknown
    assert text == [[""], ["cook"]]


def test_a_model_without_features_is_given_none():
    dense, text = raw_features(TableEncoding(), pd.DataFrame({"user_id": ["u"]}))
    assert (dense.shape, text.shape) == ((1, 0), (1, 0))


def test_single_calls_ask_about_one_person_each():
    old = Old()
    for call in exported(old).single_calls(question([2], [1, 2]), np.array([0, 1]), 2):
        call()
    assert [history for history, *_ in old.asked] == [[["a"]], [["b", "a"]]]


def test_equal_scores_put_the_truth_last():
    lists = TopLists(np.array([[4, 2, 7, PAD]], np.int32), np.array([[1, 1, 1, -np.inf]], np.float32))
    assert pessimistic(lists, histories([2])).items.tolist() == [[4, 7, 2, PAD]]


def test_what_a_model_was_trained_on_is_told_in_current_items():
    known = exported(Old()).known(question([], [], []))
    assert (known.rows.tolist(), known.items.tolist()) == ([0, 1], [2, 1])


def test_an_answer_that_was_trained_on_leaves_its_user_out():
    known, given = histories([1, 2], [1], [5]), histories([1], [], [])
    assert knows_answers(known, given, truth=histories([2], [3], [5, 6])).tolist() == [True, False, True]


def test_an_item_that_is_told_anyway_is_no_secret():
    assert knows_answers(histories([4]), given=histories([4]), truth=histories([4])).tolist() == [False]


def test_a_model_that_knows_nobody_knows_no_answers():
    nobody = histories([], [])
    assert knows_answers(nobody, histories([1], [2]), histories([2], [3])).tolist() == [False, False]
