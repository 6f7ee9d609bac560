"""A small project under Git and DVC whose models are a few bytes each: enough for the registry."""

import json
import os
import subprocess
from pathlib import Path

from dvc.repo import Repo

from bakeoff.core.workspace import Workspace
from bakeoff.ops.registry.files import model_md5
from bakeoff.ops.registry.history import production, read_events

MODELS = ("mf", "softmax")
OUT = "models/{0}/saved_model"


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def name_outputs(workspace: Workspace, out: str, models=MODELS, more: str | None = None) -> None:
    """Write a dvc.yaml with a stage and an artifact per model; `more` is another output of the stages."""
    paths = {name: out.format(name) for name in models}
    outs = {name: ", ".join(filter(None, [path, more and more.format(name)])) for name, path in paths.items()}
    stages = "".join(f"  export_{name}:\n    cmd: export\n    outs: [{each}]\n" for name, each in outs.items())
    artifacts = "".join(f"  {name}:\n    path: {path}\n    type: model\n" for name, path in paths.items())
    (workspace.root / "dvc.yaml").write_text(f"stages:\n{stages}artifacts:\n{artifacts}")


def new_repo(root: Path, models=MODELS, out: str = OUT) -> Workspace:
    """A repository with a dvc.yaml that names the models, which do not exist yet."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "--quiet", ".")
    git(root, "config", "user.name", "Test")
    git(root, "config", "user.email", "test@localhost")
    with Repo.init(str(root)) as repo, repo.config.edit() as config:
        config["core"]["analytics"] = False
    (root / ".gitignore").write_text("/models\n")
    workspace = Workspace(root)
    name_outputs(workspace, out, models)
    return workspace


def write_models(workspace: Workspace, **content: str) -> None:
    """Models that hold this text."""
    for name, text in content.items():
        folder = workspace.model(name) / "saved_model"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").write_text(text)


def commit(workspace: Workspace, message: str = "a run") -> str:
    """Keep everything; the hash of the commit."""
    root = workspace.root
    there = Path.cwd()
    os.chdir(root)
    try:
        with Repo(str(root)) as repo:
            repo.commit(force=True)
    finally:
        os.chdir(there)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(root, "rev-parse", "HEAD")


def md5(workspace: Workspace, model: str) -> str:
    found = model_md5(workspace.root, None, model)
    assert found is not None
    return found


def decided(workspace: Workspace, model: str, outcome: str = "promote") -> None:
    """A decision.json about this model beside what is in production."""
    standing = production(read_events(workspace.root))
    version = standing and standing.version
    workspace.decision.mkdir(parents=True, exist_ok=True)
    content = {
        "outcome": outcome,
        "challenger": {"model": model, "md5": md5(workspace, model)},
        "champion": version and {"model": version.model, "version": version.number, "commit": version.commit},
        "primary": None,
        "reasons": ["It was measured.", f"So it is {outcome}."],
    }
    (workspace.decision / "decision.json").write_text(json.dumps(content))


def standing(workspace: Workspace) -> str | None:
    """What is in production, by name."""
    found = production(read_events(workspace.root))
    return None if found is None else found.version.name


def tags(workspace: Workspace) -> set[str]:
    return set(git(workspace.root, "tag", "--list").split())
