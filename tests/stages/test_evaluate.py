import json
from math import log2

import numpy as np
import pandas as pd
import pytest
from contrarian import NEW, PARAMS, Contrarian, asked_in_blocks_of, contents, events, metrics, run, table, write_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.evaluation.ranking import protocol
from bakeoff.models.base.storage import refuse_other_catalogue
from bakeoff.params import Params
from bakeoff.stages import evaluate


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path)
    write_split(workspace)
    return workspace


def test_lists_are_written_for_warm_users_with_test_items(workspace):
    run(workspace)
    lists = table(workspace, "recommendations")
    assert lists.columns.tolist() == ["user_id", "rank", "item_id", "score"]
    assert lists["user_id"].tolist() == ["1"] * 3 + ["2"] * 3
    assert lists["rank"].tolist() == [1, 2, 3] * 2
    assert lists["item_id"].tolist() == ["60", "50", "40", "50", "40", "30"]
    assert lists["score"].tolist() == [-1, -2, -3, -2, -3, -4]
    assert lists["rank"].dtype == np.int32
    assert lists["score"].dtype == np.float32


def test_metrics_of_each_user_are_written(workspace):
    run(workspace)
    users = table(workspace, "users").set_index("user_id")
    assert users.index.tolist() == ["1", "2"]
    assert users["num_history"].tolist() == [2, 1]
    assert users["num_test"].tolist() == [1, 2]
    assert users["recall@1"].tolist() == [0, 1]
    assert users["recall@3"].tolist() == [1, 1 / 2]
    # user 1: 1/log2(4) of 1; user 2: 1 of 1 + 1/log2(3)
    assert users["ndcg@3"].tolist() == pytest.approx([1 / 2, 1 / (1 + 1 / log2(3))])
    assert users["mrr@3"].tolist() == pytest.approx([1 / 3, 1])
    assert users["hit_rate@1"].tolist() == [0, 1]


def test_popularity_counts_train_events(workspace):
    run(workspace)
    users = table(workspace, "users").set_index("user_id")
    # train has 10 twice and 60 once, 20 only in valid: histories (2 + 0) / 2 and 1; first places 60 and 50
    assert users["history_arp"].tolist() == [1, 1]
    assert users["arp@1"].tolist() == [1, 0]
    # ARP of the lists 1/2, of the histories 1
    assert metrics(workspace)["test"]["popularity_lift@1"] == pytest.approx(-0.5)
    assert metrics(workspace)["test"]["coverage@1"] == pytest.approx(2 / 6)


def test_new_users_are_asked_about_with_more_and_more_events(workspace):
    run(workspace)
    new = table(workspace, "new_users")
    assert new["user_id"].tolist() == ["9"] * 3
    assert new["first_interactions"].tolist() == ["0", "1", "all"]
    assert new["num_history"].tolist() == [0, 1, 2]
    assert new["num_test"].tolist() == [1] * 3
    assert new["fallback"].tolist() == [True, False, False]
    # 40 is not among 10 20 30, and first of 40 30 20
    assert new["mrr@3"].tolist() == [0, 1, 1]


def test_all_earlier_events_of_a_new_user_are_left_out_whatever_the_model_was_told(workspace):
    run(workspace)
    lists = table(workspace, "new_user_recommendations")
    assert lists.columns.tolist() == ["user_id", "first_interactions", "rank", "item_id", "score"]
    told = lists.groupby("first_interactions")["item_id"].agg(list)
    assert told.to_dict() == {
        "0": ["10", "20", "30"],
        "1": ["40", "30", "20"],
        "all": ["40", "30", "20"],
    }


def test_means_over_users_are_written(workspace):
    run(workspace)
    found = metrics(workspace)
    users = table(workspace, "users")
    for name in (
        "recall@3",
        "ndcg@3",
        "mrr@1",
        "hit_rate@3",
        "arp@3",
        "novelty@3",
        "long_tail_share@3",
        "debiased_ndcg@3",
    ):
        assert found["test"][name] == pytest.approx(users[name].mean())
    assert found["test"]["diversity@3"] is None  # these items have no features
    assert found["test"]["num_users"] == 2
    assert found["test"]["fallback_share"] == 0
    assert found["new_users"]["0"]["fallback_share"] == 1
    assert {step: values["mrr@3"] for step, values in found["new_users"].items()} == {
        "0": 0,
        "1": 1,
        "all": 1,
    }


def test_the_cost_is_measured(workspace):
    run(workspace)
    cost = json.loads(workspace.cost("evaluate/mf").read_text(encoding="utf-8"))
    assert cost["ranked_queries"] == 2 + 3  # warm users, and a new user at three steps
    assert cost["ranking_seconds"] > 0
    assert cost["ranking_seconds"] <= cost["wall_seconds"]


def test_same_input_same_bytes_whatever_the_size_of_blocks(workspace):
    run(workspace)
    first = contents(workspace.evaluation("mf"))
    assert len(first) == 7
    run(workspace, asked_in_blocks_of(1))
    assert contents(workspace.evaluation("mf")) == first


def test_same_bytes_in_however_many_portions_users_are_asked_about(workspace, monkeypatch):
    run(workspace)
    whole = contents(workspace.evaluation("mf"))
    monkeypatch.setattr(protocol, "USERS_PER_BATCH", 1)
    run(workspace, asked_in_blocks_of(1))
    assert contents(workspace.evaluation("mf")) == whole


def test_printed_figures_can_be_recomputed_from_the_files(tmp_path):
    rng = np.random.default_rng(0)
    ids = [str(i) for i in range(1, 41)]
    rows = [(str(u), i) for u in range(1, 31) for i in rng.permutation(ids)[:20]]
    parts = [rows[k::4] for k in range(4)]
    workspace = Workspace(tmp_path)
    write_split(workspace, parts[0] + parts[1], parts[2], parts[3], new=NEW[:0], items=ids)
    retriever = Contrarian(rng.standard_normal((40, 1)).astype(np.float32))
    run(workspace, Params(), retriever)
    lists = table(workspace, "recommendations").groupby("user_id")["item_id"].agg(list)
    ndcg = []
    for user, items in events(parts[3]).groupby("user_id")["item_id"].agg(set).items():
        assert not set(lists[user]) & {i for u, i in parts[0] + parts[1] + parts[2] if u == user}
        ideal = sum(1 / log2(r + 2) for r in range(min(10, len(items))))
        ndcg.append(sum(1 / log2(r + 2) for r, i in enumerate(lists[user][:10]) if i in items) / ideal)
    assert metrics(workspace)["test"]["ndcg@10"] == pytest.approx(np.mean(ndcg))


def test_a_split_without_new_users_gives_empty_tables_with_all_columns(workspace):
    run(workspace)
    columns = {name: table(workspace, name).columns.tolist() for name in ("new_users", "new_user_recommendations")}
    write_split(workspace, new=[])
    run(workspace)
    for name, expected in columns.items():
        assert table(workspace, name).columns.tolist() == expected
        assert len(table(workspace, name)) == 0
    assert metrics(workspace)["new_users"]["all"]["num_users"] == 0
    assert metrics(workspace)["new_users"]["all"]["ndcg@3"] is None


def test_the_summary_says_what_was_found(workspace, capsys):
    run(workspace)
    printed = capsys.readouterr().out
    assert "mf: all 6 items ranked for 2 test users" in printed
    assert "recall@3 0.7500" in printed
    assert "1 new user, ndcg@1 given 0 first events 0.0000, 1 first event 1.0000" in printed


def test_the_summary_says_that_there_are_no_new_users(workspace, capsys):
    write_split(workspace, new=[])
    run(workspace)
    assert "no new user has a test item" in capsys.readouterr().out


def test_a_split_without_test_items_is_refused(workspace):
    write_split(workspace, test=[])
    with pytest.raises(BakeoffError, match=r"No warm user has a test item.*split\.test_share"):
        run(workspace)


def test_a_model_of_another_catalogue_is_refused(workspace):
    with pytest.raises(BakeoffError, match=r"knows 5 items and the split's catalogue has 6.*train mf"):
        run(workspace, retriever=Contrarian(np.ones((5, 1), np.float32)))


def test_a_model_of_other_items_is_refused_though_they_are_as_many(workspace):
    workspace.trained("mf").mkdir(parents=True)
    ids = ["10", "20", "30", "40", "60", "50"]
    pd.DataFrame({"item_id": ids}).to_parquet(workspace.trained("mf") / "items.parquet")
    with pytest.raises(BakeoffError, match=r"other items than .*, item '60' where that has '50'.*train mf"):
        run(workspace)


@pytest.mark.parametrize("content", [None, b"PAR1", b""], ids=["missing", "damaged", "empty"])
def test_a_model_that_does_not_say_of_which_items_it_is_made_is_refused(workspace, content):
    listed = workspace.trained("mf") / "items.parquet"
    listed.parent.mkdir(parents=True)
    if content is not None:
        listed.write_bytes(content)
    items = pd.DataFrame({"item_id": ["10", "20"]})
    with pytest.raises(BakeoffError, match=r"models/mf/trained can't be read.*train mf"):
        refuse_other_catalogue(workspace.trained("mf"), "mf", 2, items)


def test_a_model_that_was_not_trained_is_refused(workspace):
    with pytest.raises(BakeoffError, match="holds no trained model"):
        evaluate.run(PARAMS, workspace, "mf")


def test_a_note_on_the_training_that_can_not_be_read_says_what_to_run(workspace):
    workspace.training("mf").parent.mkdir(parents=True)
    workspace.training("mf").write_text("{", encoding="utf-8")
    with pytest.raises(BakeoffError, match=r"mf\.json can't be read .*bakeoff train mf"):
        run(workspace)


def test_a_skipped_model_needs_no_split(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.training("mf").parent.mkdir(parents=True)
    workspace.training("mf").write_text('{"model": "mf", "skipped": "Too large."}', encoding="utf-8")
    run(workspace)
    assert metrics(workspace) == {"skipped": "Too large."}
    assert len(contents(workspace.evaluation("mf"))) == 1


def test_a_run_that_fails_leaves_the_former_evaluation_as_it_was(workspace):
    run(workspace)
    before = contents(workspace.evaluation("mf"))
    with pytest.raises(BakeoffError, match="NaN"):
        run(workspace, retriever=Contrarian(np.full((6, 1), np.nan, np.float32)))
    assert contents(workspace.evaluation("mf")) == before
    assert [path.name for path in workspace.evaluation("mf").parent.iterdir()] == ["mf"]


@pytest.mark.parametrize("repeated", [{"cutoffs": (10, 10)}, {"first_interactions": (1, 1)}])
def test_params_that_measure_something_twice_are_refused(repeated):
    with pytest.raises(ValueError, match="names a value twice"):
        EvaluateParams(**repeated)
