"""Atomic writers: a file or directory is written under a temporary name, then renamed.

Wherever a stage is killed, each output is the old one, the new one, or absent. A killed run leaves hidden names that
end in `.part`; the next run removes them.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from bakeoff.core.errors import BakeoffError

# Arrow and TensorFlow repeat the system's message; NumPy says only how far it came.
_FULL = re.compile(r"No space left on device|Disk quota exceeded|disk is full|\d+ requested and \d+ written", re.I)


def file_hash(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file's content, which is not read at once; `algorithm` is `md5` or `sha256`."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written anew; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with Unix line ends; readers see the old file or the new one.

    Raises:
        BakeoffError: the disk is full; the old file stays.
    """
    with written(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object as indented JSON.

    Raises:
        ValueError: a value is NaN or infinite, which JSON does not have.
        BakeoffError: the disk is full; the old file stays.
    """
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A path next to another one, free for what will replace that; its name is fixed, so that a kill leaves but one."""
    part = path.with_name(f".{path.name}.part")
    with disk_full_as_error(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove(part)  # what a killed run left, or a link, through which nothing is written
            yield part
        finally:
            remove(part)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary path: the file written there replaces `path` if the block succeeds and is removed if it fails.

    Raises:
        BakeoffError: the disk is full; the old file stays.
    """
    with _temporary(path) as part:
        yield part
        part.replace(path)


@contextmanager
def replaced(directory: Path) -> Iterator[Path]:
    """A temporary directory that replaces `directory` if the block succeeds and is removed if it fails.

    Raises:
        BakeoffError: the disk is full; the old directory stays.
    """
    with _temporary(directory) as new:
        new.mkdir()
        yield new
        # The old one goes in one step: a kill while it is emptied in place would leave half of it.
        old = _moved_away(directory)
        new.rename(directory)
        remove(old)


def discard(directory: Path) -> None:
    """Remove a directory, if there is one, in one step: readers never see a part of it."""
    remove(_moved_away(directory))


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the system's lock on a file, which is made if it is not there, or a directory: it ends with the process.

    Args:
        path: of it.
        on_wait: called where somebody else holds the lock, before it is waited for; raises if nobody should wait.

    Yields:
        the descriptor; children that inherit it hold the lock, too.
    """
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def full_disk(error: BaseException, path: Path) -> BakeoffError | None:
    """A message for people if an error, or one that led to it, says that the disk is full; None if none does.

    Args:
        error: as caught.
        path: what was being written.
    """
    seen: BaseException | None = error
    while seen is not None and not _says_full(seen):
        seen = seen.__cause__ or seen.__context__
    if seen is None:
        return None
    folder = next(above for above in (path.absolute(), *path.absolute().parents) if above.is_dir())
    usage = shutil.disk_usage(folder)
    return BakeoffError(
        f"The disk is full: {path} could not be written. {usage.free / 2**20:,.0f} of the {usage.total / 2**20:,.0f} "
        f"MiB of the file system of {folder} are free. Nothing half-written was left. Make room and run the same again "
        "(`du -sh .dvc/cache artifacts models` shows what takes it; `dvc push --all-commits` and then `dvc gc "
        "--workspace` removes older versions from the cache)."
    )


@contextmanager
def disk_full_as_error(path: Path) -> Iterator[None]:
    """Replace any error that a full disk causes by a message for people; other errors pass unchanged.

    Args:
        path: what is being written.

    Raises:
        BakeoffError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        full = full_disk(error, path)
        if full is None or isinstance(error, BakeoffError):
            raise
        raise full from error


def _says_full(error: BaseException) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or bool(_FULL.search(str(error)))


def _moved_away(path: Path) -> Path:
    """Rename `path`, if it exists, to a hidden name, and return that."""
    old = path.with_name(f".{path.name}.old.part")
    remove(old)
    with suppress(FileNotFoundError):
        path.rename(old)
    return old


def remove(path: Path) -> None:
    """Remove a file or a directory; errors are ignored."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
