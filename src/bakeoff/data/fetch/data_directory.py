"""How data/ is read, and how a new one takes its place, together with its record in data.dvc.

Wherever a fetch is killed, data/ is the old one, the new one or (between two renames) not there; never a mixture. A
journal says what was going on, and the next fetch completes it: if the new data/ is in its place, data.dvc is made to
record it; otherwise all is as it was before.
"""

import filecmp
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.files import file_hash, full_disk, locked, remove, write_json, write_text
from bakeoff.core.subprocesses import Log
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.canonical_tables import TABLES, About, Tables, save_csv, text_table
from bakeoff.data.fetch.publishers import Datasets
from bakeoff.data.fetch.table_files import read_columns
from bakeoff.data.fetch.versioning import State, add_data, is_recorded, is_versioned, restore_data

NEW, OLD, JOURNAL = ".data-new", ".data-old", ".data-journal.json"
"""Next to data/ and on its file system, so that a rename is one step."""


def read_about(data: Path) -> About:
    """Read dataset.json.

    Raises:
        OSError: it is not there.
        ValueError: it is another one than fetch writes.
    """
    values = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    try:
        hashes = values.pop("taken_sha256", {})
        return About(**values, taken_sha256={name: str(each) for name, each in hashes.items()})
    except (AttributeError, TypeError) as error:
        raise ValueError(f"dataset.json is not one that fetch writes: {error}") from None


def held_name(data: Path) -> str | None:
    """Name of the data set in data/; None if it does not say."""
    try:
        return read_about(data).name
    except (OSError, ValueError):
        return None


def read_tables(data: Path) -> Tables:
    """The canonical tables as they were written.

    Raises:
        BakeoffError: a file is missing or can't be read.
    """
    try:
        return {name: text_table(read_columns(data / f"{name}.csv", (), delimiter=",")) for name in TABLES}
    except OSError as error:
        raise BakeoffError(f"data/ can't be read: {error}. `dvc checkout data.dvc` brings it back.") from None


def hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of each table; empty where it is not there."""
    paths = {name: directory / f"{name}.csv" for name in TABLES}
    return {name: file_hash(path, "sha256") if path.is_file() else "" for name, path in paths.items()}


@contextmanager
def alone(root: Path, say: Log) -> Iterator[None]:
    """Keep other fetches of this workspace waiting, and complete what a killed one has begun."""
    with locked(root, lambda: say("Another fetch is at work here: waiting for its end.")):
        _recover(root, say)
        yield


def protect(workspace: Workspace, state: State, known: Datasets) -> None:
    """Refuse to replace what could not be brought back.

    Args:
        workspace: where data/ lies.
        state: of data/.
        known: data sets with a publisher, by name.

    Raises:
        BakeoffError: data/ holds what would be lost.
    """
    if state == "changed":
        raise BakeoffError(
            "data/ is not what data.dvc records, and fetching would replace it. `dvc add data` keeps your "
            "version, `dvc checkout data.dvc` undoes the change, `bakeoff fetch --force` replaces it."
        )
    held = held_name(workspace.data)
    if state == "absent" or (state == "clean" and held is not None):
        return
    if held is not None and held in known and hashes(workspace.data) == dict(known[held].sha256):
        return  # as it was fetched
    raise BakeoffError(
        "data/ holds files that fetch did not make or that DVC does not record, and fetching would replace "
        "them. Move them elsewhere, or replace them with `bakeoff fetch --force`."
    )


def bring_back(workspace: Workspace) -> State:
    """The state after DVC has brought data/ back: absent where none was ever recorded.

    Raises:
        BakeoffError: one is recorded and can't be had.
    """
    if restore_data(workspace.root, NEW):
        return "clean"
    if is_recorded(workspace.root):
        raise BakeoffError(
            "data/ is not there, and neither DVC's cache nor its remote has what data.dvc records: rows can only be "
            "added to what is there. `dvc pull data.dvc` says what is missing; a fetch that adds nothing "
            "(`--from DIR` or `--query DIR`) replaces all of it."
        )
    return "absent"


def about_to_add_to(name: str, workspace: Workspace) -> About:
    """Read dataset.json of the data set that rows are added to.

    Raises:
        BakeoffError: another data set is there.
    """
    with reading("data/dataset.json", "nothing can be added to data/", OSError, ValueError):
        about = read_about(workspace.data)
    if about.name != name:
        raise BakeoffError(
            f"data/ holds {about.name}, params.yaml names {name}: rows of one can't be added to the other. "
            f"Fetch {name} whole first (`bakeoff fetch --from DIR` or `--query DIR`), or move data/ and data.dvc away."
        )
    return about


@contextmanager
def staged(root: Path) -> Iterator[Path]:
    """An empty directory next to data/, gone afterwards.

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
        remove(new)


def write(tables: Tables, about: About, directory: Path) -> None:
    """Write the tables and dataset.json: the same bytes for the same content."""
    for name, table in tables.items():
        save_csv(table, directory / f"{name}.csv")
    write_json(directory / "dataset.json", {name: value for name, value in asdict(about).items() if value != {}})


def same_bytes(one: Path, other: Path) -> bool:
    """Whether both hold the same files with the same content, and no others."""
    if not other.is_dir() or sorted(os.listdir(one)) != sorted(os.listdir(other)):
        return False
    same, _, _ = filecmp.cmpfiles(one, other, os.listdir(one), shallow=False)
    return len(same) == len(os.listdir(one))


def put_in_place(new: Path, data: Path) -> None:
    """Let `new` take the place of data/, and data.dvc record it: both or none.

    Raises:
        BakeoffError: DVC refuses, or the disk is full; both are as they were.
        OSError: a directory can't be renamed; likewise.
    """
    root, old, record = data.parent, data.parent / OLD, data.parent / "data.dvc"
    before = record.read_text(encoding="utf-8") if record.exists() else None
    write_json(root / JOURNAL, {"record": before, "sha256": hashes(new)})
    try:
        _swap(new, data, old)
        if is_versioned(root):
            add_data(root)
    except BaseException:
        if data.exists() and not new.exists():
            data.rename(new)
        if old.exists():
            old.rename(data)
        _write_record(record, before)
        (root / JOURNAL).unlink()
        raise
    (root / JOURNAL).unlink()
    remove(old)


def _swap(new: Path, data: Path, old: Path) -> None:
    if data.exists():
        data.rename(old)
    new.rename(data)


def _recover(root: Path, say: Log) -> None:
    """Complete what a killed fetch has begun; see the module."""
    data, old, record, journal = root / "data", root / OLD, root / "data.dvc", root / JOURNAL
    if old.exists() and not data.exists():
        old.rename(data)
    if journal.exists():
        noted = json.loads(journal.read_text(encoding="utf-8"))
        if record.exists() and not record.read_text(encoding="utf-8").strip():
            _write_record(record, noted["record"])  # DVC empties the file before it writes it
        if is_versioned(root) and hashes(data) == noted["sha256"]:
            say("An earlier fetch was cut off when data/ had been replaced: recording it now.")
            add_data(root)
        journal.unlink()
    for left in (NEW, OLD):
        remove(root / left)


def _write_record(record: Path, text: str | None) -> None:
    if text is None:
        record.unlink(missing_ok=True)
    else:
        write_text(record, text)
