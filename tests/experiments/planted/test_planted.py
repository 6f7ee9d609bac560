import json

import numpy as np
import pandas as pd
import pytest

from bakeoff.core.workspace import Workspace
from bakeoff.experiments.params import EvidenceParams, PlantedParams
from bakeoff.experiments.planted import contenders, measure
from bakeoff.experiments.planted.contenders import LEARNING_RATE, SOFTMAX_EPOCHS, planted_contenders
from bakeoff.params import Params
from bakeoff.stages import planted

SHOWN = ("mf-0", "mf-1", "softmax-own-group", "softmax-in-batch")
REFERENCES = ("popularity", "ease")
TOWN = PlantedParams(groups=4, users_per_group=100, items_per_group=80, events_per_user=20)
TINY = PlantedParams(groups=2, users_per_group=12, items_per_group=10, events_per_user=6)


def params(town):
    mf = Params().mf.model_copy(update={"unobserved_weight": 1.0})
    return Params(evidence=EvidenceParams(planted=town, unobserved_weights=(0.0,)), mf=mf)


def run(folder, monkeypatch, town, names):
    def some(given, built):
        return [each for each in planted_contenders(given, built) if each[0].name in (*names, *REFERENCES)]

    monkeypatch.setattr(measure, "planted_contenders", some)
    planted.run(params(town), Workspace(folder))
    return folder / "artifacts/planted"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return run(tmp_path_factory.mktemp("planted"), monkeypatch, TOWN, SHOWN)


@pytest.fixture(scope="module")
def rows(written):
    found = json.loads((written / "planted.json").read_text(encoding="utf-8"))["variants"]
    return {row["name"]: row for row in found}


def test_mf_that_ignores_what_was_not_observed_folds_while_its_recall_hardly_falls(rows):
    # found: folding .09 and .00, recall@10 .54 and .54
    blind, shipped = rows["mf-0"], rows["mf-1"]
    assert blind["folding"] > shipped["folding"] + 0.03
    assert blind["recall@10"] > 0.9 * shipped["recall@10"]


def test_a_softmax_that_never_sees_strangers_recommends_them(rows):
    # Three items of four are of other groups; found: .93 and .00
    assert rows["softmax-own-group"]["off_group@10"] > 0.5
    assert rows["softmax-own-group"]["folding"] > 0.2


def test_negatives_of_other_groups_repair_it(rows):
    assert rows["softmax-in-batch"]["off_group@10"] < 0.05
    assert rows["softmax-in-batch"]["folding"] < 0.1
    assert rows["softmax-in-batch"]["recall@10"] > 0.8 * rows["mf-1"]["recall@10"]


def test_a_dnn_that_folds_shows_fewer_strangers_within_what_mf_retrieves(written, rows):
    # A user has 60 unseen items of the own group: MF's first 30 can all be of it, of its first 120 at most half.
    folded = rows["softmax-own-group"]
    by_size = folded["off_group_by_candidates"]
    assert list(by_size) == ["15", "30", "60", "120"]
    assert sorted(by_size.values()) == list(by_size.values())
    assert by_size["30"] == folded["off_group_filtered@10"] < 0.05
    assert by_size["120"] > 0.3
    assert set(rows["mf-1"]["off_group_by_candidates"].values()) == {None}
    assert folded["off_group_filtered@10"] < folded["off_group@10"] - 0.2
    assert rows["mf-1"]["off_group_filtered@10"] is None
    users = pd.read_parquet(written / "users.parquet")
    of_folded = users[users["variant"] == "softmax-own-group"]["off_group_filtered@10"]
    assert of_folded.mean() == pytest.approx(folded["off_group_filtered@10"])
    assert json.loads((written / "planted.json").read_text(encoding="utf-8"))["candidates"] == 30


def test_scores_by_group_show_who_folds(rows):
    own, strange = np.eye(4, dtype=bool), ~np.eye(4, dtype=bool)
    for row in rows.values():
        blocks = np.array(row["blocks"])
        assert blocks[strange].mean() == pytest.approx(row["folding"] * 4 / 3, abs=2e-3)  # three pairs of four
    folded, sound = (np.array(rows[name]["blocks"]) for name in ("softmax-own-group", "softmax-in-batch"))
    assert sound[own].mean() > 3 * sound[strange].mean()
    assert folded[strange].mean() > 3 * sound[strange].mean()


def test_the_summary_says_what_was_built_and_which_setting_is_the_shipped_one(written, rows):
    summary = json.loads((written / "planted.json").read_text(encoding="utf-8"))
    assert summary["sentence"].startswith("A generated data set of 4 groups with 100 users and 80 items each.")
    assert summary["calibration"]
    assert [name for name, row in rows.items() if row["base"]] == ["mf-1", "softmax-in-batch", *REFERENCES]
    assert [row["unobserved_weight"] for row in rows.values()] == [0.0, 1.0, None, None, None, None]


def test_the_summary_says_in_what_the_contenders_differ_from_the_shipped_models(written):
    # 4 groups: dimensions 4 and 2 × 4; 320 items: a step draws a quarter of them.
    sentence = json.loads((written / "planted.json").read_text(encoding="utf-8"))["sentence"]
    assert f"MF has 4 of them instead of {Params().mf.dim}" in sentence
    shipped = Params().softmax
    assert f"The softmax DNN has 8 instead of {shipped.dim}." in sentence
    assert f"up to {SOFTMAX_EPOCHS} of them instead of {shipped.max_epochs}" in sentence
    assert f"learning rate of {LEARNING_RATE} instead of {shipped.learning_rate:g}" in sentence
    assert f"a step draws 80 instead of {shipped.negatives.num_sampled}" in sentence


def test_popularity_knows_no_groups_and_ease_does(rows):
    assert rows["popularity"]["off_group@10"] > 0.6  # three items of four are of other groups
    assert rows["ease"]["off_group@10"] < 0.05
    assert rows["ease"]["recall@10"] > 2 * rows["popularity"]["recall@10"]


def test_every_item_has_a_place_in_the_picture_of_every_variant(written):
    items = pd.read_parquet(written / "items.parquet")
    assert items.columns.tolist() == ["variant", "item_id", "group", "x", "y"]
    assert items.dtypes[["group", "x", "y"]].astype(str).tolist() == ["int32", "float32", "float32"]
    assert items.groupby("variant", sort=False).size().to_dict() == dict.fromkeys((*SHOWN, *REFERENCES), 320)
    assert items.groupby("variant")["group"].nunique().eq(4).all()


def test_the_same_params_write_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(contenders, "SOFTMAX_EPOCHS", 2)
    folders = [run(tmp_path / name, monkeypatch, TINY, ("mf-0", "softmax-own-group")) for name in ("one", "other")]
    for name in ("planted.json", "items.parquet"):
        one, other = ((folder / name).read_bytes() for folder in folders)
        assert one == other
    assert (tmp_path / "one/artifacts/cost/planted.json").exists()
