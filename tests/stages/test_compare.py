import importlib
import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.models.base import specs
from bakeoff.params import Params, parse_params
from bakeoff.report.render import terminal
from bakeoff.stages import compare

OUTPUTS = ("index.html", "comparison.md", "comparison.svg", "metrics.json", "verdict.json")


def load_writer() -> Callable[..., Path]:
    """The generator of invented workspaces that the tests of the report have."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
    return importlib.import_module("synthetic").write_workspace


def read_page(workspace: Workspace) -> str:
    return (workspace.reports / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def params() -> Params:
    return parse_params({"compare": {"resamples": 200}})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Workspace:
    workspace = Workspace(load_writer()(tmp_path_factory.mktemp("compare")))
    compare.run(params, workspace)
    return workspace


@pytest.fixture
def copy(workspace: Workspace, tmp_path: Path) -> Workspace:
    """The same, with its reports, for a test to change."""
    return Workspace(shutil.copytree(workspace.root, tmp_path / "copy"))


@pytest.fixture(scope="module")
def metrics(workspace: Workspace) -> dict[str, Any]:
    return json.loads((workspace.reports / "metrics.json").read_text(encoding="utf-8"))


def test_three_reports_are_written_and_nothing_half_written_is_left(workspace: Workspace):
    assert all((workspace.reports / name).stat().st_size > 0 for name in OUTPUTS)
    assert list(workspace.reports.glob(".*")) == []


def test_the_reports_of_validation_and_split_are_published_byte_for_byte(workspace: Workspace):
    for report in (workspace.validation_report, workspace.split_report):
        assert (workspace.reports / report.name).read_bytes() == report.read_bytes()


def test_ndcg_can_be_recomputed_from_the_split_and_the_lists(workspace: Workspace, metrics: dict[str, Any]):
    truth = pd.read_parquet(workspace.split / "test.parquet").groupby("user_id").item_id.agg(set)
    for model in specs.names():
        lists = pd.read_parquet(workspace.evaluation(model) / "recommendations.parquet")
        top = lists[lists["rank"] <= 10]
        gains = top.assign(
            gain=[
                (item in truth[user]) / math.log2(rank + 1)
                for user, rank, item in zip(top.user_id, top["rank"], top.item_id, strict=True)
            ]
        )
        ideal = truth.map(lambda items: sum(1 / math.log2(r + 2) for r in range(min(10, len(items)))))
        mean = (gains.groupby("user_id").gain.sum() / ideal).mean()
        assert metrics[model]["ndcg@10"] == pytest.approx(mean, abs=1e-6)


def test_metrics_are_numbers_in_nested_dicts(metrics: dict[str, Any]):
    def leaves(tree: Any) -> list[Any]:
        return [leaf for value in tree.values() for leaf in leaves(value)] if isinstance(tree, dict) else [tree]

    assert all(isinstance(leaf, int | float) and math.isfinite(leaf) for leaf in leaves(metrics))


def test_metrics_hold_models_differences_new_users_and_the_verdict(metrics: dict[str, Any]):
    assert metrics["difference"]["softmax_vs_mf"]["ndcg@10"].keys() == {"mean", "low", "high", "p", "p_holm"}
    assert metrics["new_users"]["softmax"]["0"]["ndcg@10"] >= 0
    assert metrics["softmax"]["coverage@10"] > 0
    assert metrics["verdict"].keys() == {"ndcg@10"}


def test_metrics_hold_a_block_per_model_with_its_slices_and_its_place_beside_the_best_baseline(
    metrics: dict[str, Any],
):
    [(baseline, standings)] = metrics["best_baseline"].items()
    assert {baseline, *standings} == set(specs.names())
    for model in specs.names():
        assert metrics[model]["time_since_last_event"]["later"]["ndcg@10"] >= 0


def test_the_same_inputs_give_the_same_bytes(workspace: Workspace, params: Params):
    before = [(workspace.reports / name).read_bytes() for name in OUTPUTS]
    compare.run(params, workspace)
    assert [(workspace.reports / name).read_bytes() for name in OUTPUTS] == before


def test_another_measured_cost_changes_nothing_that_git_holds(copy: Workspace, params: Params):
    kept = ("comparison.md", "metrics.json", "verdict.json")
    before = [(copy.reports / name).read_bytes() for name in kept]
    copy.cost("train/mf").write_text('{"wall_seconds": 99, "cpu_seconds": 99, "peak_memory_bytes": 99}')
    compare.run(params, copy)
    assert [(copy.reports / name).read_bytes() for name in kept] == before
    assert "1\N{NO-BREAK SPACE}min 39\N{NO-BREAK SPACE}s" in read_page(copy)


def test_neither_paths_nor_the_host_are_in_the_reports(workspace: Workspace):
    for name in OUTPUTS:
        assert str(workspace.root) not in (workspace.reports / name).read_text(encoding="utf-8")


def test_costs_and_data_dvc_may_be_absent(copy: Workspace, params: Params):
    for path in [*copy.root.glob("artifacts/cost/**/*.json"), copy.root / "data.dvc"]:
        path.unlink()
    compare.run(params, copy)
    page = read_page(copy)
    assert "not under version control" in page
    assert "Training took" not in page


@pytest.mark.parametrize(
    "name",
    [
        "artifacts/evaluation/mf/users.parquet",
        "artifacts/training/softmax.json",
        "artifacts/checks/split.json",
        "artifacts/split/vocabulary/items.parquet",
        "artifacts/evaluation/mf/sampled.parquet",
        "artifacts/evaluation/softmax/recommendations.parquet",
    ],
)
def test_a_missing_input_is_named_with_the_way_out(copy: Workspace, params: Params, name: str):
    (copy.root / name).unlink()
    with pytest.raises(BakeoffError, match=rf"{name} does not exist.*dvc repro"):
        compare.run(params, copy)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("artifacts/evaluation/mf/users.parquet", "dvc repro"),
        ("artifacts/checks/split.json", "dvc repro"),
        ("data/dataset.json", "dvc checkout --force data.dvc"),
        ("tuning/mf.json", "bakeoff tune mf"),
    ],
)
def test_an_unreadable_input_is_named_with_the_way_out(copy: Workspace, params: Params, name: str, command: str):
    (copy.root / name).parent.mkdir(exist_ok=True)
    (copy.root / name).write_bytes(b"\x00{ not a table")
    with pytest.raises(BakeoffError, match=rf"{name} can't be read as .*: delete it and run `{command}`\.$"):
        compare.run(params, copy)


def skip(workspace: Workspace, model: str) -> None:
    """Leave what a stage leaves that could not train the model."""
    shutil.rmtree(workspace.evaluation(model))
    workspace.evaluation(model).mkdir()
    workspace.training(model).write_text(json.dumps({"model": model, "skipped": "It is too big."}))
    (workspace.evaluation(model) / "metrics.json").write_text(json.dumps({"skipped": "It is too big."}))


def test_a_skipped_model_is_left_out_and_its_reason_is_said(copy: Workspace, params: Params):
    skip(copy, "ease")
    compare.run(params, copy)
    assert "EASE was left out. It is too big." in (copy.reports / "comparison.md").read_text(encoding="utf-8")
    assert "ease" not in json.loads((copy.reports / "metrics.json").read_text(encoding="utf-8"))
    assert read_page(copy).count("It is too big.") == 1


def test_what_is_measured_for_the_claims_is_not_needed(copy: Workspace, params: Params):
    before = [(copy.reports / name).read_bytes() for name in OUTPUTS]
    for name in ("variants", "planted", "rerank", "items", "cost/variants", "cost/growth.json", "cost/serving.json"):
        path = copy.root / "artifacts" / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    compare.run(params, copy)
    assert [(copy.reports / name).read_bytes() for name in OUTPUTS] == before


def test_metrics_hold_sampled_figures_of_each_model(metrics: dict[str, Any]):
    for model in specs.names():
        assert metrics[model]["sampled"]["ndcg@10"] >= 0


def read(workspace: Workspace, max_users: int):
    return compare.read_evidence(parse_params({"compare": {"max_users": max_users}}), workspace)


def test_of_too_many_users_a_sample_is_looked_at_the_same_of_every_model(workspace: Workspace):
    whole, part = read(workspace, 60), read(workspace, 9)
    users = part.models["mf"].users.user_id
    assert len(users) == users.nunique() == 9
    new = set(part.models["mf"].new_users.user_id)
    assert len(new) == 9
    for name, model in part.models.items():
        everyone = whole.models[name]
        for table in ("users", "sampled", "lists"):
            expected = getattr(everyone, table)[lambda rows: rows.user_id.isin(users)].reset_index(drop=True)
            pd.testing.assert_frame_equal(getattr(model, table), expected, check_categorical=False)
        assert set(model.new_lists.user_id) <= new
    assert set(part.events.user_id) == set(users)
    assert set(part.new_events.user_id) == new
    assert set(part.users.user_id) == new | set(users)
    assert read(workspace, 9).models["mf"].users.user_id.equals(users)


def test_all_users_are_looked_at_where_there_are_few(workspace: Workspace):
    whole = read(workspace, 60)
    assert len(whole.models["mf"].users) == 60
    assert whole.models["mf"].new_users.user_id.nunique() == 12
    assert whole.users.user_id.nunique() == 72


def test_of_too_many_users_the_verdict_rests_on_all_and_the_sections_on_a_sample(copy: Workspace, params: Params):
    assert "seeded sample" not in read_page(copy)
    few = params.model_copy(update={"compare": params.compare.model_copy(update={"max_users": 20})})
    compare.run(few, copy)
    page = read_page(copy)
    assert "asked about 60 users. The verdict, the table of all metrics" in page
    assert "a seeded sample of 20 of them (compare.max_users)" in page
    metrics = json.loads((copy.reports / "metrics.json").read_text(encoding="utf-8"))
    everyone = read(copy, 60).models["softmax"].users
    assert metrics["softmax"]["ndcg@10"] == pytest.approx(everyone["ndcg@10"].mean(), abs=1e-6)
    assert "Over 60 warm users of the test set" in page


@pytest.mark.parametrize("max_users", [20, 100_000], ids=["a sample", "everyone"])
@pytest.mark.parametrize("table", ["users", "new_users"])
@pytest.mark.parametrize("rows", [slice(None, None, -1), slice(1, None)], ids=["order", "one fewer"])
def test_all_users_must_be_the_same_whether_a_sample_is_looked_at_or_not(
    copy: Workspace, params: Params, max_users: int, table: str, rows: slice
):
    few = params.model_copy(update={"compare": params.compare.model_copy(update={"max_users": max_users})})
    path = copy.evaluation("mf") / f"{table}.parquet"
    pd.read_parquet(path)[rows].to_parquet(path)
    with pytest.raises(BakeoffError, match=f"mf was evaluated on other {table.replace('_', ' ')} than"):
        compare.run(few, copy)


def test_there_is_no_verdict_without_a_contender(copy: Workspace, params: Params):
    skip(copy, "mf")
    with pytest.raises(BakeoffError, match=r"mf was skipped \(It is too big\.\)"):
        compare.run(params, copy)


@pytest.fixture
def searched(tmp_path: Path) -> Workspace:
    """A workspace with records of tuning, not compared yet."""
    return Workspace(load_writer()(tmp_path / "searched", searched=True))


def test_records_of_a_search_are_read_where_there_are_some(searched: Workspace, params: Params, workspace: Workspace):
    assert compare.read_evidence(params, searched).tuning.keys() >= {"mf", "softmax"}
    assert compare.read_evidence(params, workspace).tuning == {}


def test_without_records_of_a_search_there_is_no_verdict_anywhere(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
):
    terminal.print_verdict(workspace)
    texts = [(workspace.reports / name).read_text(encoding="utf-8") for name in ("index.html", "comparison.md")]
    for text in (*texts, " ".join(capsys.readouterr().out.split())):
        assert "No verdict yet: the contenders were not tuned on this data" in text
        assert "is better than MF on" not in text


def test_with_records_of_equal_searches_there_is_one(
    searched: Workspace, params: Params, capsys: pytest.CaptureFixture[str]
):
    compare.run(params, searched)
    terminal.print_verdict(searched)
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("The softmax DNN is better than MF on NDCG@10.")
    assert "BK003 qualifies. Seeds: One seed: 42." in printed


def test_a_failed_comparison_leaves_the_last_report_as_it_was(copy: Workspace, params: Params):
    before = (copy.reports / "index.html").read_bytes()
    (copy.evaluation("mf") / "users.parquet").unlink()
    with pytest.raises(BakeoffError):
        compare.run(params, copy)
    assert (copy.reports / "index.html").read_bytes() == before


def test_a_learned_vector_for_each_user_is_no_column_twice(workspace):
    params = parse_params({"data": {"user_features": {"user_id": "categorical"}}})
    assert list(compare.read_evidence(params, workspace).users) == ["user_id"]
