import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_compare import load_writer

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.params import Params, parse_params
from bakeoff.stages import evidence

OUTPUTS = ("evidence.html", "evidence.md", "evidence.json")


@pytest.fixture(scope="module")
def params() -> Params:
    return parse_params({"compare": {"resamples": 200}})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Workspace:
    workspace = Workspace(load_writer()(tmp_path_factory.mktemp("evidence")))
    evidence.run(params, workspace)
    return workspace


@pytest.fixture
def copy(workspace: Workspace, tmp_path: Path) -> Workspace:
    """The same, with its reports, for a test to change."""
    return Workspace(shutil.copytree(workspace.root, tmp_path / "copy"))


def read_figures(workspace: Workspace) -> Any:
    return json.loads((workspace.reports / "evidence.json").read_text(encoding="utf-8"))


def leaves(tree: Any) -> list[Any]:
    return [leaf for value in tree.values() for leaf in leaves(value)] if isinstance(tree, dict) else [tree]


def test_it_writes_its_own_files_and_needs_none_of_the_comparison(workspace: Workspace):
    assert sorted(path.name for path in workspace.reports.iterdir()) == sorted(OUTPUTS)


def test_figures_are_finite_numbers_below_claims(workspace: Workspace):
    figures = read_figures(workspace)
    assert list(figures) == ["claims"]
    assert all(isinstance(leaf, int | float) and math.isfinite(leaf) for leaf in leaves(figures))


def test_the_same_inputs_give_the_same_bytes(workspace: Workspace, params: Params):
    before = [(workspace.reports / name).read_bytes() for name in OUTPUTS]
    evidence.run(params, workspace)
    assert [(workspace.reports / name).read_bytes() for name in OUTPUTS] == before


def test_costs_change_nothing_that_git_holds_and_may_be_absent(copy: Workspace, params: Params):
    kept = ("evidence.md", "evidence.json")
    before = [(copy.reports / name).read_bytes() for name in kept]
    shutil.rmtree(copy.root / "artifacts/cost")
    evidence.run(params, copy)
    assert [(copy.reports / name).read_bytes() for name in kept] == before


@pytest.mark.parametrize(
    "name",
    [
        "artifacts/variants/depth/variants.json",
        "artifacts/variants/folding/users.parquet",
        "artifacts/planted/items.parquet",
        "artifacts/rerank/rerank.json",
        "artifacts/items/mf/map.parquet",
    ],
)
def test_a_missing_input_is_named_with_the_way_out(copy: Workspace, params: Params, name: str):
    (copy.root / name).unlink()
    with pytest.raises(BakeoffError, match=rf"{name} does not exist.*dvc repro"):
        evidence.run(params, copy)


EVIDENCE = (
    "variants/features/variants.json",
    "variants/new-items/variants.json",
    "variants/folding/variants.json",
    "variants/depth/variants.json",
    "planted/planted.json",
    "rerank/rerank.json",
    "cost/growth.json",
    "cost/serving.json",
)


def test_evidence_that_was_skipped_has_no_outcome_and_its_reason_is_said(copy: Workspace, params: Params):
    for place, name in enumerate(EVIDENCE):
        path = copy.root / "artifacts" / name
        if path.parent.name != "cost":
            shutil.rmtree(path.parent)
            path.parent.mkdir()
        path.write_text(json.dumps({"skipped": f"Reason number {place}."}))
    evidence.run(params, copy)
    page = (copy.reports / "evidence.html").read_text(encoding="utf-8")
    assert all(f"Reason number {place}." in page for place in range(len(EVIDENCE)))
    claims = json.loads((copy.reports / "evidence.json").read_text(encoding="utf-8"))["claims"]
    assert not any("outcome" in part for part in claims["folding"].values())


def test_evidence_of_another_version_is_named_with_the_way_out(copy: Workspace, params: Params):
    (copy.planted / "planted.json").write_text("{}")
    with pytest.raises(BakeoffError, match=r"planted\.json can't be read \('variants' is missing\).*dvc repro"):
        evidence.run(params, copy)


def test_the_figures_of_claims_are_without_measured_costs(workspace: Workspace):
    metrics = read_figures(workspace)
    assert metrics["claims"]["quality"]["vs_mf_ndcg@10"].keys() >= {"first", "second", "difference", "low", "high"}
    assert metrics["claims"]["folding"]["planted_weight"]["difference"] == pytest.approx(0.29, abs=1e-5)
    found = metrics["claims"]["popularity"]["coverage"]
    assert found["low"] < found["difference"] < found["high"]
    assert "serving_cost" not in metrics["claims"]
    assert "epoch" not in metrics["claims"]["depth"]
