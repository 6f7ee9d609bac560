"""A worker's workspaces: a clone of a revision for each run, of which only what failed is kept."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from child import ChildError, Log, run_child

CHECKPOINTS = Path(".dvc/tmp/checkpoints")
"""Below the worker's directory, those of placed trainings: the next clone goes on where a run that died has stood."""
CLONES = Path(".dvc/tmp/placed")
"""Below the worker's directory, on one disk with its DVC cache, so that DVC need not copy files."""
CACHE = Path(".dvc/cache/files")
RUNS = Path(".dvc/cache/runs")
"""What DVC notes of runs, by which their results are found cached."""
FAILED = Path(".dvc/tmp/failed")
"""Below the worker's directory, the clones in which a stage failed last: a person may look at what it wrote."""
UNSENT = Path(".dvc/tmp/unsent")
"""Below the worker's directory, the notes of runs whose results the remote has not got yet."""
GIT_SECONDS = 1800.0


@contextmanager
def clone(
    home: Path, name: str, repository: str, ref: str, revision: str, files: Mapping[str, str], log: Log
) -> Iterator[Path]:
    """A workspace of one revision, for one run.

    Each run has its own, so that runs at the same time do not meet. Its run cache is its own too, while the files of
    DVC's cache are the worker's: inputs are fetched once, and no more than this run's result is sent.

    Args:
        home: The worker's directory; its .dvc/config.local, with keys for the remote, holds for the clone as well.
        name: Of the clone.
        repository: From where the revision is fetched.
        ref: What names it there.
        revision: Hash of the commit.
        files: Texts of files that are not in the revision, or otherwise there, by path.
        log: Gets what Git says, and what was cleared away.

    Raises:
        ChildError: the revision can't be fetched.
    """
    clones = home.resolve() / CLONES
    clones.mkdir(parents=True, exist_ok=True)
    root = clones / name
    with (clones / ".lock").open("a") as gate:  # a clone that is being made and not locked yet is swept by nobody
        fcntl.flock(gate, fcntl.LOCK_EX)
        sweep(clones, log)
        root.mkdir()
        lock = os.open(root, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        _fetch(root, repository, ref, revision, log)
        _furnish(root, home.resolve(), files)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
        os.close(lock)


def keep_unsent(root: Path) -> None:
    """Keep the notes of a clone's runs: the next clone has them, so that what was made is sent and not made again."""
    if (root / RUNS).exists():
        shutil.copytree(root / RUNS, _home(root) / UNSENT, dirs_exist_ok=True)


def has_unsent(root: Path) -> bool:
    """Whether a clone was given notes of earlier runs."""
    return (root / RUNS).exists()


def forget_sent(root: Path) -> None:
    """The remote has got the results of all runs that a clone knows of."""
    for note in (root / RUNS).rglob("*"):
        if note.is_file():
            (_home(root) / UNSENT / note.relative_to(root / RUNS)).unlink(missing_ok=True)


def keep_failed(root: Path, stage: str) -> Path:
    """Keep the clone in which a stage failed; where it lies then."""
    kept = _home(root) / FAILED / stage / root.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    return root.rename(kept)


def forget_failed(home: Path, stage: str) -> None:
    """Remove what runs of a stage left in a worker's directory that failed."""
    for kept in (home / FAILED / stage).glob("*"):
        shutil.rmtree(kept, ignore_errors=True)


def _home(root: Path) -> Path:
    return root.parents[len(CLONES.parts)]


def sweep(clones: Path, log: Log) -> None:
    """Remove the clones of runs that were killed, and end what goes on in them.

    A run holds a lock on its clone, which is the system's and goes with the run's process.
    """
    for root in (path for path in clones.iterdir() if path.is_dir()):
        with suppress(FileNotFoundError):
            lock = os.open(root, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _end_all(root)
                shutil.rmtree(root, ignore_errors=True)
                log(f"A run was killed here: its clone {root.name} is removed, and what went on in it has ended.")
            except BlockingIOError:
                continue
            finally:
                os.close(lock)


def _end_all(root: Path) -> None:
    left = [process for process in psutil.process_iter() if _works_in(process, root)]
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def _works_in(process: psutil.Process, root: Path) -> bool:
    try:
        return process.pid != os.getpid() and Path(process.cwd()).is_relative_to(root)
    except (psutil.Error, OSError):
        return False


def _fetch(root: Path, repository: str, ref: str, revision: str, log: Log) -> None:
    git = ["env", "GIT_TERMINAL_PROMPT=0", "git"]
    try:
        run_child([*git, "init", "--quiet", "."], root, log=log, timeout=GIT_SECONDS)
        fetch = [*git, "fetch", "--quiet", "--depth", "1", "--", repository, ref]
        run_child(fetch, root, log=log, timeout=GIT_SECONDS)
        run_child([*git, "checkout", "--quiet", "--detach", revision], root, log=log, timeout=GIT_SECONDS)
    except ChildError as error:
        raise ChildError(
            f"the worker can't fetch the revision {revision[:12]} from {repository}: see that `git ls-remote "
            f"{repository}` works on its machine",
            error.tail,
        ) from None


def _furnish(root: Path, home: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        if not path.resolve().is_relative_to(root):
            raise ChildError(f"{name!r} is no file of a workspace")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    local = home / ".dvc/config.local"
    if local.exists():
        shutil.copy(local, root / ".dvc/config.local")
    if any(path.is_file() for path in (home / UNSENT).rglob("*")):
        shutil.copytree(home / UNSENT, root / RUNS)
    for shared, place in ((CACHE, CACHE), (CHECKPOINTS, Path(".bakeoff/checkpoints"))):
        (home / shared).mkdir(parents=True, exist_ok=True)
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).symlink_to(home / shared)
