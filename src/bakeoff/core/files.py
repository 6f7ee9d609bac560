"""How stages write: beside, then renamed, so that nothing half-written is ever taken for a result.

Wherever a stage is killed, each output is the old one, the new one, or not there. What a killed run leaves are hidden
names that end in `.part`; the next run clears them.
"""

import errno
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bakeoff.core.errors import BakeoffError

# Arrow and TensorFlow tell the system's words, NumPy but how far it came.
_FULL = re.compile(r"No space left on device|Disk quota exceeded|disk is full|\d+ requested and \d+ written", re.I)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with Unix line ends; whoever reads meanwhile sees the old file or the new one.

    Raises:
        BakeoffError: the disk is full; the old file stays.
    """
    with written(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object as indented JSON.

    Raises:
        ValueError: a value is NaN or infinite, which JSON does not have.
        BakeoffError: the disk is full; the old file stays.
    """
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A path beside `path`: the file that is written there takes its place if all goes well and vanishes if not.

    Raises:
        BakeoffError: the disk is full; the old file stays.
    """
    beside = path.with_name(f".{path.name}.part")
    with told_of_a_full_disk(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove(beside)  # what a killed run left, or a link, through which nothing is written
            yield beside
            beside.replace(path)
        except BaseException:
            _remove(beside)
            raise


@contextmanager
def replaced(directory: Path) -> Iterator[Path]:
    """A new directory beside `directory` that takes its place if all goes well and vanishes if not.

    Its name is fixed, so that what a killed run left is cleared by the next one.

    Raises:
        BakeoffError: the disk is full; the old directory stays.
    """
    new = directory.with_name(f".{directory.name}.part")
    with told_of_a_full_disk(directory):
        try:
            _remove(new)
            new.mkdir(parents=True)
            yield new
            # The old one goes in one step: emptied where it stands, a kill would leave half of it.
            old = _moved_away(directory)
            new.rename(directory)
            _remove(old)
        finally:
            _remove(new)


def discard(directory: Path) -> None:
    """Remove a directory, if there is one, so that no part of it is ever seen."""
    _remove(_moved_away(directory))


def full_disk(error: BaseException, path: Path) -> BakeoffError | None:
    """What to tell a person if an error, or one that led to it, says that the disk is full; None if none does.

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
def told_of_a_full_disk(path: Path) -> Iterator[None]:
    """Whatever goes wrong within because the disk is full is told in words for people; all else as it was.

    Args:
        path: what is being written.

    Raises:
        BakeoffError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        told = full_disk(error, path)
        if told is None or isinstance(error, BakeoffError):
            raise
        raise told from error


def _says_full(error: BaseException) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or bool(_FULL.search(str(error)))


def _moved_away(path: Path) -> Path:
    """The hidden name under which `path`, if it is there, now lies."""
    old = path.with_name(f".{path.name}.old.part")
    _remove(old)
    with suppress(FileNotFoundError):
        path.rename(old)
    return old


def _remove(path: Path) -> None:
    """Remove a file or a directory, as far as it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
