import json
from pathlib import Path

import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.stages import study

FIGURES = {"mean": 0.2, "low": 0.1, "high": 0.3}
VARIANT = {
    "name": "uniform-corrected",
    "model": "softmax",
    "label": "uniform, corrected",
    "base": True,
    "settings": {"softmax.negatives.sampler": "uniform", "softmax.negatives.logq_correction": True},
    "metrics": {"popularity_lift@10": 0.1},
    "folding": None,
    "metric": "ndcg@10",
    "interval": FIGURES,
    "difference_to_base": {"mean": 0.0, "low": 0.0, "high": 0.0},
}
ROW = {"sampler": "uniform", "corrected": True, "kl": 0.001, "gradient_error": 0.1, "gradient_cosine": 0.9}
FILES = {
    "studies/sampling.json": {"group": "sampling", "sentence": "Trained.", "variants": [VARIANT]},
    "studies/sampling_cost.json": {"variants": {}},
    "studies/unbiasedness.json": {"world": {}, "samplers": [ROW]},
    "data/dataset.json": {"title": "Invented"},
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return Workspace(tmp_path)


def test_the_page_lies_beside_the_report(workspace: Workspace):
    study.run(workspace)
    assert [path.name for path in workspace.reports.iterdir()] == ["sampling.html"]
    assert "on Invented" in (workspace.reports / "sampling.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_the_way_to_make_it(workspace: Workspace, name: str):
    (workspace.root / name).unlink()
    with pytest.raises(BakeoffError, match=f"{name} does not exist: run `make study`"):
        study.run(workspace)


def test_a_file_that_is_no_json_is_named(workspace: Workspace):
    (workspace.study / "sampling.json").write_text("{")
    with pytest.raises(BakeoffError, match=r"sampling\.json can't be read as JSON"):
        study.run(workspace)


def test_a_file_of_another_form_is_refused(workspace: Workspace):
    (workspace.study / "sampling.json").write_text('{"group": "sampling", "sentence": "", "variants": []}')
    with pytest.raises(BakeoffError, match=r"studies can't be read .*another version .*`dvc repro --force"):
        study.run(workspace)
