"""A checkout of the project: one writer at a time, a whole dvc.lock, the packages and the settings that it needs."""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path

from dvc.repo import Repo
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import ChildError, Log, read_output

DVC = ("dvc",)
REQUIREMENTS = "requirements.lock"
_POLL_SECONDS = 0.5


def git(directory: Path, *arguments: str) -> str:
    """Output of a Git command.

    Raises:
        ChildError: it fails; quotes its stderr.
    """
    return read_output(["git", *arguments], directory)


def succeeds(directory: Path, *arguments: str) -> bool:
    """Whether a Git command ends with status 0."""
    try:
        git(directory, *arguments)
    except ChildError:
        return False
    return True


@contextmanager
def only_run(workspace: Path, log: Log) -> Iterator[None]:
    """Wait until no other run works in this workspace, then hold its lock; repair a dvc.lock that was cut off.

    Without it DVC would refuse the second run: `is busy, it is being blocked by`. The lock is the system's, and child
    processes inherit it: it is free when the run and all that it started have ended, however they did. Take it before
    DVC reads the DAG, which a dvc.lock that was cut off prevents.

    Raises:
        BakeoffError: the workspace is not a DVC repository.
    """
    if not (workspace / ".dvc").is_dir():
        raise BakeoffError(f"{workspace.resolve()} is not inside of a DVC repository: name the project's directory.")
    path = workspace / ".dvc/tmp/pipeline.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as lock:
        waiting = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    log(f"Another run is at work in {workspace.resolve()}: waiting for its end.")
                waiting = True
                time.sleep(_POLL_SECONDS)
        os.set_inheritable(lock.fileno(), True)
        for name in ("dvc.lock", "studies/dvc.lock"):
            repair_lock(workspace, name, log)
        yield


def repair_lock(workspace: Path, name: str, log: Log) -> None:
    """Put back a dvc.lock that was cut off, as a kill in the moment in which DVC writes it does.

    It comes from the last commit, or is removed. No stage runs again for it: DVC's run cache has what newer entries
    recorded.
    """
    path = workspace / name
    with (workspace / ".dvc/tmp/lock").open("a") as guard:  # DVC holds this lock while it writes
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not path.exists() or is_whole(path.read_bytes()):
            return
        try:
            committed = read_output(["git", "show", f"HEAD:./{name}"], workspace) + "\n"
        except ChildError:
            committed = ""
        if is_whole(committed.encode()):
            path.write_text(committed, encoding="utf-8")
        else:
            path.unlink()
    source = "as in the last commit" if committed else "removed, and DVC writes it anew"
    log(f"A DVC command was killed while it wrote {name}: it is {source}.")


def is_whole(text: bytes) -> bool:
    """Whether a dvc.lock was written to its end: the last line has ended, it is YAML, and every file has a hash."""
    try:
        stages = YAML(typ="safe").load(text)["stages"].values()
        entries = [entry for stage in stages for kind in ("deps", "outs") for entry in stage.get(kind, [])]
    except (YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        return False
    return text.endswith(b"\n") and all(len(entry) > 1 for entry in entries)


def check_identity(directory: Path) -> None:
    """See that Git can commit and tag, before anything else is done.

    Raises:
        BakeoffError: Git knows no name or address.
    """
    if not (succeeds(directory, "var", "GIT_AUTHOR_IDENT") and succeeds(directory, "var", "GIT_COMMITTER_IDENT")):
        raise BakeoffError(
            "Git has no identity for commits and tags: `git config --global user.name NAME` and `git config --global "
            "user.email ADDRESS`, as the user of the worker; in containers, GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, "
            "GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL."
        )


def check_packages(workspace: Path) -> None:
    """Refuse to run with other packages than the workspace's requirements.lock pins; without a lock, any will do.

    Raises:
        BakeoffError: names some that differ, and the fix.
    """
    lock = workspace / REQUIREMENTS
    if not lock.exists():
        return
    there = {canonicalize_name(each.name): each.version for each in distributions()}
    lines = [line.rstrip("\\ ") for line in lock.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
    pins = [pin for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate()]
    wrong = [
        f"{pin.name} {version or 'missing'} instead of {pin.specifier}"
        for pin in pins
        for version in [there.get(canonicalize_name(pin.name))]
        if version is None or not pin.specifier.contains(version, prereleases=True)
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise BakeoffError(
            f"The packages of {sys.prefix} are not those of {lock.resolve()}: {'; '.join(wrong[:3])}{more}. Where the "
            "worker runs: `git pull && make .venv/.ready` (in containers: build the image anew), start the worker "
            "again, then run again."
        )


def copy_settings(home: Path, clone: Path, *, share_cache: bool) -> None:
    """Give a clone what Git does not carry: .dvc/config.local, the places of DVC's remotes, and a cache.

    Args:
        home: The workspace that is cloned, or in which the worker runs.
        clone: A remote with a relative path means the same place there as in `home`.
        share_cache: Whether the clone uses the cache of `home`; otherwise its own, which no setting of `home` changes.
    """
    local = home / ".dvc/config.local"
    if local.exists():
        shutil.copyfile(local, clone / ".dvc/config.local")
    with Repo(str(home)) as repo:
        urls = {name: str(remote["url"]) for name, remote in repo.config["remote"].items()}
    for name, url in urls.items():
        if "://" not in url:  # DVC reads a relative path as one from its configuration's directory
            read_output([*DVC, "remote", "add", "--force", "--local", name, str(Path(url).resolve())], clone)
    cache = cache_of(home) if share_cache else clone.resolve() / ".dvc/cache"
    read_output([*DVC, "cache", "dir", "--local", str(cache)], clone)


def cache_of(workspace: Path) -> Path:
    """Directory of DVC's cache."""
    return (workspace / read_output([*DVC, "cache", "dir"], workspace)).resolve()
