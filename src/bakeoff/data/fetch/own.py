"""A team's own CSV or Parquet files → canonical tables. Rows are not judged: validation does that."""

from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.adjacency import is_adjacency_directory, read_adjacency
from bakeoff.data.fetch.files import read_columns
from bakeoff.data.fetch.parts import Parts, Raw, complete, listed, parts
from bakeoff.data.fetch.tables import TABLES, Tables
from bakeoff.data.params import DataParams

_SUFFIXES = (".csv", ".parquet")


def read_directory(directory: Path, data: DataParams) -> Tables:
    """Read interactions.csv or .parquet and, where there are, users.* and items.*; or train.txt and test.txt.

    Ids stay exactly as they are written. Users and items without a file of their own are those of the
    interactions, and an item without a title is named by its id. Columns that are not mapped are kept in
    users and items.

    Args:
        directory: where the files lie.
        data: how columns are named, and which of them are features.

    Raises:
        BakeoffError: a file or a mapped column is missing, or a file cannot be read.
    """
    check_directory(directory)
    path = _find(directory, "interactions")
    if path is None and is_adjacency_directory(directory):
        return complete(Parts(read_adjacency(directory), None, None), data, str(directory))
    if path is None:
        raise BakeoffError(
            f"{directory} holds neither interactions.csv nor interactions.parquet (nor train.txt and "
            f"test.txt with lines of `user item item …`); it has {_content(directory)}."
        )
    return complete(read_parts(directory, data), data, str(path))


def read_parts(directory: Path, data: DataParams) -> Parts:
    """Read those of interactions.*, users.* and items.* that there are.

    Args:
        directory: where the files lie.
        data: how columns are named.

    Raises:
        BakeoffError: there is no such file, a mapped column is missing, or a file cannot be read.
    """
    check_directory(directory)
    names = data.columns
    ids = {"interactions": (names.user_id, names.item_id), "users": (names.user_id,), "items": (names.item_id,)}
    found: dict[str, Raw | None] = {}
    for table in TABLES:
        path = _find(directory, table)
        raw = (names.timestamp,) if table == "interactions" else ()
        found[table] = None if path is None else Raw(str(path), read_columns(path, ids[table], raw))
    if not any(found.values()):
        raise BakeoffError(
            f"{directory} holds none of interactions, users and items as .csv or .parquet; it has "
            f"{_content(directory)}."
        )
    return parts(found["interactions"], found["users"], found["items"], names)


def check_directory(directory: Path) -> None:
    """See that there is such a directory.

    Raises:
        BakeoffError: there is none.
    """
    if not directory.is_dir():
        raise BakeoffError(f"{directory} is not a directory: name the one that holds your files.")


def _find(directory: Path, name: str) -> Path | None:
    found = [path for suffix in _SUFFIXES if (path := directory / (name + suffix)).is_file()]
    if len(found) > 1:
        raise BakeoffError(f"{directory} holds {found[0].name} and {found[1].name}: leave the one that counts.")
    return found[0] if found else None


def _content(directory: Path) -> str:
    return listed(sorted(entry.name for entry in directory.iterdir()))
