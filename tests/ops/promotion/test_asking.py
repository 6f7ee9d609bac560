"""An exported model of another vocabulary, ranked in terms of the current one."""

import numpy as np
import pandas as pd

from bakeoff.core.histories import PAD, Histories, Queries
from bakeoff.data.features.encoding import FeatureEncoding, Scale, TableEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.evaluation.ranking.protocol import EvalSet
from bakeoff.experiments.latency import LoadedExport, calls_by_history
from bakeoff.models.base.loading import raw_features
from bakeoff.models.base.storage import KnownUsers
from bakeoff.ops.promotion.comparison import ExportedModel, knows_answers

FEATURES = TableEncoding(
    dense={"age": Scale(mean=30, std=10), "gone": Scale(mean=0, std=1)}, categorical={"job": ("baker", "cook")}
)
SPLIT_USERS = pd.DataFrame({"user_id": ["u1", "u2", "u3", "u4"], "age": [np.nan, 40.0, 40.0, 40.0]}).assign(
    job=[None, "cook", "cook", "cook"]
)


def histories(*rows: list[int]) -> Histories:
    lengths = [len(row) for row in rows]
    items = np.array([item for row in rows for item in row], np.int32)
    return Histories.from_rows(np.repeat(np.arange(len(rows)), lengths), items, np.arange(len(items)), len(rows))


class Old:
    """Knows `a`, `b` and `old`, and recommends them in this order; remembers what it is asked."""

    def __init__(self, scores=(3.0, 2.0, 1.0)):
        self.item_embeddings = np.array(scores, np.float32)[:, np.newaxis]
        self.asked = []

    def embed_queries(self, history, timestamps, dense, categorical):
        self.asked.append((history.tolist(), timestamps.tolist(), dense.tolist(), categorical.tolist()))
        return np.ones((len(history), 1), np.float32)

    def recommend_for_histories(self, history, timestamps, dense, categorical, k):
        self.asked.append((history.tolist(), timestamps.tolist(), dense.tolist(), categorical.tolist()))


def question(*given: list[int], truth: Histories | None = None) -> EvalSet:
    nothing = histories(*([[]] * len(given)))
    queries = Queries(histories(*given), np.zeros((len(given), 0), np.float32), np.zeros((len(given), 0), np.int32))
    return EvalSet(np.arange(len(given)), queries, queries.histories, truth or nothing, queries.histories)


def prepared() -> Prepared:
    items = pd.DataFrame({"item_id": ["new", "b", "a"]})
    nothing = histories([], [], [], [])
    return Prepared.encoded(SPLIT_USERS, items, FeatureEncoding(), nothing, nothing)


def exported(module: Old) -> ExportedModel:
    nothing = np.zeros((2, 0))
    users = KnownUsers({"u1": 0, "u2": 1}, Queries(histories([0, 2], [1]), nothing, nothing))
    return ExportedModel(LoadedExport(module, 0, FEATURES), ["a", "b", "old"], users, prepared())


def test_lists_are_told_in_current_items_and_what_is_gone_keeps_its_place():
    found = exported(Old()).lists(question([], [1], [2, 0]), 4, 10)
    a, b = 2, 1
    assert found.items.tolist() == [[a, b, PAD, PAD], [a, PAD, PAD, PAD], [b, PAD, PAD, PAD]]
    assert found.scores[0].tolist() == [3, 2, 1, -np.inf]  # the third is an item that nobody can have any more


def test_a_model_is_asked_about_histories_of_its_own_items_and_answers_in_order():
    old = Old()
    found = exported(old).lists(question([2, 1], [], [2], [0, 1, 2]), 4, 2)
    own_a, own_b = 0, 1
    asked = [history for block in old.asked for history in block[0]]
    assert asked == [[PAD, PAD], [own_a, own_b], [own_a, PAD], [own_b, own_a]]  # two blocks, the shorter one first
    assert found.items[:, 0].tolist() == [PAD, 2, 1, PAD]


def test_each_model_gets_its_own_features_in_its_own_order():
    old = Old()
    exported(old).lists(question([2], [2]), 4, 10)
    [(_, timestamps, dense, categorical)] = old.asked
    assert timestamps == [[0], [1]]
    assert dense == [[0, 0], [1, 0]]  # (40 − 30) / 10; a column that is gone is unknown
    assert categorical == [[0], [2]]


def test_calls_by_history_bring_raw_features_and_ask_about_one_person_each():
    old = Old()
    models = {"old": LoadedExport(old, 0, FEATURES)}
    for call in calls_by_history(models, prepared(), np.array([0, 1]), histories([2], [1, 2]))["old"][:2]:
        call()
    assert [history for history, *_ in old.asked] == [[["a"]], [["b", "a"]]]
    assert str([dense for _, _, dense, _ in old.asked]) == "[[[nan, nan]], [[40.0, nan]]]"
    assert [text for *_, text in old.asked] == [[[""]], [["cook"]]]


def test_a_model_without_features_is_given_none():
    dense, text = raw_features(TableEncoding(), pd.DataFrame({"user_id": ["u"]}))
    assert (dense.shape, text.shape) == ((1, 0), (1, 0))


def test_equal_scores_put_the_truth_last():
    found = exported(Old(scores=(1, 1, 1))).lists(question([], truth=histories([2])), 4, 10)
    assert found.items.tolist() == [[1, PAD, 2, PAD]]  # b, then what is gone, then the truth, a


def test_what_a_model_was_trained_on_is_told_in_current_items():
    known = exported(Old()).known(np.arange(3))
    assert (known.rows.tolist(), known.items.tolist()) == ([0, 1], [2, 1])


def test_an_answer_that_was_trained_on_leaves_its_user_out():
    known, given = histories([1, 2], [1], [5]), histories([1], [], [])
    assert knows_answers(known, given, truth=histories([2], [3], [5, 6])).tolist() == [True, False, True]


def test_an_item_that_is_told_anyway_is_no_secret():
    assert knows_answers(histories([4]), given=histories([4]), truth=histories([4])).tolist() == [False]


def test_a_model_that_knows_nobody_knows_no_answers():
    nobody = histories([], [])
    assert knows_answers(nobody, histories([1], [2]), histories([2], [3])).tolist() == [False, False]
