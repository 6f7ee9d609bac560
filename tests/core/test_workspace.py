"""Names of models, and where what belongs to them is described."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs

MODELS = specs.names()
DVC = YAML(typ="safe").load(Path(__file__).parents[2] / "dvc.yaml")


@pytest.mark.parametrize("stage", ["train", "evaluate", "export"])
def test_every_model_has_its_stages_in_the_order_of_the_reports(stage: str) -> None:
    assert list(DVC["stages"][stage]["foreach"]) == list(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_the_comparison_depends_on_all_that_a_model_left(model: str) -> None:
    workspace = Workspace()
    evaluated = [
        workspace.evaluation(model),
        workspace.training(model),
        workspace.cost(f"train/{model}"),
        workspace.cost(f"evaluate/{model}"),
    ]
    for stage, left in (("compare", evaluated), ("evidence", [*evaluated, workspace.items(model)])):
        deps = set(DVC["stages"][stage]["deps"])
        assert [path for path in left if not {str(path), *map(str, path.parents)} & deps] == []


def test_every_model_is_in_the_registry() -> None:
    assert {name: entry["path"] for name, entry in DVC["artifacts"].items()} == {
        m: str(Workspace().saved_model(m)) for m in MODELS
    }
