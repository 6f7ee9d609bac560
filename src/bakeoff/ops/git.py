"""Git's command line, for what reads or writes the project's history."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import run_command


def ask(root: Path, *arguments: str) -> str | None:
    """Output of a Git command, as it is; None where it fails.

    Raises:
        BakeoffError: Git is not installed.
    """
    done = _run(root, arguments, {})
    return None if done.returncode else done.stdout


def order(root: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Output of a Git command that must not fail.

    Raises:
        BakeoffError: it failed; the message quotes Git.
    """
    done = _run(root, arguments, env or {})
    if done.returncode:
        raise BakeoffError(f"`git {arguments[0]}` failed in {root.resolve()}: {done.stderr.strip()}")
    return done.stdout


def check_identity(root: Path) -> None:
    """See that Git can commit and tag, before anything else is done.

    Raises:
        BakeoffError: Git knows no name or address.
    """
    if not all(ask(root, "var", name) for name in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")):
        raise BakeoffError(
            "Git has no identity for commits and tags: `git config --global user.name NAME` and `git config --global "
            "user.email ADDRESS`, as the user of the worker; in containers, GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, "
            "GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL."
        )


def check_repository(root: Path) -> None:
    """Check that there is a history.

    Raises:
        BakeoffError: the directory is in no Git repository, or in one without a commit.
    """
    if ask(root, "rev-parse", "--git-dir") is None:
        raise BakeoffError(f"{root.resolve()} is in no Git repository, which identifies versions: run `git init`.")
    if ask(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
        raise BakeoffError(f"{root.resolve()} has no commit yet: run `git add --all`, then `git commit`.")


def commit_of(root: Path, revision: str) -> str:
    """The hash of the commit that a revision names.

    Raises:
        BakeoffError: it names none.
    """
    found = ask(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found is None:
        raise BakeoffError(f"{revision!r} is no revision of this repository: name a commit, a branch or a tag.")
    return found.strip()


def head(root: Path) -> str:
    """The hash of the commit that is checked out.

    Raises:
        BakeoffError: there is none.
    """
    check_repository(root)
    return order(root, "rev-parse", "HEAD").strip()


def _run(root: Path, arguments: tuple[str, ...], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return run_command(["git", *arguments], root, variables=env)
    except FileNotFoundError:
        raise BakeoffError("Versions are kept in Git, and there is no `git` command: install Git.") from None
