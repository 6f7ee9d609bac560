"""The whole pipeline on a team's own files, by DVC alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from small_project import call, new_workspace

from bakeoff.models.base import specs

PERSONAL = [name for name in specs.names() if "popularity" not in name]
"""Models that give different people different lists."""


def lock(root: Path) -> dict[str, dict[str, str]]:
    """Hash of each output by stage, but for what is measured and for the pages that show it."""
    stages = YAML(typ="safe").load(root / "dvc.lock")["stages"]
    return {
        name: {
            out["path"]: out["md5"]
            for out in stage["outs"]
            if not out["path"].startswith("artifacts/cost/") and not out["path"].endswith(".html")
        }
        for name, stage in stages.items()
    }


def test_every_stage_leaves_its_outputs(finished: Path) -> None:
    reports = ("index.html", "comparison.md", "metrics.json", "verdict.json", "evidence.html", "evidence.json")
    for path in (*reports, "validation.json", "split.json"):
        assert (finished / "reports" / path).stat().st_size > 0
    assert {"reports/validation.json", "reports/split.json"} < set(call("git", "ls-files", cwd=finished).split())
    for model in specs.names():
        assert (finished / f"models/{model}/saved_model/saved_model.pb").exists()
        assert (finished / f"artifacts/cost/train/{model}.json").exists()


@pytest.mark.parametrize("model", specs.names())
def test_printed_figures_follow_from_the_split_and_the_lists(finished: Path, model: str) -> None:
    test = pd.read_parquet(finished / "artifacts/split/test.parquet")
    lists = pd.read_parquet(finished / f"artifacts/evaluation/{model}/recommendations.parquet")
    hits = lists.merge(test, on=["user_id", "item_id"])
    hits = hits[hits["rank"] <= 10]
    gain = (1 / np.log2(hits["rank"] + 1)).groupby(hits["user_id"]).sum()
    sizes = test.groupby("user_id").size().clip(upper=10)
    ideal = sizes.map(lambda size: float(np.sum(1 / np.log2(np.arange(2, size + 2)))))
    expected = (gain.reindex(sizes.index).fillna(0) / ideal).mean()
    printed = json.loads((finished / "reports/metrics.json").read_text())[model]["ndcg@10"]
    assert printed == pytest.approx(expected, abs=1e-6)


def test_contenders_find_the_half_of_the_catalogue_that_a_user_likes(finished: Path) -> None:
    for model in PERSONAL:
        lists = pd.read_parquet(finished / f"artifacts/evaluation/{model}/recommendations.parquet")
        first = lists[lists["rank"] == 1].astype({"user_id": int, "item_id": int})
        assert ((first["item_id"] >= 25) == (first["user_id"] % 2 == 1)).mean() > 0.9


def test_nothing_is_left_to_do_after_a_run(finished: Path, warm: str) -> None:
    assert "up to date" in call("dvc", "status", cwd=finished, commands=warm)
    assert call("git", "status", "--porcelain", cwd=finished) == ""


def test_a_second_workspace_gives_the_same_lock_but_for_measured_costs(
    finished: Path, tmp_path: Path, warm: str
) -> None:
    # Validation by the command as it is, a process of its own: the first one ran in forks.
    second = new_workspace(tmp_path / "workspace")
    call("dvc", "repro", "validate", cwd=second)
    call("dvc", "repro", "train@softmax", cwd=second, commands=warm)
    again = lock(second)
    assert len(again) == 3
    assert again == {name: stage for name, stage in lock(finished).items() if name in again}


def test_data_and_models_come_back_from_the_remote_after_the_cache_is_wiped(
    finished: Path, tmp_path: Path, warm: str
) -> None:
    root = tmp_path / "project" / "workspace"
    shutil.copytree(finished, root)
    call("dvc", "push", cwd=root, commands=warm)
    for folder in (".dvc/cache", "data", "artifacts", "models"):
        shutil.rmtree(root / folder)
    call("dvc", "pull", cwd=root, commands=warm)
    assert (root / "models/softmax/saved_model/saved_model.pb").exists()
    assert "up to date" in call("dvc", "status", cwd=root, commands=warm)


def test_metrics_plots_and_parameters_are_there_for_dvc(finished: Path, tmp_path: Path, warm: str) -> None:
    assert json.loads(call("dvc", "metrics", "show", "--json", cwd=finished, commands=warm))
    root = tmp_path / "workspace"
    shutil.copytree(finished, root)
    call("dvc", "plots", "show", "--out", str(tmp_path / "plots"), cwd=root, commands=warm)
    assert "valid_ndcg@10" in (tmp_path / "plots/index.html").read_text()
    params = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(params.replace("target_window: 5", "target_window: 6"))
    changed = json.loads(call("dvc", "params", "diff", "--json", cwd=root, commands=warm))
    assert changed["params.yaml"]["softmax.target_window"] == {"old": 5, "new": 6, "diff": 1}
    stale = json.loads(call("dvc", "status", "--json", cwd=root, commands=warm))
    assert "train@softmax" in stale
    assert "train@mf" not in stale


def test_models_are_registered_as_artifacts(finished: Path) -> None:
    artifacts = YAML(typ="safe").load(finished / "dvc.yaml")["artifacts"]
    assert {name: artifact["path"] for name, artifact in artifacts.items()} == {
        m: f"models/{m}/saved_model" for m in specs.names()
    }


def test_a_model_that_the_data_does_not_allow_is_left_out_and_the_rest_compared(
    finished: Path, tmp_path: Path, warm: str
) -> None:
    root = tmp_path / "workspace"
    shutil.copytree(finished, root)
    params = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(params.replace("max_items: 10000", "max_items: 10"))
    # What else depends on this parameter, variants of other models, would come out as it is.
    stages = ("train@ease", "export@ease", "evaluate@ease", "items", "compare")
    call("dvc", "repro", "--single-item", *stages, cwd=root, commands=warm)
    assert [path.name for path in (root / "models/ease/trained").iterdir()] == ["model.json"]
    assert [path.name for path in (root / "artifacts/evaluation/ease").iterdir()] == ["metrics.json"]
    metrics = json.loads((root / "reports/metrics.json").read_text())
    assert "ease" not in metrics
    assert set(specs.names()) - {"ease"} < set(metrics)
    for report, escaped in (("index.html", "max_items"), ("comparison.md", r"max\_items")):
        told = (root / "reports" / report).read_text().replace("\N{NO-BREAK SPACE}", " ")
        assert f"more than ease.{escaped} = 10 in params.yaml" in told


def test_own_data_with_settings_of_other_data_gets_no_verdict(finished: Path, warm: str) -> None:
    headline = "No verdict yet: the contenders were not tuned on this data"
    assert headline in (finished / "reports/comparison.md").read_text()
    assert headline in (finished / "reports/index.html").read_text()
    printed = " ".join(call("bakeoff", "verdict", cwd=finished, commands=warm).split())
    assert headline in printed
    assert (
        "BK001 failed. Tuning on this data: MF was tuned on ml-100k; the softmax DNN was tuned on ml-100k." in printed
    )


def test_markup_in_titles_is_text_in_the_report(finished: Path) -> None:
    page = (finished / "reports/index.html").read_text()
    assert "&lt;i&gt;Item&lt;/i&gt;" in page
    assert "<i>Item</i>" not in page


def test_the_exported_model_recommends(finished: Path, warm: str) -> None:
    printed = call("bakeoff", "recommend", "--model", "mf", "--history", "1,3", "-k", "3", cwd=finished, commands=warm)
    assert printed.count("<i>Item</i>") == 5
