"""A checkout of the project: one writer at a time, a whole dvc.lock, an identity, and the settings that it needs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.repo import Repo
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import locked
from bakeoff.core.subprocesses import Log, read_output, succeeds
from bakeoff.core.workspace import Workspace
from bakeoff.ops.git import git


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
    path = Workspace(workspace).run_lock
    path.parent.mkdir(exist_ok=True)
    waiting = f"Another run is at work in {workspace.resolve()}: waiting for its end."
    with locked(path, lambda: log(waiting)) as lock:
        os.set_inheritable(lock, True)
        for name in ("dvc.lock", "studies/dvc.lock"):
            repair_lock(workspace, name, log)
        yield


def repair_lock(workspace: Path, name: str, log: Log) -> None:
    """Put back a dvc.lock that was cut off, as a kill in the moment in which DVC writes it does.

    It comes from the last commit, or is removed. No stage runs again for it: DVC's run cache has what newer entries
    recorded.
    """
    path = workspace / name
    with locked(workspace / ".dvc/tmp/lock"):  # DVC holds this lock while it writes
        if not path.exists() or is_whole(path.read_bytes()):
            return
        is_committed = succeeds(workspace, "git", "cat-file", "-e", f"HEAD:./{name}")
        committed = git(workspace, "show", f"HEAD:./{name}") + "\n" if is_committed else ""
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
            read_output(["dvc", "remote", "add", "--force", "--local", name, str(Path(url).resolve())], clone)
    cache = cache_of(home) if share_cache else clone.resolve() / ".dvc/cache"
    read_output(["dvc", "cache", "dir", "--local", str(cache)], clone)


def cache_of(workspace: Path) -> Path:
    """Directory of DVC's cache."""
    return (workspace / read_output(["dvc", "cache", "dir"], workspace)).resolve()
