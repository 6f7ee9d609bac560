"""Git's command line, for what reads or writes the project's history."""

from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import ChildError, Env, read_output

NETWORK_SECONDS = 600.0
"""After which a clone, a fetch or a push of a flow is ended: a remote may accept a connection and say nothing."""


def git(directory: Path, *arguments: str, variables: Env = None, timeout: float | None = None) -> str:
    """Output of a Git command, without white space at the end.

    Raises:
        ChildError: it failed, and its stderr is quoted; or it took longer than `timeout` seconds.
        BakeoffError: Git is not installed.
    """
    try:
        return read_output(["git", *arguments], directory, variables, timeout=timeout)
    except FileNotFoundError:
        raise BakeoffError("Versions are kept in Git, and there is no `git` command: install Git.") from None
    except ChildError as error:  # which quotes all of a command that may name a hundred tags
        raise ChildError(f"`git {arguments[0]}` failed in {directory.resolve()}", error.tail) from None


def ask(root: Path, *arguments: str) -> str | None:
    """The same; None where it fails.

    Raises:
        BakeoffError: Git is not installed.
    """
    try:
        return git(root, *arguments)
    except ChildError:
        return None


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
        BakeoffError: the directory is in no Git repository, in one of another user, or in one without a commit.
    """
    try:
        git(root, "rev-parse", "--git-dir")
    except ChildError as error:
        said = "\n  ".join(error.tail)  # of another user's repository, also how to trust it
        raise BakeoffError(
            f"{root.resolve()} is in no Git repository, or Git refuses to read it:\n  {said}\n"
            "Run bakeoff in the workspace. If this is one, and it has no repository yet, run `git init`."
        ) from None
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
    return found


def head(root: Path) -> str:
    """The hash of the commit that is checked out.

    Raises:
        BakeoffError: there is none.
    """
    check_repository(root)
    return git(root, "rev-parse", "HEAD")
