import json
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import small_split
from contrarian import list_items

from bakeoff.core.errors import BakeoffError
from bakeoff.models.base import storage
from bakeoff.models.base.storage import skip_training
from bakeoff.stages import rerank

NUM_ITEMS = len(small_split.ITEMS)
UP = np.arange(NUM_ITEMS, dtype=np.float32)


@dataclass
class Same:
    """Scores that are the same for everyone."""

    scores: np.ndarray

    @property
    def item_embeddings(self):
        return np.asarray(self.scores, np.float32)[:, None]

    def embed_queries(self, queries):
        return np.ones((len(queries), 1), np.float32)

    def uses_fallback(self, queries):
        return np.zeros(len(queries), np.bool_)


def run(workspace, mf=UP, softmax=-UP, sizes=(3, 6), max_users=100, **evaluate):
    params = small_split.PARAMS
    params = params.model_copy(
        update={
            "evidence": params.evidence.model_copy(update={"rerank_candidates": sizes, "max_users": max_users}),
            "evaluate": params.evaluate.model_copy(update=evaluate),
        }
    )
    scores = {"mf": mf, "softmax": softmax, "popularity": UP, "ease": -UP}
    for model in scores:
        if model in ("mf", "softmax") or workspace.trained(model).exists():
            list_items(workspace, model)
    with patch.object(storage, "load_trained", lambda folder: Same(scores[folder.parent.name])):
        rerank.run(params, workspace)


def notes(workspace):
    return json.loads((workspace.rerank / "rerank.json").read_text(encoding="utf-8"))


def users(workspace):
    return pd.read_parquet(workspace.rerank / "users.parquet")


def by_system(workspace):
    return {system["system"]: system for system in notes(workspace)["systems"]}


def expected(workspace, size):
    """recall@2 of each user, by definition: best by MF among the items not yet had, then by the softmax DNN."""
    parts = {name: pd.read_parquet(workspace.split / f"{name}.parquet") for name in ("train", "valid", "test")}
    had = pd.concat([parts["train"], parts["valid"]]).groupby("user_id")["item_id"].agg(set)
    recall = {}
    for user, tested in parts["test"].groupby("user_id")["item_id"].agg(set).items():
        left = [item for item in reversed(small_split.ITEMS) if item not in had[user]]
        candidates = left[:size]
        best = sorted(candidates, key=small_split.ITEMS.index)[:2]
        recall[user] = (len(tested & set(best)), len(tested & set(candidates)))
    return pd.DataFrame(recall, index=["best", "candidates"]).T


def test_candidates_of_mf_are_ranked_by_the_softmax_dnn(workspace):
    run(workspace)
    found = users(workspace)
    for size in (3, 6):
        of_size = found[found["system"] == f"mf→softmax@{size}"].set_index("user_id")
        truth = expected(workspace, size)
        assert of_size["recall@2"].to_dict() == truth["best"].to_dict()
        # Every user has one test item.
        assert by_system(workspace)[f"mf→softmax@{size}"]["candidate_recall"] == pytest.approx(
            truth["candidates"].mean()
        )
    assert found["recall@2"].nunique() > 1


def test_every_system_has_a_row_for_every_user_with_test_items(workspace):
    run(workspace)
    found = users(workspace)
    assert found["system"].unique().tolist() == ["mf", "softmax", "mf→softmax@3", "mf→softmax@6"]
    assert found.groupby("system")["user_id"].agg(list).map(len).unique().tolist() == [len(small_split.WARM)]
    assert found.columns[:4].tolist() == ["system", "user_id", "num_test", "recall@2"]


def test_means_are_those_of_the_users(workspace):
    run(workspace)
    means = users(workspace).groupby("system").mean(numeric_only=True)
    for name, system in by_system(workspace).items():
        assert system["metrics"]["ndcg@10"] == pytest.approx(means.loc[name, "ndcg@10"])
        assert system["spurious@10"] == pytest.approx(means.loc[name, "spurious@10"])


def test_a_scorer_that_agrees_with_mf_changes_nothing(workspace):
    run(workspace, softmax=UP, sizes=(10,))
    found = users(workspace).drop(columns="system")
    parts = [found[users(workspace)["system"] == name].reset_index(drop=True) for name in by_system(workspace)]
    assert parts[0].equals(parts[1])
    assert parts[0].equals(parts[2])


def test_candidates_beyond_the_catalogue_are_all_of_it_and_that_is_said(workspace):
    run(workspace, sizes=(6, 100, 500))
    assert list(by_system(workspace)) == ["mf", "softmax", "mf→softmax@6", "mf→softmax@12"]
    assert "The catalogue has 12 items: 100 and 500 candidates are all of them." in notes(workspace)["sentence"]
    whole, alone = by_system(workspace)["mf→softmax@12"], by_system(workspace)["softmax"]
    assert whole["candidates"] == 12
    assert whole["candidate_recall"] == 1
    assert whole["metrics"] == alone["metrics"]


def test_what_fits_the_catalogue_is_not_called_capped(workspace):
    run(workspace)
    assert "The catalogue has" not in notes(workspace)["sentence"]
    assert "3 or 6 best items" in notes(workspace)["sentence"]


def test_the_same_input_gives_the_same_bytes_whatever_the_size_of_blocks(workspace):
    run(workspace)
    first = {path.name: path.read_bytes() for path in workspace.rerank.iterdir()}
    run(workspace, users_per_block=3)
    assert {path.name: path.read_bytes() for path in workspace.rerank.iterdir()} == first


def test_a_scorer_to_which_all_are_equal_ranks_hits_last(workspace):
    run(workspace, softmax=np.zeros(NUM_ITEMS), sizes=(6,))
    # The test item is one of at least 5 candidates that tie, or none of them: never among the first two.
    assert by_system(workspace)["mf→softmax@6"]["metrics"]["hit_rate@2"] == 0


def test_reference_models_are_compared_where_they_were_trained(workspace):
    workspace.trained("popularity").mkdir(parents=True)
    skip_training(workspace, "ease", "Too large.")
    run(workspace, sizes=(6,))
    assert list(by_system(workspace)) == ["mf", "softmax", "popularity", "mf→softmax@6"]
    popularity, mf = (by_system(workspace)[name] for name in ("popularity", "mf"))
    assert (popularity["metrics"], popularity["candidates"]) == (mf["metrics"], None)


@pytest.mark.parametrize("model", ["mf", "softmax"])
def test_without_one_of_the_two_nothing_is_ranked_again(workspace, model):
    skip_training(workspace, model, "Too large.")
    run(workspace)
    assert notes(workspace) == {"skipped": f"{model} was skipped: Too large."}
    assert [path.name for path in workspace.rerank.iterdir()] == ["rerank.json"]
    assert workspace.cost("rerank").exists()


def test_a_model_of_another_catalogue_is_refused(workspace):
    with pytest.raises(BakeoffError, match="knows 5 items and the split's catalogue has 12"):
        run(workspace, softmax=UP[:5])


def test_a_model_that_was_not_trained_is_refused(workspace):
    with pytest.raises(BakeoffError, match=r"models/mf/trained holds no trained model"):
        rerank.run(small_split.PARAMS, workspace)


@pytest.mark.parametrize("model", ["mf", "softmax"])
def test_embeddings_that_are_no_numbers_are_refused_and_the_former_result_stays(workspace, model):
    run(workspace)
    before = notes(workspace)
    with pytest.raises(BakeoffError, match="NaN"):
        run(workspace, **{model: np.full(NUM_ITEMS, np.nan)})
    assert notes(workspace) == before


def test_a_split_without_test_items_is_refused(workspace):
    path = workspace.split / "test.parquet"
    pd.read_parquet(path).head(0).to_parquet(path)
    with pytest.raises(BakeoffError, match=r"nothing to rank again.*split\.test_share"):
        run(workspace)


def test_one_single_user_can_be_measured(workspace):
    path = workspace.split / "test.parquet"
    pd.read_parquet(path).head(1).to_parquet(path)
    run(workspace)
    assert users(workspace)["user_id"].nunique() == 1
    assert all(system["metrics"]["ndcg@10"] is not None for system in notes(workspace)["systems"])


def test_a_sample_of_users_is_asked_about_where_there_are_more_than_the_bound(workspace):
    run(workspace)
    everyone = users(workspace)
    assert "sample" not in notes(workspace)["sentence"]
    run(workspace, max_users=2)
    sample = users(workspace)
    assert sample["user_id"].nunique() == 2
    assert f"2 of {everyone['user_id'].nunique()} users" in notes(workspace)["sentence"]
    keys = ["system", "user_id"]
    beside = sample[keys].merge(everyone, on=keys)
    pd.testing.assert_frame_equal(sample, beside)
