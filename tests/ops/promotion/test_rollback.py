import os
import shutil

import pytest
from dvc.cli import main as dvc
from promotion_repo import Repo, commit, decided, git, new_repo, standing, tags, write_models

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.ops.promotion import promote


def promoted(workspace: Workspace, model: str, **content: str) -> None:
    write_models(workspace, **content)
    commit(workspace)
    decided(workspace, model)
    promote.promote(workspace)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """mf@v1.0.0, then softmax@v1.0.0, then softmax@v2.0.0 went into production; all pushed to Git and DVC remotes."""
    base = tmp_path_factory.mktemp("rollback")
    workspace = new_repo(base / "repo")
    with Repo(str(workspace.root)) as repo, repo.config.edit() as config:
        config["core"]["remote"] = "store"
        config["remote"]["store"] = {"url": str(base / "store")}
    promoted(workspace, "mf", mf="mf 1", softmax="softmax 1")
    promoted(workspace, "softmax")
    promoted(workspace, "softmax", softmax="softmax 2")
    with Repo(str(workspace.root)) as repo:
        repo.push(all_tags=True)
    git(base, "clone", "--quiet", "--bare", str(workspace.root), "shared.git")
    git(workspace.root, "remote", "add", "origin", str(base / "shared.git"))
    return workspace


@pytest.fixture
def workspace(three, tmp_path):
    shutil.copytree(three.root, tmp_path / "repo", symlinks=True)
    return Workspace(tmp_path / "repo")


def test_a_rollback_puts_back_what_was_there_before(workspace, capsys):
    promote.rollback(workspace)
    assert standing(workspace) == "softmax@v1.0.0"
    out = capsys.readouterr().out
    assert "softmax@v1.0.0 is in production again" in out
    assert "`bakeoff rollback --to softmax@v2.0.0` takes this one back" in out


def test_rollbacks_in_a_row_go_on_backwards_across_models_and_end_at_the_first(workspace):
    promote.rollback(workspace)
    promote.rollback(workspace)
    assert standing(workspace) == "mf@v1.0.0"
    with pytest.raises(BakeoffError, match=r"mf@v1\.0\.0 is the first on the way back"):
        promote.rollback(workspace)
    assert standing(workspace) == "mf@v1.0.0"


def test_a_version_can_be_named(workspace):
    promote.rollback(workspace, "mf@v1.0.0")
    assert standing(workspace) == "mf@v1.0.0"
    promote.rollback(workspace, "softmax@v2.0.0")
    assert standing(workspace) == "softmax@v2.0.0"


def test_a_rollback_to_what_is_in_production_changes_nothing(workspace, capsys):
    before = tags(workspace)
    promote.rollback(workspace, "softmax@v2.0.0")
    assert "in production already: nothing was changed" in capsys.readouterr().out
    assert tags(workspace) == before


def test_a_version_that_was_never_registered_is_refused(workspace):
    with pytest.raises(BakeoffError, match=r"'softmax@v7\.0\.0' is no version"):
        promote.rollback(workspace, "softmax@v7.0.0")


def test_files_that_only_the_remote_has_are_enough(workspace):
    shutil.rmtree(workspace.root / ".dvc/cache")
    promote.rollback(workspace)
    assert standing(workspace) == "softmax@v1.0.0"


def test_a_version_whose_files_are_nowhere_is_refused_with_what_to_do(workspace, tmp_path):
    shutil.rmtree(workspace.root / ".dvc/cache")
    with Repo(str(workspace.root)) as repo, repo.config.edit() as config:
        config["remote"]["store"]["url"] = str(tmp_path / "empty")
    before = tags(workspace)
    with pytest.raises(
        BakeoffError,
        match=r"softmax@v1\.0\.0 .* in neither DVC's cache nor its remote.*dvc push --all-tags models/softmax",
    ):
        promote.rollback(workspace)
    assert tags(workspace) == before


def test_where_nothing_is_in_production_there_is_nothing_to_leave(tmp_path):
    workspace = new_repo(tmp_path / "repo")
    git(workspace.root, "commit", "--quiet", "--allow-empty", "--message", "empty")
    with pytest.raises(BakeoffError, match="Nothing is in production"):
        promote.rollback(workspace)


def test_what_is_in_production_is_fetched_elsewhere_by_its_stage_and_by_its_version(three, tmp_path, monkeypatch):
    # what a server does: it has neither clone nor cache, only the addresses of both remotes
    shared = git(three.root, "remote", "get-url", "origin")
    monkeypatch.chdir(tmp_path)
    for options, text in (["--stage", "prod"], "softmax 2"), (["--rev", "v1.0.0"], "softmax 1"):
        assert dvc(["artifacts", "get", shared, "softmax", *options, "--out", text, "--quiet"]) == 0
        assert (tmp_path / text / "saved_model.pb").read_text() == text


def test_a_rollback_that_is_pushed_reaches_who_fetches(three, workspace, tmp_path, monkeypatch):
    git(tmp_path, "clone", "--quiet", "--bare", git(three.root, "remote", "get-url", "origin"), "own.git")
    git(workspace.root, "remote", "set-url", "origin", str(tmp_path / "own.git"))
    promote.rollback(workspace, push=True)
    monkeypatch.chdir(tmp_path)
    assert (
        dvc(["artifacts", "get", os.fspath(tmp_path / "own.git"), "softmax", "--stage", "prod", "-o", "got", "-q"]) == 0
    )
    assert (tmp_path / "got/saved_model.pb").read_text() == "softmax 1"


def test_a_rollback_whose_push_was_cut_off_is_pushed_by_naming_its_version(three, workspace, tmp_path, capsys):
    git(tmp_path, "clone", "--quiet", "--bare", git(three.root, "remote", "get-url", "origin"), "own.git")
    git(workspace.root, "remote", "set-url", "origin", str(tmp_path / "own.git"))
    promote.rollback(workspace)  # as far as it came
    made = tags(workspace)
    assert tags(Workspace(tmp_path / "own.git")) != made
    promote.rollback(workspace, "softmax@v1.0.0", push=True)
    assert "in production already, at origin too." in capsys.readouterr().out
    assert tags(Workspace(tmp_path / "own.git")) == tags(workspace) == made
