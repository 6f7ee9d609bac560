"""`bakeoff parents`: the models of the version in production are copied in, and DVC keeps them."""

import json

import pytest
from promotion_repo import commit, git, new_repo, tags

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import file_hash
from bakeoff.ops.registry.files import copy_parents
from bakeoff.ops.registry.history import enter

TRAINED = "models/{0}/trained"


@pytest.fixture
def workspace(tmp_path):
    """A repository with MF and the softmax DNN, of which MF alone left a start; nothing is in production."""
    workspace = new_repo(tmp_path, out=TRAINED)
    (tmp_path / ".gitignore").write_text("/models\n/parents/\n")
    for model in ("mf", "softmax"):
        workspace.trained(model).mkdir(parents=True)
        (workspace.trained(model) / "model.json").write_text(model)
    workspace.start("mf").write_bytes(b"weights")
    commit(workspace)
    return workspace


def test_what_is_in_production_is_copied_and_named(workspace, capsys):
    copy_parents(workspace)
    assert json.loads(workspace.parents_record.read_text()) == {}
    assert "All models are fitted in full: nothing is in production." in capsys.readouterr().out
    made = git(workspace.root, "rev-parse", "HEAD")
    enter(workspace.root, "softmax", made, "A promotion.", push=False)
    workspace.start("mf").write_bytes(b"newer weights, of a night that was not promoted")
    commit(workspace)
    copy_parents(workspace)
    path = workspace.parents / "mf.npz"
    assert path.read_bytes() == b"weights"
    named = {"version": "softmax@v1.0.0", "commit": made, "md5": file_hash(path, "md5")}
    assert json.loads(workspace.parents_record.read_text()) == {"mf": named}
    assert "outs" in (workspace.root / "parents.dvc").read_text()
    assert "parents/" not in git(workspace.root, "status", "--porcelain")
    before = (workspace.root / "parents.dvc").read_bytes(), workspace.parents_record.read_bytes()
    copy_parents(workspace)
    assert before == ((workspace.root / "parents.dvc").read_bytes(), workspace.parents_record.read_bytes())
    assert "softmax@v1.0.0" in tags(workspace)


def test_nothing_starts_from_a_model_that_was_made_before_somebody_was_forgotten(workspace, capsys):
    root = workspace.root
    enter(root, "softmax", git(root, "rev-parse", "HEAD"), "A promotion.", push=False)
    copy_parents(workspace)
    assert workspace.parents.exists()
    workspace.forgotten.write_text('{"removals": ["2026-12-02T10:00:00+00:00"]}')
    copy_parents(workspace)
    assert "softmax@v1.0.0 was made before `bakeoff forget` removed somebody" in capsys.readouterr().out
    assert json.loads(workspace.parents_record.read_text()) == {}
    assert not workspace.parents.exists()
    assert not (root / "parents.dvc").exists()
    # A version of a commit that knows of the removal is a parent again, until somebody else is removed.
    commit(workspace)
    enter(root, "softmax", git(root, "rev-parse", "HEAD"), "Another promotion.", push=False)
    copy_parents(workspace)
    assert json.loads(workspace.parents_record.read_text())["mf"]["version"] == "softmax@v2.0.0"
    workspace.forgotten.write_text('{"removals": ["2026-12-02T10:00:00+00:00", "2026-12-03T10:00:00+00:00"]}')
    copy_parents(workspace)
    assert json.loads(workspace.parents_record.read_text()) == {}


@pytest.mark.parametrize("damaged", ["<<<<<<< HEAD\n{}", "", "{}", "[]", '{"removals": 5}'])
def test_a_damaged_record_of_removals_is_no_permission(workspace, damaged):
    enter(workspace.root, "softmax", git(workspace.root, "rev-parse", "HEAD"), "A promotion.", push=False)
    workspace.forgotten.write_text(damaged)
    with pytest.raises(BakeoffError, match=r"forgotten\.json.*keep the lines of both"):
        copy_parents(workspace)


def test_files_that_are_nowhere_are_named_with_what_to_do(workspace):
    enter(workspace.root, "softmax", git(workspace.root, "rev-parse", "HEAD"), "A promotion.", push=False)
    for path in (workspace.root / ".dvc/cache/files/md5").rglob("*"):
        if path.is_file() and path.read_bytes() == b"weights":
            path.unlink()
    workspace.start("mf").unlink()
    with pytest.raises(BakeoffError, match=r"mf/trained/start.npz of softmax@v1.0.0, .*`dvc push --all-tags models/mf"):
        copy_parents(workspace)
    assert not workspace.parents.exists()
