"""The clone that the nightly run works in.

The nightly run makes that clone, marks it, and refuses any other, and any in which somebody else has worked. It rebases
onto new commits of the remote, commits the files that it makes, by name, and pushes.
"""

import shutil
from pathlib import Path

from dvc.repo import Repo

from bakeoff.core.errors import BakeoffError, visible
from bakeoff.core.files import file_hash, locked, replaced
from bakeoff.core.subprocesses import ChildError, Log, read_output, run_child, succeeds
from bakeoff.flows.dvc_stages import cache_of
from bakeoff.ops.git import NETWORK_SECONDS, ask, git
from bakeoff.ops.registry.history import REMOTE

MADE = ("data.dvc", "dvc.lock", "parents.dvc", "parents.json", "reports/drift", "reports/decision")
"""Files that the nightly run makes, besides the outputs in dvc.yaml that Git keeps (`cache: false`)."""
TRAILER = "Bakeoff-Run"
"""Last line of the message of a commit that a nightly run made."""

_MARK = "bakeoff.nightly"
"""Git setting that marks a clone which the nightly run made."""
_AT_WORK = Path(".dvc/tmp/nightly")
"""Exists from a nightly run's first change to its commit: a run that was cut off in between leaves its files there."""


def make_clone(project: Path, directory: Path) -> None:
    """Clone the project's remote, on its default branch, with the project's identity.

    Raises:
        BakeoffError: the project is not in a Git repository, or has no remote.
        ChildError: the remote can't be reached, or does not answer in time.
    """
    url = ask(project, "remote", "get-url", REMOTE)
    if url is None:
        raise BakeoffError(
            f"{project.resolve()} has no Git remote `{REMOTE}`, from which code comes and to which results go: `git "
            f"init --bare DIRECTORY`, `git remote add {REMOTE} DIRECTORY`, `git push {REMOTE} HEAD` make one."
        )
    identity = {key: ask(project, "config", key) for key in ("user.name", "user.email")}
    options = [f"--config={key}={value}" for key, value in identity.items() if value]
    git(project, "clone", "--quiet", *options, "--", url, str(directory.resolve()), timeout=NETWORK_SECONDS)


def open_nightly(project: Path, directory: Path) -> None:
    """Make the nightly clone where there is none; its first outputs come from the project's DVC cache.

    A night that starts meanwhile waits. An existing clone stays as it is: another night may be at work in it.

    Args:
        project: The workspace whose Git remote and identity the clone gets.
        directory: Of the clone.

    Raises:
        BakeoffError: something else is in the directory.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with locked(directory.parent):
        if not directory.exists():
            with replaced(directory) as clone:
                make_clone(project, clone)
                read_output(["dvc", "remote", "add", "--local", "project", str(cache_of(project))], clone)
                # What is not there comes from DVC's remote, or is made.
                succeeds(clone, "dvc", "fetch", "--remote", "project", "--run-cache")
                git(clone, "config", _MARK, "true")
    if not succeeds(directory, "git", "config", "--local", _MARK):
        raise BakeoffError(
            f"{directory.resolve()} is not a clone that the nightly run made, so it does not work there: name a "
            "directory that does not exist yet (parameter `clone`)."
        )


def check_nightly(clone: Path, log: Log) -> None:
    """Refuse a clone in which somebody else has worked, clear up after a run that was killed, and mark it as at work.

    Called by the holder of `only_run`, so no Git command of a run is alive.

    Raises:
        BakeoffError: names edits, files and commits that no nightly run made.
    """
    for lock in (clone / ".git").rglob("*.lock"):
        lock.unlink()
        log(f"A Git command was killed: its lock {lock.relative_to(clone)} is removed.")
    if (clone / ".git/rebase-merge").exists():
        git(clone, "rebase", "--abort")
    made = made_files(clone) if (clone / _AT_WORK).exists() else ()
    foreign = [path for path in changes(clone) if not _is_made(path, made)]
    by_run = f"--format=%h %(trailers:key={TRAILER},valueonly,separator=%x20)"
    commits = git(clone, "log", "@{upstream}..HEAD", by_run).splitlines()
    foreign += [f"commit {words[0]}" for words in map(str.split, commits) if len(words) == 1]
    if foreign:
        raise BakeoffError(
            f"Somebody worked in {clone.resolve()}, which the nightly run keeps to itself "
            f"({visible(', '.join(foreign[:5]))}). Move that work to a clone of your own, or remove this directory: "
            "the next run makes it anew."
        )
    (clone / _AT_WORK).touch()


def update(clone: Path, log: Log) -> None:
    """Fetch the remote's new commits; commits of earlier runs that were not pushed are rebased onto them.

    Raises:
        ChildError: the remote can't be reached, or does not answer in time.
        BakeoffError: there are new data on both sides, or both changed the same results.
    """
    git(clone, "fetch", "--quiet", "--tags", REMOTE, timeout=NETWORK_SECONDS)
    theirs, data = git(clone, "rev-parse", "--abbrev-ref", "@{upstream}"), clone / "data.dvc"
    behind = int(git(clone, "rev-list", "--count", f"HEAD..{theirs}"))
    if not behind:
        return
    ours = data.read_bytes() if "data.dvc" in changes(clone) else None
    if ours is not None and not succeeds(clone, "git", "diff", "--quiet", f"HEAD...{theirs}", "--", "data.dvc"):
        raise BakeoffError(
            f"{clone.resolve()} has new data that no commit has, and {theirs} has other new data. In that directory, "
            f"`git checkout {theirs} -- data.dvc && dvc checkout data.dvc` takes theirs; then run again."
        )
    # What a run that was cut off left: DVC makes it again, or has it in its run cache.
    git(clone, "reset", "--quiet", "--hard")
    git(clone, "clean", "--quiet", "-d", "--force")
    try:
        git(clone, "rebase", "--quiet", theirs)
    except ChildError as error:
        succeeds(clone, "git", "rebase", "--abort")
        raise BakeoffError(
            f"Results of an earlier run and new commits of {theirs} changed the same files. In {clone.resolve()}, `git "
            f"reset --keep {theirs}` drops those results, which the next run makes again.\n{error}"
        ) from None
    finally:
        if ours is not None:
            data.write_bytes(ours)
    last = git(clone, "log", "-1", "--format=%h %s", theirs)
    log(f"Took in {behind} new commits of {theirs}: {visible(last)}")


def restore(clone: Path, log: Log, timeout: float) -> None:
    """Have data and outputs as recorded, from DVC's cache or remote; what neither has, stages make again.

    DVC never reads again what its cache holds. So every file of the cache is hashed here: a damaged one is replaced by
    a whole copy in the clone, or removed, and every output is made from the cache anew.
    """
    cache = clone / ".dvc/cache/files/md5"
    damaged = [path for path in cache.glob("??/*") if file_hash(path, "md5") != path.parent.name + path.stem]
    if damaged:
        ignored = git(clone, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", ".", ":!.dvc")
        copies = {file_hash(clone / name, "md5"): clone / name for name in filter(None, ignored.split("\0"))}
        for path in damaged:
            oid = path.parent.name + path.name
            path.unlink()
            if oid in copies:
                shutil.copyfile(copies[oid], path)
            log(f"DVC's cache: {oid} was damaged; {'replaced by a whole copy' if oid in copies else 'removed'}.")
        git(clone, "clean", "--quiet", "-d", "-X", "--force", "--", ".", ":!.dvc", ":!.bakeoff")
    try:
        command = "pull" if has_data_remote(clone) else "checkout"
        run_child(["dvc", command, "--force", "--allow-missing"], clone, log=log, timeout=timeout)
    except ChildError as error:
        # A remote that is away for an hour must not cost the night: it is needed when the results are pushed.
        log(f"DVC's remote can't be read now, so the night goes on with what its cache holds: {error.summary}")
        run_child(["dvc", "checkout", "--force", "--allow-missing"], clone, log=log, timeout=timeout)


def commit(clone: Path, message: str, run: str) -> str | None:
    """Commit the files that the run made, by name.

    Returns:
        the new commit, abbreviated; None if nothing has changed.
    """
    names = made_files(clone)
    made = [path for path in changes(clone) if _is_made(path, names)]
    if made:
        git(clone, "add", "--all", "--", *made)
        git(clone, "commit", "--quiet", "--message", message, "--message", f"{TRAILER}: {run}")
    end_work(clone)
    return git(clone, "rev-parse", "--short", "HEAD") if made else None


def end_work(clone: Path) -> None:
    """Nothing that the run made is uncommitted: from now on, every change of the clone is somebody else's."""
    (clone / _AT_WORK).unlink(missing_ok=True)


def push_data(clone: Path, log: Log, timeout: float) -> None:
    """Send data and models to DVC's remote.

    Raises:
        ChildError: the remote can't be reached, or something is missing in the cache.
    """
    if has_data_remote(clone):
        run_child(["dvc", "--wait-for-lock", "push"], clone, log=log, timeout=timeout)
    else:
        log("No DVC remote: data and models stay in the cache of this clone.")


def push_history(clone: Path, log: Log) -> None:
    """Send the branch to the remote.

    Raises:
        ChildError: the remote can't be reached, or does not answer in time.
        BakeoffError: it has moved on meanwhile.
    """
    if not num_unsent(clone):
        return
    try:
        git(clone, "push", "--quiet", REMOTE, "HEAD", timeout=NETWORK_SECONDS)
    except ChildError as error:
        if any("rejected" in line for line in error.tail):
            raise BakeoffError(
                f"{REMOTE} has taken in something else since this run began, and nothing of this run. Run again: it "
                f"takes that in first.\n{error}"
            ) from None
        raise
    log(f"Sent the commits to {REMOTE}.")


def remove_old_versions(clone: Path, keep: int, log: Log, timeout: float) -> str:
    """Remove what only old versions need from the clone's cache, by `dvc gc`; DVC's remote keeps everything.

    Without a remote nothing is removed: the cache has the only copy.

    Args:
        clone: All of it is pushed, where there is a remote.
        keep: Versions, commits that changed data.dvc or dvc.lock, that stay besides all that have a tag.
        log: Gets DVC's output.
        timeout: In seconds.

    Returns:
        what was removed, in a sentence.
    """
    if not has_data_remote(clone):
        return "No DVC remote, so that no older version was removed."
    cache = clone / ".dvc/cache/files"
    versions = git(clone, "log", "--first-parent", f"-{keep}", "--format=%H", "--", "dvc.lock", "data.dvc").split()
    depth = 1 + int(git(clone, "rev-list", "--first-parent", "--count", f"{versions[-1]}..HEAD")) if versions else 1
    before = {path: path.stat().st_size for path in cache.rglob("*") if path.is_file()}
    command = ["dvc", "gc", "--force", "--all-tags", "--rev", "HEAD", "--num", str(depth)]
    run_child(command, clone, log=log, timeout=timeout)
    gone = [size for path, size in before.items() if not path.exists()]
    if not gone:
        return "No older version was removed."
    return (
        f"Older than the last {keep} versions and not promoted: {len(gone)} files, {sum(gone) / 1e6:,.1f} MB removed."
    )


def changes(clone: Path) -> list[str]:
    """Files that differ from HEAD or that Git does not know, but for those that it ignores."""
    status = git(clone, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    return [entry[3:] for entry in status.split("\0") if entry]


def made_files(clone: Path) -> tuple[str, ...]:
    """Paths of files and directories that a nightly run makes and commits."""
    with Repo(str(clone)) as repo:
        outs = [out for out in repo.index.outs if not out.use_cache and out.stage.path_in_repo == "dvc.yaml"]
        return (*MADE, *(Path(out.fs_path).relative_to(repo.root_dir).as_posix() for out in outs))


def num_unsent(clone: Path) -> int:
    """Number of commits that the remote lacks, as of the last fetch or push."""
    return int(git(clone, "rev-list", "--count", "@{upstream}..HEAD"))


def has_data_remote(clone: Path) -> bool:
    """Whether DVC has a default remote."""
    return bool(read_output(["dvc", "config", "core.remote"], clone))


def _is_made(path: str, places: tuple[str, ...]) -> bool:
    # DVC lists outputs in .gitignore, if they are not ignored yet.
    by_dvc = bool(places) and Path(path).name == ".gitignore"
    return by_dvc or any(Path(path).is_relative_to(place) for place in places)
