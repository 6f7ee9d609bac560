import json
import os

import pytest
from promotion_repo import commit, decided, git, md5, new_repo, write_models
from ruamel.yaml import YAML

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops.promotion import promote


@pytest.fixture
def workspace(tmp_path):
    """A repository with one model, the data that it is from, and its figures."""
    workspace = new_repo(tmp_path / "repo", ["mf"])
    write_models(workspace, mf="mf 1")
    commit(workspace)
    root = workspace.root
    # These are under version control here by themselves: nothing reads the data.
    (root / "data.dvc").write_text("outs:\n- md5: 0123.dir\n  path: data\n")
    workspace.reports.mkdir()
    (root / "reports/validation.json").write_text(json.dumps({"tables": {"interactions": {"rows": 1234}}}))
    metrics = {"mf": {"recall@20": 0.25, "ndcg@10": 0.1}, "verdict": {"recall@20": {}}}
    (root / "reports/metrics.json").write_text(json.dumps(metrics))
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "data")
    return workspace


def told(workspace: Workspace, capsys) -> dict:
    capsys.readouterr()
    promote.show_status(workspace, as_json=True)
    return json.loads(capsys.readouterr().out)


def shown(workspace: Workspace, capsys) -> str:
    capsys.readouterr()
    promote.show_status(workspace)
    return capsys.readouterr().out


def test_before_anything_is_promoted_the_way_there_is_told(workspace, capsys):
    assert told(workspace, capsys) == {"production": None, "decision": None, "history": []}
    out = shown(workspace, capsys)
    assert "Nothing is in production yet" in out
    assert "git fetch --tags" in out


def test_version_data_and_figures_are_those_of_the_commit_in_production(workspace, capsys):
    promote.promote(workspace, "mf", despite="[b]first[/b]")
    (workspace.root / "reports/metrics.json").write_text("{}")  # what the workspace holds now is not what is served
    found = told(workspace, capsys)["production"]
    assert (found["model"], found["version"], found["tag"]) == ("mf", "v1.0.0", "mf#prod#1")
    assert (found["data_md5"], found["rows"]) == ("0123.dir", 1234)
    assert found["figures"] == {"recall@20": 0.25}
    assert found["commit"] == git(workspace.root, "rev-parse", "HEAD")
    assert found["since"].endswith("Z")
    out = shown(workspace, capsys)
    assert "MF (mf)" in out
    assert "[b]first[/b]" in out
    assert "1\N{NARROW NO-BREAK SPACE}234" in out


@pytest.mark.parametrize(("compared", "rows"), [("0123.dir", 1234), ("4567.dir", None)])
def test_rows_are_those_of_the_data_in_production_or_not_told(workspace, capsys, compared, rows):
    lock = YAML(typ="safe").load(workspace.root / "dvc.lock")
    lock["stages"] |= {
        "validate": {"deps": [{"path": "data", "md5": "0123.dir"}]},
        "compare": {"deps": [{"path": "data", "md5": compared}]},
    }
    YAML().dump(lock, workspace.root / "dvc.lock")
    git(workspace.root, "commit", "--quiet", "--all", "--message", "validated")
    promote.promote(workspace, "mf", despite="it is the first")
    assert told(workspace, capsys)["production"]["rows"] == rows


def test_a_decision_is_open_then_carried_out_then_outdated(workspace, capsys):
    decided(workspace, "mf")
    assert told(workspace, capsys)["decision"]["state"] == "open"
    promote.promote(workspace)
    assert told(workspace, capsys)["decision"]["state"] == "carried out"
    content = json.loads((workspace.decision / "decision.json").read_text())
    content["challenger"]["md5"] = "another"
    (workspace.decision / "decision.json").write_text(json.dumps(content))
    assert told(workspace, capsys)["decision"]["state"] == "outdated"
    assert "run `bakeoff decide`" in " ".join(shown(workspace, capsys).split())
    assert md5(workspace, "mf") != "another"


def test_the_history_holds_the_last_ten_newest_first(workspace, capsys):
    root = workspace.root
    for number in range(12):
        git(root, "commit", "--quiet", "--allow-empty", "--message", "x")
        git(root, "tag", f"mf@v{number}.0.0", "--message", "x")
        git(root, "tag", f"mf#prod#{number + 1}", "--message", "x")
    history = told(workspace, capsys)["history"]
    assert [entry["version"] for entry in history] == [f"v{number}.0.0" for number in range(11, 1, -1)]
    assert {entry["action"] for entry in history} == {"by hand"}


def test_a_repository_that_git_refuses_as_another_user_s_is_not_called_none(workspace, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with pytest.raises(BakeoffError, match=r"dubious ownership(?s:.*)--add safe\.directory"):
        promote.show_status(workspace)


def test_outside_of_a_repository_there_is_no_status(tmp_path):
    with pytest.raises(BakeoffError, match="is in no Git repository"):
        promote.show_status(Workspace(tmp_path))
