"""Names of models, and where what belongs to them is described."""

from importlib import import_module
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bakeoff.core.workspace import Workspace
from bakeoff.models import specs

MODELS = specs.names()
DVC = YAML(typ="safe").load(Path(__file__).parents[2] / "dvc.yaml")
COMPARED = [dep for dep in DVC["stages"]["compare"]["deps"] if isinstance(dep, str)]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_trained_by_a_stage_and_a_module_of_its_own(model: str) -> None:
    assert DVC["stages"][f"train_{model}"]["cmd"] == f"bakeoff train {model}"
    assert callable(import_module(f"bakeoff.stages.train_{model}").run)


def test_every_model_is_evaluated_in_the_order_of_the_reports() -> None:
    assert DVC["stages"]["evaluate"]["matrix"] == {"model": list(MODELS)}


@pytest.mark.parametrize("model", MODELS)
def test_the_comparison_depends_on_all_that_a_model_left(model: str) -> None:
    workspace = Workspace()
    left = [
        workspace.evaluation(model),
        workspace.model(model) / "training.json",
        workspace.cost(f"train_{model}"),
        workspace.cost(f"evaluate_{model}"),
    ]
    assert [path for path in map(str, left) if path not in COMPARED] == []


def test_every_model_is_in_the_registry() -> None:
    assert {name: entry["path"] for name, entry in DVC["artifacts"].items()} == {m: f"models/{m}" for m in MODELS}
