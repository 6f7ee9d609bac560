"""A retriever of another package goes through every stage: nothing in `src` knows it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import item_knn
import numpy as np
import pandas as pd
import pytest
import small_split

from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs
from bakeoff.models.base.loading import load_serving
from bakeoff.ops import recommend
from bakeoff.params import load_params, parse_params
from bakeoff.report.models import model_label
from bakeoff.stages import compare, evaluate, export, train

NAME = "item_knn"


def register(folder: Path) -> Path:
    """Metadata of an installed package with an entry point, as pip writes them."""
    metadata = folder / "item_knn-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: item-knn\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{specs.ENTRY_POINTS}]\nitem_knn = item_knn.spec:SPECS\n")
    return folder


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """The directory by which the package is installed."""
    folder = register(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        specs.specs.cache_clear()
        yield folder
    specs.specs.cache_clear()


@pytest.fixture(scope="module")
def params(registered):
    given = small_split.PARAMS.model_dump(mode="json", exclude_unset=True)
    return parse_params(given | {NAME: {"shrinkage": 2.0}})


@pytest.fixture(scope="module")
def workspace(params, tmp_path_factory):
    """The model trained, evaluated and exported."""
    workspace = Workspace(tmp_path_factory.mktemp("registered"))
    small_split.write_split(workspace)
    train.run(params, workspace, NAME)
    evaluate.run(params, workspace, NAME)
    export.run(workspace, NAME)
    return workspace


def test_it_has_a_section_in_the_parameters(params, tmp_path):
    assert params.section(NAME).shrinkage == 2.0
    (tmp_path / "params.yaml").write_text(f"{NAME}: {{shrinkage: 5}}\n")
    assert load_params(tmp_path / "params.yaml").section(NAME).shrinkage == 5


def test_training_describes_it(workspace):
    found = json.loads(workspace.training(NAME).read_text())
    assert (found["model"], found["dim"], found["settings"]) == (NAME, 12, {"shrinkage": 2.0})
    assert workspace.cost(f"train/{NAME}").exists()


def test_the_exported_graph_gives_the_lists_that_were_evaluated(workspace):
    lists = pd.read_parquet(workspace.evaluation(NAME) / "recommendations.parquet")
    serving = load_serving(workspace.saved_model(NAME))
    for user, rows in lists.groupby("user_id"):
        answer = serving.recommend_for_users(np.array([user]), len(rows))
        assert np.asarray(answer["scores"])[0] == pytest.approx(rows["score"].to_numpy(), abs=1e-6)
        # items with equal scores may take turns
        assert {item.decode() for item in np.asarray(answer["item_ids"])[0]} == set(rows["item_id"])


def test_it_recommends(workspace, capsys):
    recommend.run(workspace, model=NAME, user="u3", history=None, features=(), k=3, why=False)
    assert f"{NAME} recommends to user u3" in capsys.readouterr().out


def test_a_new_process_knows_it(registered):
    places = [str(registered), str(Path(item_knn.__file__).parents[1])]  # of the metadata and of the package
    code = f"import sys; sys.path += {places}; from bakeoff.cli import main; main()"
    shown = subprocess.run([sys.executable, "-c", code, "train", "--help"], capture_output=True, text=True)
    assert f"two_tower or {NAME}" in " ".join(shown.stdout.replace("│", "").split()), shown


def test_the_report_compares_it(registered, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "report"))
    from synthetic import write_workspace

    workspace = Workspace(write_workspace(tmp_path / "invented"))
    for folder in (workspace.evaluation, workspace.items):
        shutil.copytree(folder("ease"), folder(NAME), dirs_exist_ok=True)
    for file in (workspace.training, lambda name: workspace.cost(f"train/{name}")):
        shutil.copyfile(file("ease"), file(NAME))
    shutil.copyfile(workspace.cost("evaluate/ease"), workspace.cost(f"evaluate/{NAME}"))
    compare.run(parse_params({"compare": {"resamples": 100}}), workspace)
    assert NAME in (workspace.reports / "metrics.json").read_text()
    assert model_label(NAME) == "Item-kNN"
    assert "Item-kNN" in (workspace.reports / "index.html").read_text()
    assert (workspace.reports / "cards" / f"{NAME}.md").exists()
