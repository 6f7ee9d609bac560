"""What stands beside the ranking of the whole catalogue: sampled candidates, bad input."""

import weakref
from dataclasses import dataclass, field
from math import fsum, log2

import numpy as np
import pytest
from contrarian import PARAMS, Contrarian, asked_in_blocks_of, contents, events, metrics, run, table, write_split
from hand_made_split import index

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.evaluation import results as evaluation_files
from bakeoff.evaluation.ranking import protocol
from bakeoff.evaluation.results import EMBEDDINGS

IDS = [str(item) for item in range(1, 41)]


@dataclass
class Ordered:
    """Ranks up or down by whether the history is in the order of the catalogue."""

    item_embeddings: np.ndarray = field(default_factory=lambda: np.arange(40, 0, -1, dtype=np.float32)[:, None])

    def embed_queries(self, queries):
        rows = queries.histories.rows
        falls = (np.diff(queries.histories.items) < 0) & (np.diff(rows) == 0)
        return np.where(np.bincount(rows[1:][falls], minlength=len(queries)) > 0, -1, 1)[:, None].astype(np.float32)

    def uses_fallback(self, queries):
        return np.zeros(len(queries), np.bool_)


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path)
    write_split(workspace)
    return workspace


@pytest.fixture
def larger(tmp_path):
    """Thirty users with ten events in ascending order and five test items."""
    workspace = Workspace(tmp_path)
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(1, 31):
        chosen = rng.permutation(40)[:15]
        train += [(str(user), IDS[item]) for item in sorted(chosen[:10])]
        test += [(str(user), IDS[item]) for item in chosen[10:]]
    write_split(workspace, train, [], test, new=[], items=IDS)
    return workspace


def test_each_test_item_is_ranked_among_items_that_the_user_never_had(workspace):
    run(workspace)
    found = table(workspace, "sampled")
    names = ["ndcg@10", "hit_rate@10", "mrr@10"]
    assert found.columns.tolist() == ["user_id", "num_test", *names, *(f"full_{name}" for name in names)]
    assert found["user_id"].tolist() == ["1", "2"]
    assert found["num_test"].tolist() == [1, 2]
    # Fewer than 99 items are left, so all of them stand beside the test item; 60 is the best, then 50 and so on.
    # User 1: 40 among 60, 50, 30 is third. User 2: 50 is first, and 10 last among 40, 30, 20.
    assert found["mrr@10"].tolist() == pytest.approx([1 / 3, (1 + 1 / 4) / 2])
    assert found["ndcg@10"].tolist() == pytest.approx([1 / log2(4), (1 + 1 / log2(5)) / 2])
    assert metrics(workspace)["sampled"]["mrr@10"] == pytest.approx((1 / 3 + 5 / 8) / 2)
    # All that is left are candidates, so that both ways are one; user 2's item 10 lies beyond lists of three.
    assert found["full_mrr@10"].tolist() == pytest.approx([1 / 3, np.nan], nan_ok=True)
    assert metrics(workspace)["sampled"]["full_mrr@10"] == pytest.approx(1 / 3)
    assert metrics(workspace)["sampled"]["num_users"] == 2


def test_all_models_are_ranked_among_the_same_candidates(larger):
    # Of a single candidate and the test item a model and its opposite each put another one first: 1 + 1/2 together.
    params = PARAMS.model_copy(update={"evidence": PARAMS.evidence.model_copy(update={"sampled_candidates": 1})})
    scores = np.random.default_rng(1).permutation(40).astype(np.float32)[:, None]
    found = []
    for sign in (1, -1):
        run(larger, params, Contrarian(sign * scores))
        found.append(table(larger, "sampled")["mrr@10"].to_numpy())
    np.testing.assert_allclose(found[0] + found[1], 1.5)


def test_files_and_figures_do_not_tell_how_users_were_cut_into_portions(larger, monkeypatch):
    params = PARAMS.model_copy(update={"evidence": PARAMS.evidence.model_copy(update={"sampled_candidates": 2})})
    monkeypatch.setattr(evaluation_files, "USERS_PER_GROUP", 8)
    found = []
    for size in (30, 7):
        monkeypatch.setattr(protocol, "USERS_PER_BATCH", size)
        run(larger, params, Ordered())
        found.append(contents(larger.evaluation("mf")))
    assert found[0] == found[1]
    for part, name in (("test", "users"), ("sampled", "sampled")):
        users = table(larger, name).drop(columns=["user_id", "num_history", "num_test"], errors="ignore")
        assert len(users) == 30
        for metric, values in users.items():
            defined = values.dropna().tolist()
            assert metrics(larger)[part][metric] == (fsum(defined) / len(defined) if defined else None)


def test_metrics_of_users_leave_memory_as_their_row_group_is_written(larger, monkeypatch):
    monkeypatch.setattr(protocol, "USERS_PER_BATCH", 1)
    monkeypatch.setattr(evaluation_files, "USERS_PER_GROUP", 4)
    measure, seen, alive = protocol.table.accuracy_of, [], []

    def watched(*arguments):
        per_user = measure(*arguments)
        seen.extend(weakref.ref(values) for values in per_user.values())
        alive.append(sum(values() is not None for values in seen))
        return per_user

    monkeypatch.setattr(protocol.table, "accuracy_of", watched)
    run(larger, asked_in_blocks_of(1), Ordered())
    # Eight metrics: of four users who wait for their group, of the last one, and of the one who is measured.
    assert max(alive) <= 8 * (4 + 2)
    assert len(seen) == 8 * (30 + 3)  # three questions about no new user


def test_another_seed_draws_other_candidates(larger):
    params = PARAMS.model_copy(update={"evidence": PARAMS.evidence.model_copy(update={"sampled_candidates": 1})})
    scores = np.random.default_rng(1).permutation(40).astype(np.float32)[:, None]
    found = []
    for seed in (1, 2):
        run(larger, params.model_copy(update={"seed": seed}), Contrarian(scores))
        found.append(table(larger, "sampled")["mrr@10"].tolist())
    assert found[0] != found[1]


def test_the_item_embeddings_are_kept_for_those_who_need_nothing_else_of_the_model(workspace):
    run(workspace)
    np.testing.assert_array_equal(np.load(workspace.evaluation("mf") / EMBEDDINGS), Contrarian().item_embeddings)


def test_one_single_user_can_be_measured(tmp_path):
    workspace = Workspace(tmp_path)
    write_split(workspace, train=[("1", "10")], valid=[], test=[("1", "60")], new=[])
    run(workspace)
    assert metrics(workspace)["test"]["num_users"] == 1
    assert metrics(workspace)["test"]["ndcg@3"] == 1
    assert metrics(workspace)["sampled"]["ndcg@10"] == 1


def test_users_without_test_items_count_nowhere(workspace):
    run(workspace)
    for name in ("users", "sampled"):
        assert table(workspace, name)["user_id"].tolist() == ["1", "2"]  # not 3


def test_with_one_single_item_nobody_has_anything_left_to_be_asked_about(tmp_path):
    workspace = Workspace(tmp_path)
    write_split(workspace, train=[("1", "10"), ("2", "10")], valid=[], test=[], new=[], items=["10"])
    with pytest.raises(BakeoffError, match="No warm user has a test item"):
        run(workspace, retriever=Contrarian(np.ones((1, 1), np.float32)))


def test_a_model_of_one_single_item_has_lists_of_one(tmp_path):
    # A user who is asked about without having had anything; there is no second item to rank against.
    workspace = Workspace(tmp_path)
    write_split(workspace, train=[("1", "10"), ("2", "10")], valid=[], test=[("2", "10")], new=[], items=["10"])
    events([("1", "10")]).to_parquet(workspace.split / "train.parquet")
    index(workspace.split / "train.parquet", ["1", "2"], ["10"])
    run(workspace, retriever=Contrarian(np.ones((1, 1), np.float32)))
    assert table(workspace, "recommendations")["item_id"].tolist() == ["10"]
    assert metrics(workspace)["test"]["ndcg@3"] == 1
    assert metrics(workspace)["sampled"]["ndcg@10"] is None


def test_a_model_to_which_all_items_are_equal_gains_nothing_by_it(larger):
    run(larger, retriever=Contrarian(np.ones((40, 1), np.float32)))
    # 25 other items are as good as the 5 of the test, and come first.
    for part in ("test", "sampled"):
        hits = {name: value for name, value in metrics(larger)[part].items() if name.startswith("hit_rate")}
        assert hits
        assert set(hits.values()) == {0}


def test_the_same_input_gives_the_same_bytes_whatever_was_there_before(larger):
    run(larger, retriever=Ordered())
    first = contents(larger.evaluation("mf"))
    run(larger, retriever=Contrarian(np.ones((40, 1), np.float32)))
    assert contents(larger.evaluation("mf")) != first
    run(larger, retriever=Ordered())
    assert contents(larger.evaluation("mf")) == first
