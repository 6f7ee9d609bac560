"""How data/ is read, and how a new one takes its place, together with its record in data.dvc.

Wherever a fetch is killed, data/ is the old one, the new one or (between two renames) not there; never a mixture. What
was going on stands in a journal in .dvc/tmp, and the next fetch brings it to an end: if the new data/ is in its place,
data.dvc is made to record it; otherwise all is as it was before.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import full_disk, write_json, write_text
from bakeoff.data.fetch.table_files import read_columns
from bakeoff.data.fetch.tables import TABLES, About, Tables, csv_blocks, text_table
from bakeoff.data.fetch.versioning import add_data, is_versioned

NEW, OLD = ".data-new", ".data-old"
"""Beside data/ and on its file system, so that a rename is one step."""
_FILES = (*(f"{name}.csv" for name in TABLES), "dataset.json")


@dataclass(frozen=True)
class Content:
    """What dataset.json says.

    Attributes:
        about: what people must know of the data set.
        taken: name → SHA-256 of the deliveries that were taken from an inbox, in the order in which they were.
    """

    about: About
    taken: Mapping[str, str] = field(default_factory=dict)


def read_content(data: Path) -> Content:
    """Read dataset.json.

    Raises:
        OSError: it is not there.
        ValueError: it is another one than fetch writes.
    """
    values = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    try:
        hashes = values.pop("taken_sha256", {})
        taken = {name: str(hashes[name]) for name in values.pop("taken", [])}
        return Content(About(**values), taken)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"dataset.json is not one that fetch writes: {error}") from None


def read_tables(data: Path) -> Tables:
    """The canonical tables as they were written.

    Raises:
        BakeoffError: a file is missing or can't be read.
    """
    try:
        return Tables(**{name: text_table(read_columns(data / f"{name}.csv", ids=())) for name in TABLES})
    except OSError as error:
        raise BakeoffError(f"data/ can't be read: {error}. `dvc checkout data.dvc` brings it back.") from None


def hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of each table; empty where it is not there."""
    return {name: _sha256(directory / f"{name}.csv") for name in TABLES}


@contextmanager
def alone(root: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keep other fetches of this workspace waiting, and end what a killed one has begun."""
    directory = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another fetch is at work here: waiting for its end.")
            fcntl.flock(directory, fcntl.LOCK_EX)
        _recover(root, say)
        yield
    finally:
        os.close(directory)


@contextmanager
def staged(root: Path) -> Iterator[Path]:
    """An empty directory beside data/, gone afterwards.

    Raises:
        BakeoffError: nothing can be written there.
    """
    new = root / NEW
    try:
        new.mkdir(parents=True)
        yield new
    except OSError as error:
        raise full_disk(error, root / "data") or BakeoffError(f"data/ cannot be written: {error}") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)


def write(tables: Tables, content: Content, directory: Path) -> None:
    """Write the tables and dataset.json: the same bytes for the same content."""
    for name, table in tables.by_name().items():
        with (directory / f"{name}.csv").open("wb") as stream:
            stream.writelines(csv_blocks(table))
    taken = {"taken": list(content.taken), "taken_sha256": dict(content.taken)} if content.taken else {}
    write_json(directory / "dataset.json", {**content.about.as_dict(), **taken})


def same_bytes(one: Path, other: Path) -> bool:
    """Whether both hold the same files with the same content, and no others."""
    if not other.is_dir() or _listed(one) != _listed(other):
        return False
    return all(_sha256(one / name) == _sha256(other / name) for name in _FILES)


def put_in_place(new: Path, data: Path) -> None:
    """Let `new` take the place of data/, and data.dvc record it: both or none.

    Raises:
        BakeoffError: DVC refuses, or the disk is full; both are as they were.
        OSError: a directory can't be renamed; likewise.
    """
    root = data.parent
    old, record = root / OLD, root / "data.dvc"
    if not is_versioned(root):
        _swap(new, data, old)
        _discard(old)
        return
    before = record.read_text(encoding="utf-8") if record.exists() else None
    journal = _journal(root)
    journal.parent.mkdir(exist_ok=True)
    write_json(journal, {"record": before, "sha256": {name: _sha256(new / name) for name in _FILES}})
    try:
        _swap(new, data, old)
        add_data(root)
    except BaseException:
        _undo(root, before)
        raise
    journal.unlink()
    _discard(old)


def _swap(new: Path, data: Path, old: Path) -> None:
    if data.exists():
        data.rename(old)
    try:
        new.rename(data)
    except OSError:
        if old.exists():
            old.rename(data)
        raise


def _undo(root: Path, record: str | None) -> None:
    """After a failure: the old data/, and the old record."""
    data, new, old = root / "data", root / NEW, root / OLD
    if data.exists() and not new.exists():
        data.rename(new)
    if old.exists() and not data.exists():
        old.rename(data)
    if record is None:
        (root / "data.dvc").unlink(missing_ok=True)
    else:
        write_text(root / "data.dvc", record)
    _journal(root).unlink(missing_ok=True)


def _recover(root: Path, say: Callable[[str], None]) -> None:
    """End what a killed fetch has begun; see the module."""
    data, old, record, journal = root / "data", root / OLD, root / "data.dvc", _journal(root)
    if old.exists() and not data.exists():
        old.rename(data)
    if journal.exists():
        noted = json.loads(journal.read_text(encoding="utf-8"))
        if record.exists() and not record.read_text(encoding="utf-8").strip():
            record.unlink()  # DVC empties the file before it writes it
            if noted["record"] is not None:
                write_text(record, noted["record"])
        if all(_sha256(data / name) == sha256 for name, sha256 in noted["sha256"].items()):
            say("An earlier fetch was cut off when data/ had been replaced: recording it now.")
            add_data(root)
        journal.unlink()
    for left in (root / NEW, old, *root.glob(".data-[0-9]*")):
        _discard(left)


def _discard(directory: Path) -> None:
    if directory.is_symlink():
        directory.unlink()
    else:
        shutil.rmtree(directory, ignore_errors=True)


def _journal(root: Path) -> Path:
    return root / ".dvc/tmp/fetch.json"


def _listed(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def _sha256(path: Path) -> str:
    """Of a file; empty where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
