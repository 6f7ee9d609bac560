"""A Git repository with nothing in it but commits and tags, and what GTO itself says of it."""

import os
import subprocess
from pathlib import Path

from gto.api import show

from bakeoff.ops.registry.history import ROLLBACK, enter, production, read_events

NOW = 1_700_000_000


def git(root: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(["git", *arguments], cwd=root, text=True, capture_output=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def new_repo(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "--quiet", ".")
    git(root, "config", "user.name", "Test")
    git(root, "config", "user.email", "test@localhost")
    return root


def commit(root: Path) -> str:
    git(root, "commit", "--quiet", "--allow-empty", "--message", "a commit")
    return git(root, "rev-parse", "HEAD")


def tags(root: Path) -> set[str]:
    return set(git(root, "tag", "--list").split())


def promote(root: Path, model: str, at: str, *, push: bool = False):
    return enter(root, model, at, "Action: promote", push=push)


def roll_back(root: Path, model: str, at: str):
    return enter(root, model, at, f"Action: {ROLLBACK}", push=False)


def standing(root: Path) -> str | None:
    """What is in production, by name."""
    found = production(read_events(root))
    return None if found is None else found.version.name


def gto_says(root: Path) -> set[str]:
    """Every version that GTO sees in production."""
    stages = {model: row["stage"].get("prod") for model, row in show(str(root)).items()}
    return {f"{model}@{version}" for model, version in stages.items() if version}
