"""A small data set of a team's own, and workspaces of the project that hold it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
STAGES, MODELS = ("validate", "split", "train", "export"), ("popularity", "mf")
"""Of the project's DAG: what a decision about MF rests on."""
NUM_USERS, NUM_ITEMS, EVENTS_PER_USER = 60, 50, 20


def call(*command: str, cwd: Path, commands: str | None = None) -> str:
    """Run a command of the environment that must succeed, with those in `commands` before all; what it prints."""
    places = [*filter(None, [commands]), str(Path(sys.executable).parent), os.environ["PATH"]]
    path = os.pathsep.join(places)
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def own_files(folder: Path) -> None:
    """What a team might have: two groups of users, each with its own half of the catalogue, names of its own."""
    rng = np.random.default_rng(7)
    users = np.arange(NUM_USERS)
    half = NUM_ITEMS // 2
    items = np.stack([rng.permutation(half)[:EVENTS_PER_USER] + half * (u % 2) for u in users])
    times = 1_600_000_000 + np.cumsum(rng.integers(1, 5000, items.shape), axis=1)
    folder.mkdir()
    pd.DataFrame(
        {"who": np.repeat(users, EVENTS_PER_USER), "what": items.ravel(), "when": times.ravel(), "stars": 4}
    ).to_csv(folder / "interactions.csv", index=False)
    pd.DataFrame({"who": users, "age": 20 + users % 40, "country": np.where(users % 2, "DE", "FR")}).to_csv(
        folder / "users.csv", index=False
    )
    catalogue = np.arange(NUM_ITEMS)
    pd.DataFrame({"what": catalogue, "name": [f"<i>Item</i> {i}" for i in catalogue], "year": 1990 + catalogue}).to_csv(
        folder / "items.csv", index=False
    )


def small_params() -> dict:
    """params.yaml of the project with the columns of these files, and few epochs."""
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    names = {"user_id": "who", "item_id": "what", "timestamp": "when", "rating": "stars", "title": "name"}
    params["data"] |= {
        "dataset": "own",
        "columns": params["data"]["columns"] | names,
        "user_features": {"age": "dense", "country": "categorical"},
        "item_features": {"year": "dense"},
    }
    params["ease"] |= {"regularization": 5}
    params["mf"] |= {"dim": 8, "max_epochs": 3}
    tower = {"dim": 8, "hidden": [8], "users_per_batch": 8, "learning_rate": 0.02, "target_window": 5}
    params["softmax"] |= tower | {"max_epochs": 8}
    params["two_tower"] |= tower | {"item_hidden": [8], "max_epochs": 4}
    params["evaluate"] |= {"cutoffs": [10, 20], "list_length": 30}
    params["evidence"] |= {
        "depths": [0],
        "widths": [8],
        "unobserved_weights": [0.0],
        "new_item_share": 0.2,
        "growth_shares": [1.0],
        "growth_catalogues": [1000],
        "serving_seconds": 0,
        "rerank_candidates": [20, 40],
        "planted": {"groups": 2, "users_per_group": 20, "items_per_group": 20, "events_per_user": 6, "noise": 0.0},
    }
    params["compare"] |= {"resamples": 500}
    return params


def new_workspace(root: Path) -> Path:
    """A Git and DVC checkout with the project's DAG and code, the small data fetched, nothing run yet."""
    root.mkdir()
    for name in ("dvc.yaml", "parents.json", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "tuning", root / "tuning")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    YAML().dump(small_params(), root / "params.yaml")
    call("git", "init", "--quiet", ".", cwd=root)
    call("git", "config", "user.name", "Test", cwd=root)
    call("git", "config", "user.email", "test@localhost", cwd=root)
    call("dvc", "init", "--quiet", cwd=root)
    for file in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / file, root / ".dvc" / file)
    own_files(root.parent / f"{root.name}-files")
    call("bakeoff", "fetch", "--from", str(root.parent / f"{root.name}-files"), cwd=root)
    return root


def shorten(workspace: Path) -> None:
    """Leave only STAGES of MODELS in dvc.yaml, and let MF be the challenger."""
    yaml = YAML()
    dag = yaml.load(workspace / "dvc.yaml")
    dag["stages"] = {name: dag["stages"][name] for name in STAGES}
    entries = dag["stages"]["train"]["foreach"]
    for stage in ("train", "export"):
        dag["stages"][stage]["foreach"] = {model: dict(entries[model]) for model in MODELS}
    del dag["plots"]
    yaml.dump(dag, workspace / "dvc.yaml")
    params = yaml.load(workspace / "params.yaml")
    params["promotion"]["challenger"] = "mf"
    params["drift"]["max_divergence"] = 10.0
    yaml.dump(params, workspace / "params.yaml")


def share(workspace: Path, remote: Path) -> None:
    """Commit what there is, and push it to a new bare repository."""
    call("git", "init", "--quiet", "--bare", str(remote), cwd=workspace)
    call("git", "remote", "add", "origin", str(remote), cwd=workspace)
    call("git", "add", "--all", cwd=workspace)
    call("git", "commit", "--quiet", "--message", "the project", cwd=workspace)
    call("git", "push", "--quiet", "origin", "HEAD", cwd=workspace)
