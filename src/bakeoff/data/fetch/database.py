"""SQL queries against PostgreSQL through ADBC: Arrow in batches, one read-only transaction, errors without secrets."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.sql_types import as_text, check_type

URL_VARIABLE = "BAKEOFF_DATABASE_URL"
"""Environment variable with the connection string, postgresql://user:password@host/database."""

_BEGIN = (
    # The session too, in case a query ends the transaction. Without a zone of its own a time is UTC.
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET TIME ZONE 'UTC'",
)
_CONNECT_SECONDS = 10
_LOST = re.compile(
    r"closed the connection|terminating connection|Connection (reset|refused|timed out)|timeout expired|could not "
    r"(connect|translate|receive|send)|no connection to the server|shutting down|starting up|recovery mode"
    r"|too many (clients|connections)|remaining connection slots|SSL SYSCALL|Network is unreachable|No route to host",
    re.IGNORECASE,
)
"""Where the server can't be reached now. ADBC has no code for it."""
_LOST_STATES = ("08", "57P0", "53300", "40001")
"""Beginnings of the SQLSTATEs of the same: connection, shutdown, too many connections, conflict with recovery."""
_READ_ONLY = "25006"


class UnreachableError(BakeoffError):
    """The database can't be reached now: the same may succeed later."""


def read_queries(
    queries: Mapping[str, str], url: str, raw: Mapping[str, str | None], ids: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, Any]]:
    """Run one SELECT after the other in one transaction, so that what they return belongs together.

    Args:
        queries: statement by the name that messages call it.
        url: connection string.
        raw: query → a column of it that keeps its type.
        ids: query → its columns with ids.

    Returns:
        query → column → [n] strings (but for `raw`), in the order of the rows.

    Raises:
        UnreachableError: the server can't be reached, or was lost on the way.
        BakeoffError: it refuses the user or a query, or a column can't be read. No message holds the user's name, the
            password or the connection string.
    """
    _check_url(url)
    found = {}
    with _told("The database", url), closing(_connect(url)) as connection, connection.cursor() as cursor:
        for statement in _BEGIN:
            cursor.execute(statement)
        for name, query in queries.items():
            with _told(name, url):
                cursor.execute(_bare(query))
                found[name] = _columns(cursor.fetch_record_batch(), name, raw.get(name), ids.get(name, ()))
    return found


def _check_url(url: str) -> None:
    try:
        is_address = urlsplit(url).scheme in ("postgres", "postgresql") and "://" in url
    except ValueError:
        is_address = False
    if not is_address:
        raise BakeoffError(
            f"{URL_VARIABLE} must be a connection string of PostgreSQL, postgresql://user:password@host:5432/database, "
            "with %40 for @ and %2F for / in a password; what it holds is none."
        )


def _connect(url: str) -> Any:
    from adbc_driver_postgresql import dbapi  # only those who query need it

    limited = (
        url if "connect_timeout" in url else f"{url}{'&' if '?' in url else '?'}connect_timeout={_CONNECT_SECONDS}"
    )
    return dbapi.connect(limited)


def _bare(query: str) -> str:
    """Without what may stand behind a statement: ADBC puts it in brackets."""
    lines = query.rstrip().splitlines()
    while lines and (lines[-1].lstrip().startswith("--") or not lines[-1].strip(" \t;")):
        lines.pop()
    if lines:
        lines[-1] = lines[-1].rstrip(" \t;")
    return "\n".join([*lines, ""])


def _columns(reader: Any, name: str, raw: str | None, ids: tuple[str, ...]) -> dict[str, Any]:
    """Read all batches; only one of them is there in PostgreSQL's types at a time."""
    schema = reader.schema
    if not schema.names:
        raise BakeoffError(f"{name} returns no columns: it must be one SELECT.")
    if len(set(schema.names)) < len(schema.names):
        repeated = next(column for column in schema.names if schema.names.count(column) > 1)
        raise BakeoffError(f"{name} returns more than one column {repeated!r}: name them apart with AS.")
    labels = [f"column {field.name!r} of {name}" for field in schema]
    for field, where in zip(schema, labels, strict=True):
        check_type(field, where)
    chunks: list[list[Any]] = [[] for _ in schema]
    for batch in reader:
        for field, values, where, parts in zip(schema, batch.columns, labels, chunks, strict=True):
            kept = field.name == raw and (pa.types.is_date(field.type) or pa.types.is_timestamp(field.type))
            parts.append(values if kept else as_text(values, field, where, field.name in ids))
    empty = pa.large_string()
    return {
        field.name: pa.chunked_array(parts) if parts else pa.chunked_array([], empty)
        for field, parts in zip(schema, chunks, strict=True)
    }


@contextmanager
def _told(what: str, url: str) -> Iterator[None]:
    """Turn the driver's errors into ones for people, without secrets."""
    from adbc_driver_postgresql import dbapi

    try:
        yield
    except (dbapi.Error, OSError, pa.ArrowException) as error:  # a lost connection comes as OSError out of Arrow
        state = getattr(error, "sqlstate", None) or ""
        said = scrubbed(str(error), url)
        if state.startswith(_LOST_STATES) or (not state and _LOST.search(said)):
            raise UnreachableError(
                f"{what} can't be read, since there is no connection to the database ({said}). See whether it runs "
                f"and whether host and port in {URL_VARIABLE} are right, then try again."
            ) from None
        advice = (
            "A query may only read."
            if state == _READ_ONLY
            else f"Mend the query, or what {URL_VARIABLE} says of user, password and database."
        )
        raise BakeoffError(f"{what}: PostgreSQL says {said}. {advice}") from None


def scrubbed(text: str, url: str) -> str:
    """A message of the driver in one line, without the connection string and what is secret in it.

    Args:
        text: what the driver says.
        url: the connection string.
    """
    # Up to the last @, as a person may mean it who has not written %40 and %2F for those in a password.
    whole = url.partition("://")[2].rpartition("@")[0]
    user, _, password = whole.partition(":")
    secrets = [url, whole, password, unquote(password), user, unquote(user)]
    queried = re.findall(r"(?:password|user|sslpassword|passfile)=([^&]*)", url.rpartition("?")[2])
    for secret in sorted({*secrets, *queried, *map(unquote, queried)}, key=len, reverse=True):
        if secret:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "…", text)
    text = re.sub(r"\s*Query was: .*", "", text, flags=re.DOTALL)  # the file holds it
    text = re.sub(r"^(IO|INTERNAL|UNKNOWN): |\[libpq\]", "", text)  # ADBC's own words
    return re.sub(r"\s+", " ", text).strip().rstrip(".")
