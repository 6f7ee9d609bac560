from pathlib import Path

import pytest
from flow_project import Project, call, dvc

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import ChildError
from bakeoff.flows.experiment import check_overrides, run_experiment

STAGES = """
stages:
  train:
    cmd: python train.py
    deps: [data, train.py]
    params: [mf]
    outs: [model]
    metrics: [metrics.json: {cache: false}]
"""
TRAIN = """
import json, shutil
from ruamel.yaml import YAML
dim = YAML(typ="safe").load(open("params.yaml"))["mf"]["dim"]
if dim == 13:
    raise SystemExit("thirteen is bad luck")
print("training with", dim)
shutil.copy("data", "model")
json.dump({"mf": {"ndcg@10": dim / 64, "same": 1}}, open("metrics.json", "w"))
"""
PARAMS = """\
# a comment that must stay
mf: {dim: 64, max_epochs: 3}
softmax: {hidden: [128]}
validation: {earliest: "1990-01-01"}
"""


@pytest.fixture(scope="module")
def workspace(project: Project) -> Path:
    """A committed project in which params.yaml was changed since: dim 64, then 48."""
    root = project(STAGES, train=TRAIN)
    (root / "params.yaml").write_text(PARAMS)
    (root / "data").write_text("data")
    dvc("add", "--quiet", "data", cwd=root)
    dvc("repro", "--quiet", cwd=root)
    call("git", "add", "--all", cwd=root)
    call("git", "commit", "--quiet", "--message=first", cwd=root)
    (root / "params.yaml").write_text(PARAMS.replace("64", "48"))
    dvc("repro", "--quiet", cwd=root)
    return root


def snapshot(workspace: Path) -> dict[str, tuple[bytes, int, int]]:
    """Content, modification time and inode of each file that belongs to the workspace itself."""
    files = [path for path in workspace.iterdir() if path.is_file()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def test_an_experiment_is_recorded_and_leaves_every_file_of_the_workspace_alone(workspace: Path) -> None:
    before, status = snapshot(workspace), call("git", "status", "--porcelain", cwd=workspace)
    lines: list[str] = []
    rows = run_experiment(["mf.dim=32"], "smaller", workspace, log=lines.append, timeout=60)
    assert rows == [
        {"metric": "mf.ndcg@10", "workspace": 0.75, "experiment": 0.5, "difference": -0.25},
        {"metric": "mf.same", "workspace": 1, "experiment": 1, "difference": 0.0},
    ]
    assert "training with 32" in lines
    assert not [line for line in lines if "applied to your workspace" in line]
    assert snapshot(workspace) == before
    assert call("git", "status", "--porcelain", cwd=workspace) == status
    assert not list((workspace / ".dvc/tmp").glob("what-if-*"))
    assert "smaller" in dvc("exp", "list", "--name-only", cwd=workspace)
    with pytest.raises(BakeoffError, match="An experiment smaller exists"):
        run_experiment(["mf.dim=16"], "smaller", workspace, log=lines.append, timeout=60)


def test_a_parameter_that_the_file_leaves_at_its_default_can_be_set(workspace: Path) -> None:
    run_experiment(["mf.regularization=0.5"], "added", workspace, log=lambda _: None, timeout=60)
    [found] = call("git", "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/added", cwd=workspace).split()
    params = call("git", "show", f"{found}:params.yaml", cwd=workspace)
    assert "regularization: 0.5" in params
    assert "regularization" not in (workspace / "params.yaml").read_text()


@pytest.mark.parametrize(("key", "value"), [("diff.external", "true"), ("diff.noprefix", "true")])
def test_uncommitted_changes_are_taken_along_whatever_the_users_git_settings_are(
    key: str, value: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("COUNT", "1"), ("KEY_0", key), ("VALUE_0", value)):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", text)
    rows = run_experiment(["mf.max_epochs=4"], key.replace(".", "-"), workspace, log=lambda _: None, timeout=120)
    assert [row["experiment"] for row in rows] == [0.75, 1]  # of dim 48, which no commit has


def test_an_experiment_that_fails_is_quoted_and_leaves_nothing_behind(workspace: Path) -> None:
    before = snapshot(workspace)
    with pytest.raises(ChildError, match="thirteen is bad luck"):
        run_experiment(["mf.dim=13"], "unlucky", workspace, log=lambda _: None, timeout=60)
    assert snapshot(workspace) == before
    assert not list((workspace / ".dvc/tmp").glob("what-if-*"))


def test_a_project_without_a_commit_is_refused(empty_project: Path) -> None:
    with pytest.raises(BakeoffError, match="commit the project first"):
        run_experiment(["mf.dim=1"], "early", empty_project, log=lambda _: None, timeout=60)


@pytest.mark.parametrize(
    "override", ["mf.dim=32", "softmax.dim=32", "softmax.hidden=[64,32]", "validation.earliest=1991-02-03"]
)
def test_a_valid_override_is_accepted(override: str, workspace: Path) -> None:
    check_overrides([override], workspace)


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("mf.dmi=32", r"no parameter mf\.dmi: did you mean mf\.dim\?"),
        ("m.dim=32", r"no parameter m\.dim: did you mean mf\.dim\?"),
        ("mf.dim.x=32", r"no parameter mf\.dim\.x"),
        ("+mf.new=1", r"no parameter \+mf\.new"),
        ("mf.dim", "write NAME=VALUE"),
        ("mf.dim=0", r"mf\.dim: Input should be greater than 0"),
        ("mf.dim=many", r"mf\.dim: Input should be a valid integer"),
        ("mf.dim=16,32", "cannot be read"),
        ("mf.dim=[16", "cannot be read"),
    ],
)
def test_a_wrong_override_is_refused_with_its_cause(override: str, why: str, workspace: Path) -> None:
    before = snapshot(workspace)
    with pytest.raises(BakeoffError, match=why):
        check_overrides([override], workspace)
    assert snapshot(workspace) == before


def test_overrides_outside_a_project_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match=r"params\.yaml does not exist"):
        check_overrides(["mf.dim=1"], tmp_path)
