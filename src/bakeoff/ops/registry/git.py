"""Git, as the registry and all that tell versions by its history ask it."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bakeoff.core.errors import BakeoffError


def ask(root: Path, *arguments: str) -> str | None:
    """What a Git command prints, as it is; None where it fails.

    Raises:
        BakeoffError: Git is not installed.
    """
    done = _done(root, arguments, "", {})
    return None if done.returncode else done.stdout


def order(root: Path, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> str:
    """What a Git command prints that must not fail.

    Raises:
        BakeoffError: it did fail; Git's own words say why.
    """
    done = _done(root, arguments, stdin, env or {})
    if done.returncode:
        raise BakeoffError(f"`git {arguments[0]}` failed in {root.resolve()}: {done.stderr.strip()}")
    return done.stdout


def check_repository(root: Path) -> None:
    """See that there is a history.

    Raises:
        BakeoffError: the directory is in no Git repository, or in one without a commit.
    """
    if ask(root, "rev-parse", "--git-dir") is None:
        raise BakeoffError(
            f"{root.resolve()} is in no Git repository, and versions are told by its history: run `git init`."
        )
    if ask(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
        raise BakeoffError(f"{root.resolve()} has no commit yet: run `git add --all`, then `git commit`.")


def commit_of(root: Path, revision: str) -> str:
    """The hash of the commit that a revision names.

    Raises:
        BakeoffError: it names none.
    """
    found = ask(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found is None:
        raise BakeoffError(
            f"{revision!r} is no revision of this repository: name a commit, a branch or a tag; `git log` lists them."
        )
    return found.strip()


def head(root: Path) -> str:
    """The hash of the commit that is checked out.

    Raises:
        BakeoffError: there is none.
    """
    check_repository(root)
    return order(root, "rev-parse", "HEAD").strip()


def _done(
    root: Path, arguments: tuple[str, ...], stdin: str, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=root,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **env},
        )
    except FileNotFoundError:
        raise BakeoffError("The registry is kept in Git, and there is no `git` command: install Git.") from None
