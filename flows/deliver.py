"""What leaves this machine after a run: data and models to DVC's remote, then a commit and tags to Git's.

In this order: whoever sees the commit finds what it names. Every step looks at what is there already, so a run that
was killed between two of them is resumed by the next.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.registry.events import read_events
from bakeoff.ops.registry.git import ask, check_repository, order
from child import ChildError, Log, read_output, run_child
from dvc_stages import DVC

REMOTE = "origin"
RESULTS = ("data.dvc", "dvc.lock", "reports", "studies")
"""What a run may change of that which Git keeps; anything else that is changed is somebody's work."""
TRAILER = "Bakeoff-Run"
"""Last line of the message of a commit that a run made."""

_AUTHOR = {"user.name": "Bakeoff", "user.email": "bakeoff@localhost"}


class DeliveryError(ChildError):
    """A step that will fail again unless a person does something: not to be retried."""


def git(workspace: Path, *arguments: str) -> str:
    """What a Git command prints, stripped.

    Raises:
        ChildError: it fails; quotes its stderr.
    """
    # Nobody is there to be asked for a password.
    return read_output(["env", "GIT_TERMINAL_PROMPT=0", "git", *arguments], workspace)


def has_remote(workspace: Path) -> bool:
    """Whether there is anybody to deliver to."""
    return _succeeds(workspace, "remote", "get-url", REMOTE)


def update(workspace: Path, log: Log) -> None:
    """Take in what others have pushed to this branch; commits of earlier runs that did not get out come after it.

    Raises:
        ChildError: the remote can't be reached.
        DeliveryError: work that is not committed would be mixed into the results, or the histories can't be joined.
    """
    try:
        check_repository(workspace)
    except BakeoffError as error:
        raise DeliveryError(str(error)) from None
    if (workspace / git(workspace, "rev-parse", "--git-path", "rebase-merge")).exists():
        git(workspace, "rebase", "--abort")  # a run was killed while it joined histories
    _refuse_changes(workspace)
    if not has_remote(workspace):
        log(f"No remote `{REMOTE}`: nothing to take in, and results will stay here.")
        return
    git(workspace, "fetch", "--quiet", "--tags", REMOTE)
    theirs = f"{REMOTE}/{current_branch(workspace)}"
    if not _succeeds(workspace, "rev-parse", "--verify", "--quiet", f"refs/remotes/{theirs}"):
        log(f"There is no {theirs} yet.")
        return
    behind, ahead = (
        int(git(workspace, "rev-list", "--count", span)) for span in (f"HEAD..{theirs}", f"{theirs}..HEAD")
    )
    if not behind:
        return
    with _set_aside(workspace, theirs):
        if ahead:
            _join(workspace, theirs, log)
            return
        git(workspace, "merge", "--quiet", "--ff-only", theirs)
    log(f"Took in {behind} new commits of {theirs}: {git(workspace, 'log', '-1', '--format=%h %s')}")


def commit(workspace: Path, message: str, run: str) -> str | None:
    """Commit the results.

    Args:
        workspace: Its results alone are committed.
        message: Says what the run found.
        run: Name of the run.

    Returns:
        the new commit, abbreviated; None where nothing has changed.

    Raises:
        ChildError: Git refuses.
    """
    there = [path for path in RESULTS if (workspace / path).exists()]
    git(workspace, "add", "--all", "--", *there)
    if _succeeds(workspace, "diff", "--cached", "--quiet"):
        return None
    git(workspace, *_author(workspace), "commit", "--quiet", "--message", message, "--message", f"{TRAILER}: {run}")
    return git(workspace, "rev-parse", "--short", "HEAD")


def push_data(workspace: Path, log: Log, timeout: float) -> None:
    """Send data and models to DVC's remote: of the workspace, which the next commit will name.

    Raises:
        ChildError: the remote can't be reached, or something is missing in the cache.
    """
    if not read_output([*DVC, "remote", "list"], workspace):
        log("No DVC remote: data and models stay in this machine's cache.")
        return
    run_child([*DVC, "--wait-for-lock", "push"], workspace, log=log, timeout=timeout)


def push_history(workspace: Path, log: Log) -> bool:
    """Send the branch and the tags of the registry to the remote, all or none.

    Returns:
        whether there was anything to send.

    Raises:
        ChildError: the remote can't be reached.
        DeliveryError: it has moved on meanwhile.
    """
    if not has_remote(workspace):
        return False
    new = unsent(workspace)
    if not new:
        return False
    try:
        git(workspace, "push", "--quiet", "--atomic", REMOTE, *new)
    except ChildError as error:
        if any("rejected" in line for line in error.tail):
            raise DeliveryError(
                f"{REMOTE} has taken in something else since this run began, and nothing of this run. Run it again: it "
                f"takes that in first. `git log HEAD..{REMOTE}/{current_branch(workspace)}` shows it",
                error.tail,
            ) from None
        raise
    log(f"Sent to {REMOTE}: {', '.join(new)}")
    return True


def unsent(workspace: Path) -> list[str]:
    """The branch and the registry's tags that the remote lacks, as Git's push takes them.

    Raises:
        ChildError: the remote can't be reached.
    """
    branch = current_branch(workspace)
    listed = git(workspace, "ls-remote", "--quiet", REMOTE).splitlines()
    theirs = {name: commit for commit, name in (line.split("\t") for line in listed)}
    head = git(workspace, "rev-parse", "HEAD")
    ours = [f"HEAD:refs/heads/{branch}"] if theirs.get(f"refs/heads/{branch}") != head else []
    return ours + [tag for tag in registry_tags(workspace) if tag not in theirs]


def registry_tags(workspace: Path) -> list[str]:
    """Full names of the tags by which GTO knows versions and stages of this project's models."""
    return [f"refs/tags/{event.tag}" for event in read_events(workspace)]


def current_branch(workspace: Path) -> str:
    """The branch that is checked out.

    Raises:
        DeliveryError: none is.
    """
    branch = git(workspace, "branch", "--show-current")
    if not branch:
        raise DeliveryError("No branch is checked out, so a commit would belong to none: `git switch main`, run again")
    return branch


def _refuse_changes(workspace: Path) -> None:
    # As it is, not stripped: lines may begin with blanks.
    changed = order(workspace, "status", "--porcelain", "--untracked-files=no").splitlines()
    # A name with unusual characters comes in quotation marks, and of a rename the new name counts.
    names = [line[3:].rpartition(" -> ")[2].strip('"') for line in changed]
    own = [name for name in names if Path(name).parts[0] not in RESULTS]
    if own:
        raise DeliveryError(
            f"Somebody's work in {workspace.resolve()} is not committed ({', '.join(own[:5])}), and results must come "
            "from what a commit holds: commit it, or `git stash` it, and run again"
        )


def _join(workspace: Path, theirs: str, log: Log) -> None:
    """Put the commits of runs that did not get out on top of what others pushed meanwhile."""
    by_run = f"--format=%h %(trailers:key={TRAILER},valueonly,separator=%x20)"
    commits = [line.split() for line in git(workspace, "log", f"{theirs}..HEAD", by_run).splitlines()]
    others = [words[0] for words in commits if len(words) == 1]
    if others:
        raise DeliveryError(
            f"This clone has commits that {theirs} lacks and no run made ({', '.join(others)}), and lacks commits that "
            f"it has: `git rebase {theirs}` or `git push`, and run again"
        )
    for tag in registry_tags(workspace):
        # It was never seen by anybody; the run decides again, on the commit that replaces the tag's.
        if not _succeeds(workspace, "merge-base", "--is-ancestor", tag, theirs):
            git(workspace, "tag", "--delete", tag.removeprefix("refs/tags/"))
    try:
        git(workspace, *_author(workspace), "rebase", "--quiet", theirs)
    except ChildError as error:
        _succeeds(workspace, "rebase", "--abort")
        raise DeliveryError(
            f"Results of an earlier run and new commits of {theirs} changed the same files. `git reset --keep "
            f"{theirs}` drops those results, which the next run makes again",
            error.tail,
        ) from None
    log(f"Put the results of earlier runs that did not get out on top of {theirs}.")


@contextmanager
def _set_aside(workspace: Path, theirs: str) -> Iterator[None]:
    """Undo what a run that was cut off left uncommitted, which DVC makes again, but for the new version of the data."""
    if not git(workspace, "status", "--porcelain", "--untracked-files=no"):
        yield
        return
    data = workspace / "data.dvc"
    ours = None if _succeeds(workspace, "diff", "--quiet", "HEAD", "--", data.name) else data.read_bytes()
    if ours is not None and not _succeeds(workspace, "diff", "--quiet", f"HEAD...{theirs}", "--", data.name):
        raise DeliveryError(
            f"This clone has new data that no commit holds, and {theirs} has other new data. `git checkout {theirs} -- "
            "data.dvc && dvc checkout data.dvc` takes theirs; then run again"
        )
    known = [path for path in RESULTS if git(workspace, "ls-files", "--", path)]
    git(workspace, "checkout", "--quiet", "HEAD", "--", *known)
    try:
        yield
    finally:
        if ours is not None:
            data.write_bytes(ours)


def _author(workspace: Path) -> list[str]:
    """Git refuses to commit as nobody: where it is not told who, it is Bakeoff."""
    missing = [name for name in _AUTHOR if not _succeeds(workspace, "config", name)]
    return [option for name in missing for option in ("-c", f"{name}={_AUTHOR[name]}")]


def _succeeds(workspace: Path, *arguments: str) -> bool:
    return ask(workspace, *arguments) is not None
