"""Real exported models of a small split, under Git and DVC: what challenges, what is there, and what follows."""

import json
import shutil

import made_log
import pandas as pd
import promotion_repo as repo
import pytest
import small_split

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import write_json
from bakeoff.core.workspace import Workspace
from bakeoff.ops.promotion import decide, promote
from bakeoff.params import Params
from bakeoff.stages import evaluate, export, train

SMALL = small_split.PARAMS.model_dump()
PARAMS = Params.model_validate(
    SMALL | {"compare": {"resamples": 500}, "promotion": {"challenger": "mf", "guardrails": {"p95_seconds": None}}}
)


def changed(section: str, **values) -> Params:
    return Params.model_validate(PARAMS.model_dump() | {section: getattr(PARAMS, section).model_dump() | values})


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """EASE in production; MF is trained, evaluated and committed as well."""
    workspace = repo.new_repo(tmp_path_factory.mktemp("decide") / "repo", ["popularity", "ease", "mf"])
    (workspace.root / ".gitignore").write_text("/models\n/artifacts\n")
    small_split.write_split(workspace)
    for model in ("popularity", "ease", "mf"):
        train.run(PARAMS, workspace, model)
        export.run(workspace, model)
    evaluate.run(PARAMS, workspace, "mf")
    # The data have been validated anew since they were compared.
    for report, rows in ((workspace.validation_report, 1234), (workspace.reports / "validation.json", 5)):
        write_json(report, {"tables": {"interactions": {"rows": rows}}})
    repo.commit(workspace)
    promote.promote(workspace, "ease", despite="there must be something")
    return workspace


@pytest.fixture
def workspace(served, tmp_path):
    shutil.copytree(served.root, tmp_path / "repo", symlinks=True)
    return Workspace(tmp_path / "repo")


def decided(workspace: Workspace, params: Params = PARAMS, model: str | None = None) -> dict:
    decide.run(params, workspace, model)
    for name in ("decision.md", "decision.html"):
        assert (workspace.decision / name).stat().st_size > 400
    return json.loads((workspace.decision / "decision.json").read_text(encoding="utf-8"))


def rails(found: dict) -> dict:
    return {rail["name"]: rail for rail in found["guardrails"]}


@pytest.fixture(scope="module")
def once(served, tmp_path_factory):
    """A copy in which MF was set beside EASE, and what was found."""
    workspace = Workspace(tmp_path_factory.mktemp("once") / "repo")
    shutil.copytree(served.root, workspace.root, symlinks=True)
    return workspace, decided(workspace)


def test_the_challenger_shows_the_figures_of_its_evaluation(once):
    workspace, found = once
    metrics = json.loads((workspace.evaluation("mf") / "metrics.json").read_text(encoding="utf-8"))
    shown = rails(found)
    assert found["primary"]["challenger"] == pytest.approx(metrics["test"]["ndcg@10"], abs=1e-12)
    assert found["primary"]["num_users"] == metrics["test"]["num_users"] == 14
    assert shown["new_user_loss"]["challenger"] == pytest.approx(metrics["new_users"]["all"]["ndcg@10"], abs=1e-12)
    assert shown["popularity_lift_rise"]["challenger"] == pytest.approx(metrics["test"]["popularity_lift@10"])


def test_both_sides_are_told_apart_by_model_version_and_bytes(once):
    workspace, found = once
    assert found["challenger"]["model"] == "mf"
    assert found["challenger"]["md5"] == repo.md5(workspace, "mf")
    assert found["challenger"]["rows"] == 1234
    assert found["champion"] == {
        "model": "ease",
        "md5": repo.md5(workspace, "ease"),
        "version": "v1.0.0",
        "commit": repo.git(workspace.root, "rev-parse", "HEAD"),
        "data_md5": None,
        "rows": 5,
    }
    assert found["left_out"] == {"warm_users": 0, "new_users": 0}
    assert "p95_seconds" not in rails(found)
    assert 0 <= rails(found)["spurious_rise"]["champion"] <= 1


def test_nothing_but_its_reports_is_written(once, served):
    workspace, _ = once
    assert repo.git(workspace.root, "status", "--porcelain", "--untracked-files=all").split("\n") == [
        f"?? reports/decision/decision.{kind}" for kind in ("html", "json", "md")
    ]
    assert repo.tags(workspace) == repo.tags(served)


def test_the_same_question_gives_the_same_bytes(once, workspace):
    decided(workspace)
    for path in once[0].decision.iterdir():
        assert path.read_bytes() == (workspace.decision / path.name).read_bytes()


def test_a_broken_guardrail_holds_what_the_margin_lets_pass(workspace):
    guardrails = {"new_user_loss": 1, "popularity_lift_rise": 9, "spurious_rise": 1, "p95_seconds": 60}
    found = decided(workspace, changed("promotion", margin=0.99, guardrails=guardrails | {"model_bytes": 1}))
    assert found["primary"]["low"] > -0.99
    assert found["outcome"] == "hold"
    assert [name for name, rail in rails(found).items() if not rail["success"]] == ["model_bytes"]
    assert 0 < rails(found)["p95_seconds"]["champion"] < 60


@pytest.mark.parametrize(("wins", "success"), [(None, False), (50, False), (90, True)])
def test_an_online_win_is_asked_for_if_params_say_so(workspace, monkeypatch, wins, success):
    if wins is not None:
        monkeypatch.setattr(made_log, "CHAMPION", f"ease@v1.0.0+{repo.md5(workspace, 'ease')[:8]}")
        monkeypatch.setattr(made_log, "CHALLENGER", f"mf@workspace+{repo.md5(workspace, 'mf')[:8]}")
        made_log.interleaved(workspace.root / ".bakeoff/online", wins, 100 - wins)
    limits = {"new_user_loss": 1, "popularity_lift_rise": 9, "spurious_rise": None, "p95_seconds": None}
    found = decided(workspace, changed("promotion", margin=0.99, guardrails=limits | {"champion_online_share": 0.5}))
    rail = rails(found)["champion_online_share"]
    assert rail["success"] is success
    assert (rail["challenger"] == 1) == (wins is None)
    assert found["outcome"] == ("promote" if success else "hold")


def test_the_best_contender_on_validation_challenges_by_default(served):
    model, why = decide._challenger(changed("promotion", challenger="best"), served, None)
    assert model == "mf"
    assert why.startswith("MF is the challenger because it is the best model on validation (NDCG@10 ")


def test_the_same_bytes_of_the_model_in_production_are_unchanged(workspace):
    found = decided(workspace, model="ease")
    assert (found["outcome"], found["primary"], found["guardrails"]) == ("unchanged", None, [])


def test_another_training_of_the_model_in_production_is_compared_with_it(workspace):
    train.run(changed("ease", regularization=50), workspace, "ease")
    export.run(workspace, "ease")
    repo.commit(workspace)
    found = decided(workspace, model="ease")
    assert found["outcome"] in ("promote", "hold")
    assert found["challenger"]["md5"] != found["champion"]["md5"]


def test_users_whose_answers_the_champion_was_trained_on_are_left_out(workspace):
    # two users tell their test event and are asked about the one that was for validation
    valid, test = (pd.read_parquet(workspace.split / f"{part}.parquet") for part in ("valid", "test"))
    moved = ["u3", "u9"]
    swapped = [
        pd.concat([table[~table["user_id"].isin(moved)], other[other["user_id"].isin(moved)]]).sort_index()
        for table, other in ((valid, test), (test, valid))
    ]
    for part, table in zip(("valid", "test"), swapped, strict=True):
        table.to_parquet(workspace.split / f"{part}.parquet", index=False)
    found = decided(workspace)
    assert found["left_out"] == {"warm_users": 2, "new_users": 0}
    assert found["primary"]["num_users"] == 12
    assert any("2 warm and 0 new users" in reason for reason in found["reasons"])


def test_before_anything_is_in_production_the_challenger_must_beat_popularity(workspace):
    repo.git(workspace.root, "tag", "--delete", *repo.tags(workspace))
    evaluate.run(PARAMS, workspace, "popularity")
    found = decided(workspace, changed("promotion", margin=0.9))
    metrics = json.loads((workspace.evaluation("popularity") / "metrics.json").read_text(encoding="utf-8"))
    assert found["champion"] is None
    # equal scores are ordered as there, truth last
    assert found["primary"]["champion"] == pytest.approx(metrics["test"]["ndcg@10"], abs=1e-12)
    assert found["outcome"] == ("promote" if found["primary"]["low"] > 0 else "hold")  # the margin plays no part
    assert rails(found)["new_user_loss"]["champion"] is None


def test_a_model_that_a_rollback_left_is_held(workspace):
    promote.promote(workspace, "mf", despite="a try")
    promote.rollback(workspace)
    found = decided(workspace, changed("promotion", margin=0.99, guardrails={"p95_seconds": None, "new_user_loss": 1}))
    assert found["outcome"] == "hold"
    assert any("A rollback took mf@v1.0.0" in reason for reason in found["reasons"])


def test_files_of_the_champion_that_are_nowhere_stop_the_decision(workspace):
    shutil.rmtree(workspace.root / ".dvc/cache")
    with pytest.raises(BakeoffError, match=r"ease@v1\.0\.0 .* in neither DVC's cache nor its remote"):
        decide.run(PARAMS, workspace)
    assert not workspace.decision.exists()


def test_a_model_that_dvc_does_not_keep_cannot_challenge(workspace):
    (workspace.saved_model("mf") / "more").write_text("{}")
    with pytest.raises(BakeoffError, match=r"is not what dvc\.lock records .*dvc repro export@mf"):
        decide.run(PARAMS, workspace)
    with pytest.raises(BakeoffError, match=r"dvc\.lock records no models/softmax"):
        decide.run(PARAMS, workspace, "softmax")
    with pytest.raises(BakeoffError, match="'gpt' is not a model"):
        decide.run(PARAMS, workspace, "gpt")
