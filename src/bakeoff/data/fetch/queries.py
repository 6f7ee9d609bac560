"""A directory of SQL files → canonical tables, by way of a database."""

from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.database import read_queries
from bakeoff.data.fetch.own import check_directory
from bakeoff.data.fetch.parts import Parts, Raw, listed, parts
from bakeoff.data.fetch.tables import TABLES
from bakeoff.data.params import DataParams

MAX_BYTES = 2**20
"""Of a query; what is longer is another file."""


def read_database(directory: Path, url: str, data: DataParams) -> Parts:
    """Run interactions.sql and, where there are, users.sql and items.sql, in one transaction.

    Args:
        directory: holds the files, each one SELECT whose columns are named as those of files are.
        url: connection string.
        data: how columns are named.

    Raises:
        UnreachableError: the database can't be reached now.
        BakeoffError: interactions.sql is missing or a file can't be read, or what its query returns; see
            `read_queries` and `parts`.
    """
    check_directory(directory)
    paths = {table: path for table in TABLES if (path := directory / f"{table}.sql").is_file()}
    if "interactions" not in paths:
        raise BakeoffError(
            f"{directory} has no interactions.sql; it has "
            f"{listed(sorted(entry.name for entry in directory.iterdir()))}. Write one SELECT into it, whose columns "
            "are named as data.columns in params.yaml says."
        )
    names = data.columns
    ids = {"interactions": (names.user_id, names.item_id), "users": (names.user_id,), "items": (names.item_id,)}
    found = read_queries(
        {str(path): _text(path) for path in paths.values()},
        url,
        raw={str(paths["interactions"]): names.timestamp},
        ids={str(path): ids[table] for table, path in paths.items()},
    )
    raws = {table: Raw(str(path), found[str(path)]) for table, path in paths.items()}
    return parts(raws["interactions"], raws.get("users"), raws.get("items"), names)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BakeoffError(f"{path} is not UTF-8: store it as such.") from None
    if len(text) > MAX_BYTES or not text.strip():
        raise BakeoffError(f"{path} is empty or larger than {MAX_BYTES:,} bytes: it must hold one SELECT.")
    return text
