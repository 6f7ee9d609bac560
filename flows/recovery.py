"""What killed commands of Git and DVC left behind: locks that nobody holds, and files that were cut off in writing."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from child import ChildError, Log, read_output

HOLDERS = ("git", "dvc", "gto", "bakeoff")
"""Programs that lock a repository: by these names or, in Python, as these modules."""

WHOLE = Path(".dvc/tmp/whole")
"""Where dvc.lock files are kept as they were when DVC had last written them to the end."""

_POLL_SECONDS = 0.5
_LOOKS, _LOOK_SECONDS = 5, 0.1


def recover(workspace: Path, log: Log) -> None:
    """Take up the workspace after whatever happened to the last run. Called by whoever holds `only_run` in it.

    A DVC that is alive here is waited for: a stage that a killed run left behind, or a person's.
    """
    _wait_for_dvc(workspace, log)
    clear_dead_locks(workspace, log)
    mend_lock_files(workspace, log)
    keep_lock_files(workspace)


def keep_lock_files(workspace: Path) -> None:
    """Keep copies of the dvc.lock files, which DVC writes in place: a kill in that moment cuts them off."""
    with _guarded(workspace / ".dvc/tmp/lock"):  # DVC holds it while it writes them
        for path in _lock_files(workspace):
            text = path.read_bytes()
            kept = _kept(workspace, path)
            if is_whole(text) and not (kept.exists() and kept.read_bytes() == text):
                kept.parent.mkdir(parents=True, exist_ok=True)
                beside = kept.with_name(f".{kept.name}.part")
                beside.write_bytes(text)
                beside.replace(kept)


def mend_lock_files(workspace: Path, log: Log) -> None:
    """Put back dvc.lock files that were cut off, as they were before; without them DVC would refuse every command.

    A stage whose entry is lost that way is not run again: DVC finds what it did in its run cache.
    """
    with _guarded(workspace / ".dvc/tmp/lock"):
        for path in _lock_files(workspace):
            if is_whole(path.read_bytes()):
                continue
            name, kept = path.relative_to(workspace).as_posix(), _kept(workspace, path)
            try:
                committed = read_output(["git", "show", f"HEAD:./{name}"], workspace) + "\n"
            except ChildError:
                committed = ""
            if kept.exists():
                kept.replace(path)
                source = "as it was before the last stage"
            elif is_whole(committed.encode()):
                path.write_text(committed, encoding="utf-8")
                source = "as the last commit has it"
            else:
                path.unlink()
                source = "gone: DVC writes it anew"
            log(f"A DVC command was killed while it wrote {name}: it is {source}.")


def is_whole(text: bytes) -> bool:
    """Whether a dvc.lock file was written to its end: it ends with a line, is YAML, and every file in it has a hash."""
    try:
        stages = YAML(typ="safe").load(text)["stages"].values()
        entries = [entry for stage in stages for kind in ("deps", "outs") for entry in stage.get(kind, [])]
    except (YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        return False
    return text.endswith(b"\n") and all(len(entry) > 1 for entry in entries)


def clear_dead_locks(workspace: Path, log: Log) -> None:
    """Remove locks of Git and DVC that nobody holds.

    Git's lock is a file, and says nothing of who made it. It is dead where no program that locks a repository is at
    work in this workspace, as seen by this machine: a workspace that another machine or container writes to is not to
    be had. DVC's list of locked paths names process ids. An entry is dead where the process is, or is none of DVC's:
    after a restart of the machine, numbers come again. A list that was cut off while it was written says nothing, and
    DVC would refuse to work for ever.
    """
    _clear_rwlock(workspace / ".dvc/tmp/rwlock", log)
    locks = git_locks(workspace)
    if not locks:
        return
    holders = at_work(workspace)
    if holders:
        log(f"{_names(holders)} at work in {workspace.resolve()}: the locks of Git stay ({_listed(workspace, locks)}).")
        return
    for lock in locks:
        lock.unlink(missing_ok=True)
    log(f"A Git command was killed: its locks are removed ({_listed(workspace, locks)}).")


def git_locks(workspace: Path) -> list[Path]:
    """Lock files of the workspace's repository: of its index, HEAD and references."""
    try:
        folders = read_output(["git", "rev-parse", "--absolute-git-dir", "--git-common-dir"], workspace).splitlines()
    except ChildError:
        return []
    found = set[Path]()
    for folder in (workspace / line for line in folders):
        found |= {*folder.resolve().glob("*.lock"), *(folder.resolve() / "refs").rglob("*.lock")}
    return sorted(found)


def at_work(workspace: Path, programs: tuple[str, ...] = HOLDERS, *, unknown: bool = True) -> list[psutil.Process]:
    """Other processes that are one of these programs and work in this workspace.

    Args:
        workspace: What lies below its .dvc/tmp, clones for experiments, is not of it.
        programs: Names.
        unknown: Whether those count of whom, being somebody else's, the system does not tell where they work.
    """
    root = workspace.resolve()
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    return [process for process in others if _works_there(process, programs, root, unknown)]


def _works_there(process: psutil.Process, programs: tuple[str, ...], root: Path, unknown: bool) -> bool:
    # Of a process that is about to end, the system does not tell either: it is asked again.
    for _ in range(_LOOKS):
        try:
            return process.status() != psutil.STATUS_ZOMBIE and _is(process, programs) and _is_in(process, root)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            time.sleep(_LOOK_SECONDS)
    return unknown


def _is_in(process: psutil.Process, root: Path) -> bool:
    places = [Path(process.cwd()), *(Path(word.rpartition("=")[2]) for word in process.cmdline()[1:])]
    return any(place.is_relative_to(root) and not place.is_relative_to(root / ".dvc/tmp") for place in places)


def _is(process: psutil.Process, programs: tuple[str, ...]) -> bool:
    """Whether a process is one of these programs: `git`, `git-remote-https`, `dvc`, `python -m dvc`."""
    words = [Path(word).name for word in process.cmdline()[:3]] or [process.name()]
    return any(word == name or word.startswith(f"{name}-") for word in words for name in programs)


def _wait_for_dvc(workspace: Path, log: Log) -> None:
    told = False
    while holders := at_work(workspace, ("dvc",), unknown=False):
        if not told:
            log(f"{_names(holders)} at work in {workspace.resolve()}: waiting for the end. `kill` ends it.")
        told = True
        time.sleep(_POLL_SECONDS)


def _clear_rwlock(path: Path, log: Log) -> None:
    if not path.exists():
        return
    with _guarded(path.with_name("rwlock.lock")):
        try:
            entries: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            pids = {int(entry["pid"]) for entry in _entries(entries)}
        except (ValueError, TypeError, KeyError, AttributeError):
            path.unlink()
            log("A DVC command was killed while it wrote the list of paths that it locks: the list is removed.")
            return
        alive = [pid for pid in pids if _is_dvc(pid)]
        if pids and not alive:
            path.unlink()
            log("A DVC command was killed: its locks are removed.")


def _lock_files(workspace: Path) -> list[Path]:
    return sorted([*workspace.glob("dvc.lock"), *workspace.glob("*/dvc.lock")])


def _kept(workspace: Path, path: Path) -> Path:
    return workspace / WHOLE / path.relative_to(workspace)


def _entries(lists: Mapping[str, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for holders in (holders for paths in lists.values() for holders in paths.values()):
        yield from holders if isinstance(holders, list) else [holders]


def _is_dvc(pid: int) -> bool:
    try:
        return _is(psutil.Process(pid), ("dvc",))
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Hold the lock under which DVC changes its list; the system frees it when a process ends."""
    with path.open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _names(processes: list[psutil.Process]) -> str:
    words = []
    for process in processes:
        with suppress(psutil.Error):
            words.append(f"`{' '.join(process.cmdline()[-3:])}` (PID {process.pid})")
    return f"{', '.join(words)} {'are' if len(words) > 1 else 'is'}"


def _listed(workspace: Path, paths: list[Path]) -> str:
    root = workspace.resolve()
    return ", ".join(str(path.relative_to(root) if path.is_relative_to(root) else path) for path in paths)
