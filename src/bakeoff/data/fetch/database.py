"""A directory of SQL files → canonical tables, from any database that SQLAlchemy reaches by its URL."""

import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.canonical_tables import TABLES, text_column
from bakeoff.data.fetch.own import check_directory
from bakeoff.data.fetch.parts import Raw, listed
from bakeoff.data.fetch.table_files import text_of
from bakeoff.data.params import ColumnParams

URL_VARIABLE = "BAKEOFF_DATABASE_URL"
"""Environment variable with the database's URL, such as postgresql://user:password@host/database."""
MAX_QUERY_BYTES = 2**20
"""Size of a query; what is longer is another file."""
ROWS_PER_BATCH = 50_000
"""Rows that are in memory as Python objects at a time."""

_SESSION = {
    "postgresql": (
        # The session too, in case a query ends the transaction. Without a zone of its own a time is UTC.
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "SET TIME ZONE 'UTC'",
    ),
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET time_zone = '+00:00'", "START TRANSACTION READ ONLY"),
    "sqlite": ("PRAGMA query_only = ON", "BEGIN"),
}
"""What makes a transaction see one moment and read only. Elsewhere nothing is committed, at least."""
_REFUSED = ("money", "json", "jsonb", "bytea", "interval", "time", "timetz", "record", "inet", "cidr")
"""PostgreSQL's types whose text people would not agree on."""
_LOST = re.compile(
    r"closed the connection|terminating connection|connection (reset|refused|timed out)|timeout expired|could not "
    r"(connect|translate|receive|send)|no connection to the server|shutting down|starting up|recovery mode"
    r"|too many (clients|connections)|remaining connection slots|SSL SYSCALL|Network is unreachable|No route to host"
    r"|can't connect|lost connection|consuming input failed",
    re.IGNORECASE,
)
"""Where the server can't be reached now, and the driver has no code for it."""
_LOST_STATES = ("08", "57P0", "53300", "40001")
"""Beginnings of the SQLSTATEs of the same: connection, shutdown, too many connections, conflict with recovery."""


class UnreachableError(BakeoffError):
    """The database can't be reached now: the same may succeed later."""

    status = os.EX_TEMPFAIL


def database_url(directory: Path) -> str:
    """The database's URL.

    Args:
        directory: of the queries, for the message.

    Raises:
        BakeoffError: it is not set.
    """
    if url := os.environ.get(URL_VARIABLE):
        return url
    raise BakeoffError(
        f"{URL_VARIABLE} is not set: it must hold the URL of the database for the queries of {directory}, such as "
        "postgresql://user:password@host:5432/database."
    )


def read_database(directory: Path, url: str, names: ColumnParams) -> dict[str, Raw]:
    """Run interactions.sql and, where there are, users.sql and items.sql, in one transaction: all see the same moment.

    Args:
        directory: holds the files, each one SELECT whose columns are named as those of files are.
        url: of the database.
        names: how columns are named.

    Returns:
        table → its columns, [n] strings in the order of the rows; dates and times of events keep their type.

    Raises:
        UnreachableError: the server can't be reached, or was lost on the way.
        BakeoffError: interactions.sql is missing, a file can't be read, the URL, its driver, the user or a query is
            wrong, or a column can't be read. No message holds the user's name, the password or the URL.
    """
    check_directory(directory)
    paths = {table: path for table in TABLES if (path := directory / f"{table}.sql").is_file()}
    if "interactions" not in paths:
        raise BakeoffError(
            f"{directory} has no interactions.sql; it has "
            f"{listed(sorted(entry.name for entry in directory.iterdir()))}. Write one SELECT into it, whose columns "
            "are named as data.columns in params.yaml says."
        )
    queries = {table: _query(path) for table, path in paths.items()}
    engine = _engine(url)
    found = {}
    with _explained("The database", url), engine.connect() as connection:
        for statement in _SESSION.get(engine.dialect.name, ()):
            connection.exec_driver_sql(statement)
        streamed = connection.execution_options(stream_results=True, no_parameters=True, max_row_buffer=ROWS_PER_BATCH)
        for table, query in queries.items():
            where, times = str(paths[table]), names.timestamp if table == "interactions" else None
            with _explained(where, url), streamed.exec_driver_sql(query) as result:
                found[table] = Raw(where, _columns(result, where, times, names.ids[table]))
        connection.rollback()
    return found


def _query(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_QUERY_BYTES + 1).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BakeoffError(f"{path} is not UTF-8: store it as such.") from None
    if len(text) > MAX_QUERY_BYTES or not text.strip():
        raise BakeoffError(f"{path} is empty or larger than {MAX_QUERY_BYTES:,} bytes: it must hold one SELECT.")
    return text


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        is_postgres = parsed.get_backend_name() == "postgresql"
        path = parsed.database or ""
        if parsed.get_backend_name() == "sqlite" and not Path(path).is_file():
            raise BakeoffError(f"{URL_VARIABLE} names the SQLite file {path!r}, which is not there.")
        timeout = {"connect_timeout": 10} if is_postgres and "connect_timeout" not in parsed.query else {}
        return sa.create_engine(parsed, poolclass=sa.NullPool, connect_args=timeout)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise BakeoffError(
            f"{URL_VARIABLE} must be a database's URL as SQLAlchemy reads it, such as "
            "postgresql://user:password@host:5432/database or sqlite:///shop.db, with %40 for @ and %2F for / in a "
            "password; what it holds is none, or of a database whose dialect is not installed."
        ) from None
    except ModuleNotFoundError as error:
        raise BakeoffError(
            f"The driver of this database, the package {error.name}, is not installed: for PostgreSQL "
            "`pip install 'bakeoff[postgres]'`, for others the package that SQLAlchemy's documentation names."
        ) from None


def _columns(result: Any, name: str, raw: str | None, ids: tuple[str, ...]) -> dict[str, Any]:
    """Read all rows; only one batch of them is there as Python objects at a time."""
    if not result.returns_rows:
        raise BakeoffError(f"{name} returns no columns: it must be one SELECT.")
    names = list(result.keys())
    if len(set(names)) < len(names):
        repeated = next(column for column in names if names.count(column) > 1)
        raise BakeoffError(f"{name} returns more than one column {repeated!r}: name them apart with AS.")
    types = [getattr(column, "type_display", "") for column in result.cursor.description or ()]
    chunks: list[list[Any]] = [[] for _ in names]
    for rows in result.partitions(ROWS_PER_BATCH):
        for place, values in enumerate(zip(*rows, strict=True)):
            where = f"column {names[place]!r} of {name}"
            array = _array(values, types[place], names[place], where)
            is_time = pa.types.is_date(array.type) or pa.types.is_timestamp(array.type) or pa.types.is_null(array.type)
            if not (names[place] == raw and is_time):
                array = text_column(text_of(array, names[place] in ids, where))
                array = pc.utf8_rtrim_whitespace(array) if types[place].startswith(("bpchar", "character(")) else array
            chunks[place].append(array)
    return {column: _chunked(parts) for column, parts in zip(names, chunks, strict=True)}


def _array(values: Sequence[Any], kind: str, column: str, where: str) -> pa.Array:
    """Values as the driver gives them → Arrow, exact: digits of a numeric stay as they are."""
    name = kind.partition("(")[0]
    try:
        if any(isinstance(value, Decimal | uuid.UUID) for value in values):
            values = [format(value, "f") if isinstance(value, Decimal) else value and str(value) for value in values]
        array = pa.array(values)
    except (pa.ArrowException, TypeError, OverflowError):
        array, name = None, name or "mixed"
    unclear = array is None or pa.types.is_time(array.type) or pa.types.is_duration(array.type)
    if unclear or pa.types.is_struct(array.type) or pa.types.is_binary(array.type) or name in _REFUSED:
        raise BakeoffError(
            f"{where} is of type {name or array.type}, which has no plain text: select what counts of it, such as "
            f"`{column}::text AS {column}` in PostgreSQL, else CAST({column} AS …)."
        )
    return array


def _chunked(parts: list[Any]) -> pa.ChunkedArray:
    known = [part.type for part in parts if not pa.types.is_null(part.type)]
    kind = known[0] if known else pa.large_string()
    return pa.chunked_array([part.cast(kind) for part in parts], kind)


@contextmanager
def _explained(what: str, url: str) -> Iterator[None]:
    """Turn the driver's errors into ones for people, without secrets."""
    try:
        yield
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        said = scrubbed(str(error.orig), url)
        if state.startswith(_LOST_STATES) or (not state and _LOST.search(said)):
            raise UnreachableError(
                f"{what} can't be read, since there is no connection to the database ({said}). See whether it runs "
                f"and whether host and port in {URL_VARIABLE} are right, then try again."
            ) from None
        raise BakeoffError(
            f"{what}: the database says {said}. A query may only read, and is one SELECT: fix it, or what "
            f"{URL_VARIABLE} says of user, password and database."
        ) from None


def scrubbed(text: str, url: str) -> str:
    """A message of the driver in one line, without the URL and what is secret in it.

    Args:
        text: what the driver says.
        url: of the database.
    """
    # Up to the last @, as a person may mean it who has not written %40 and %2F for those in a password.
    whole = url.partition("://")[2].rpartition("@")[0]
    user, _, password = whole.partition(":")
    secrets = [url, whole, password, unquote(password), user, unquote(user)]
    queried = re.findall(r"(?:password|user|sslpassword|passfile)=([^&]*)", url.rpartition("?")[2])
    for secret in sorted({*secrets, *queried, *map(unquote, queried)}, key=len, reverse=True):
        if secret:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "…", text)
    return re.sub(r"\s+", " ", text).strip().rstrip(".")
