"""The log of `bakeoff serve`: Parquet files of impressions and feedback in one directory, which several servers share.

A row waits in memory for `seconds`, then the server's current file is written anew under a temporary name and renamed:
a killed server loses what waited, and no file is ever half of one. Changing files takes a lock on the directory.
"""

import hashlib
import hmac
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.files import locked, remove, written
from bakeoff.core.workspace import Workspace

VARIABLE = "BAKEOFF_ONLINE_LOG"
"""Environment variable that names the directory."""

FILE_BYTES, HOUR = 8 * 2**20, 3600.0
"""Size of its rows in memory, as of 20,000 lists of ten items, and seconds after which a server begins another file."""

MOST_DAYS = 36_500.0
"""Days for which rows are kept at most: a century, so that the first of them has a year of four digits."""

MOST_WAITING, ROW_PLACES = 2_000_000, 10
"""Places of lists that wait in memory, some 100 bytes each, and places that any row counts for besides. These are
100,000 lists of ten items; more are dropped and counted, as when the disk is full for long."""

_SECRET, _FORGOTTEN, _TIME = "secret", "forgotten", "%Y%m%dT%H%M%S"
_LOCK = "lock"
"""A file: of a directory on NFS each machine would have a lock of its own."""

_TEXT, _FLAGS = pa.string(), pa.list_(pa.bool_())
_LIST = {"id": _TEXT, "user": _TEXT, "champion": _TEXT, "challenger": _TEXT, "explore": pa.float64()}
_PLACES = {"items": pa.list_(_TEXT), "scores": pa.list_(pa.float32()), "propensities": pa.list_(pa.float64())}
_TEAMS = {"teams": pa.list_(pa.int8()), "as_champion": _FLAGS, "as_challenger": _FLAGS}
_FEEDBACK = {"impression": _TEXT, "item_id": _TEXT, "event": _TEXT}
_AT = {"time": pa.timestamp("us", "UTC")}
SCHEMAS = {"impressions": pa.schema(_AT | _LIST | _PLACES | _TEAMS), "feedback": pa.schema(_AT | _FEEDBACK)}
"""Table → its columns (docs/online.md)."""

log = logging.getLogger("bakeoff.serve")


def log_folder(workspace: Workspace, named: Path | None = None) -> Path:
    """The directory that was named, by an option or the environment; else `.bakeoff/online` of the workspace."""
    return named or Path(os.environ.get(VARIABLE) or workspace.root / ".bakeoff/online")


class Pseudonyms:
    """Keyed hashes (HMAC-SHA256) with the secret of a log."""

    def __init__(self, secret: bytes) -> None:
        """Hash with this secret."""
        self._secret = secret

    @classmethod
    def of(cls, folder: Path, *, create: bool = False) -> "Pseudonyms":
        """With the secret of a directory; with `create`, which holds its lock, one is made where there is none.

        Raises:
            BakeoffError: it has none, or it can't be read.
        """
        path = folder / _SECRET
        remedy = (
            "without it nobody finds a user's rows. Bring it back, run this as the user of `bakeoff serve`, or delete "
            "the log"
        )
        with reading(path, remedy, OSError):
            if create and not path.exists():
                with written(path) as part:
                    part.touch(mode=0o600)
                    part.write_bytes(secrets.token_bytes(32))
            return cls(path.read_bytes())

    def user(self, user: str) -> str:
        """The pseudonym of a user, 32 hexadecimal digits."""
        return self._hash("user", user)[:32]

    def new_impression(self) -> str:
        """An id that says that this log issued it: 24 random digits and 8 of their hash."""
        number = secrets.token_hex(12)
        return number + self._hash("impression", number)[:8]

    def issued(self, impression: str) -> bool:
        """Whether a server with this secret issued the id."""
        number, check = impression[:24], impression[24:]
        return hmac.compare_digest(self._hash("impression", number)[:8].encode(), check.encode())

    def _hash(self, kind: str, text: str) -> str:
        return hmac.digest(self._secret, f"{kind} {text}".encode("utf-8", "backslashreplace"), hashlib.sha256).hex()


class LogWriter:
    """Takes rows at once and writes them in a thread of its own.

    Attributes:
        folder: of the log.
        pseudonyms: of its users, and ids of its impressions.
    """

    def __init__(self, folder: Path, days: float, seconds: float = 2.0) -> None:
        """Open a directory, which is made if it is not there.

        Args:
            folder: of the log.
            days: age at which rows are removed; beyond MOST_DAYS it counts as that.
            seconds: that a row waits in memory.

        Raises:
            BakeoffError: the directory can't be made, or the secret can't be read.
        """
        self.folder, self._days, self._seconds = folder, days, seconds
        self._waiting: dict[str, deque[Mapping[str, Any]]] = {table: deque() for table in SCHEMAS}
        # Places; one thread alone adds to each, so that none waits for another.
        self._taken, self._gone = dict.fromkeys(SCHEMAS, 0), dict.fromkeys(SCHEMAS, 0)
        self._current: dict[str, Path] = {}
        self._expired_at = time.monotonic()
        with reading(folder, "a log is a directory, which is made where there is none. Name another one", OSError):
            for table in SCHEMAS:
                (folder / table).mkdir(parents=True, exist_ok=True)
        with locked(folder / _LOCK):
            (folder / ".gitignore").write_text("*\n")
            self.pseudonyms = Pseudonyms.of(folder, create=True)
            for part in folder.glob("*/.*.part"):  # of a server that was killed
                remove(part)
            self._expire()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def add(self, table: str, row: Mapping[str, Any]) -> bool:
        """Take a row, without waiting for anything; False where it is dropped."""
        size = _size(row)
        if self._taken[table] - self._gone[table] + size > MOST_WAITING:
            return False
        self._taken[table] += size
        self._waiting[table].append(row)
        return True

    def close(self) -> None:
        """Write what waits, and end."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        failed = ""
        while not self._ended.wait(self._seconds):
            failed = self._write(failed)
        self._write(failed)

    def _write(self, failed: str) -> str:
        """Write what waits; the kind of error that prevented it, which is logged once, and the rows go on waiting."""
        try:
            with locked(self.folder / _LOCK):
                self._drop_forgotten()
                for table in SCHEMAS:
                    self._write_table(table)
                if time.monotonic() - self._expired_at >= HOUR:
                    self._expired_at = time.monotonic()
                    self._expire()
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread goes on
            kind = type(error).__name__  # words differ from time to time: they say how much of the disk is free
            if kind != failed:
                log.error("the log can't be written, its rows wait in memory: %s", error)
            return kind
        return ""

    def _drop_forgotten(self) -> None:
        """Drop the lists that wait of people whom `bakeoff forget` has removed since."""
        names = sorted(path.name for path in (self.folder / _FORGOTTEN).glob("*-*"))
        until = {user: time for time, _, user in (name.partition("-") for name in names)}
        waiting = self._waiting["impressions"]
        for row in [waiting.popleft() for _ in range(len(waiting))] if until else ():
            both = () if row["user"] is None else (row["user"], self.pseudonyms.user(row["user"]))
            if any(f"{row['time']:{_TIME}}" <= until.get(name, "") for name in both):
                self._gone["impressions"] += _size(row)
            else:
                waiting.append(row)

    def _write_table(self, table: str) -> None:
        """Add what waits to the server's current file, as it is now: `bakeoff forget` may have changed it."""
        waiting = self._waiting[table]
        rows = [waiting.popleft() for _ in range(len(waiting))]
        if not rows:
            return
        try:
            path, held = self._begun(table)
            with written(path) as part:
                pq.write_table(pa.concat_tables([held, pa.Table.from_pylist(rows, SCHEMAS[table])]), part)
        except BaseException:
            waiting.extendleft(reversed(rows))
            raise
        self._gone[table] += sum(map(_size, rows))

    def _begun(self, table: str) -> tuple[Path, pa.Table]:
        """The server's current file and its rows; another one, without a row, where it is full, old or damaged."""
        now, path = datetime.now(UTC), self._current.get(table)
        if path is not None and path.name >= f"{now - timedelta(seconds=HOUR):{_TIME}}":
            try:
                held = read_part(path) if path.exists() else SCHEMAS[table].empty_table()
            except BakeoffError as error:
                log.error("%s The server goes on with another file.", error)
            else:
                if held.nbytes < FILE_BYTES:
                    return path, held
        path = self._current[table] = self.folder / table / f"{now:{_TIME}}-{secrets.token_hex(4)}.parquet"
        return path, SCHEMAS[table].empty_table()

    def _expire(self) -> None:
        """Remove files that were begun before the first day that is kept, and names of people after an hour."""
        oldest = f"{datetime.now(UTC) - timedelta(days=min(MOST_DAYS, self._days)):{_TIME}}"
        for table in SCHEMAS:
            for path in parts(self.folder, table):
                if path.name < oldest:
                    remove(path)
        for path in (self.folder / _FORGOTTEN).glob("*-*"):
            if path.name < f"{datetime.now(UTC) - timedelta(seconds=HOUR):{_TIME}}":
                remove(path)


def _size(row: Mapping[str, Any]) -> int:
    """Places that a row counts for."""
    return ROW_PLACES + len(row.get("items", ()))


def parts(folder: Path, table: str) -> list[Path]:
    """Files of a table, oldest first."""
    return sorted((folder / table).glob("[!.]*.parquet"))


def read_part(path: Path) -> pa.Table:
    """A file of the log.

    Raises:
        BakeoffError: it is damaged.
    """
    with reading(path, "move it out of the log, and try again", OSError, pa.ArrowException):
        return pq.read_table(path)


def forget_user(folder: Path, user: str) -> tuple[int, int]:
    """Remove the lists of a user, under the pseudonym or the plain id, and the feedback on them; how many of each.

    The pseudonym stays for an hour or more, so that running servers drop the lists that wait in their memory.

    Raises:
        BakeoffError: the secret or a file can't be read.
    """
    if not (folder / _SECRET).exists() and not any(parts(folder, table) for table in SCHEMAS):
        return 0, 0
    with locked(folder / _LOCK):
        pseudonym = Pseudonyms.of(folder).user(user)
        (folder / _FORGOTTEN).mkdir(exist_ok=True)
        (folder / _FORGOTTEN / f"{datetime.now(UTC):{_TIME}}-{pseudonym}").touch()
        names, lists = pa.array([user, pseudonym]), parts(folder, "impressions")
        ids = pa.chunked_array([_ids(path, names) for path in lists], pa.string())
        # Lists last: where a file can't be read, the next call finds their ids again.
        feedback = sum(_remove(path, "impression", ids) for path in parts(folder, "feedback"))
        return sum(_remove(path, "user", names) for path in lists), feedback


def _ids(path: Path, users: pa.Array) -> pa.Array:
    """Ids of the lists of these users in a file."""
    found = read_part(path)
    return found["id"].filter(pc.is_in(found["user"], value_set=users)).combine_chunks()


def _remove(path: Path, column: str, values: pa.Array | pa.ChunkedArray) -> int:
    """Remove the rows with one of these values from a file; how many there were."""
    found = read_part(path)
    kept = found.filter(pc.invert(pc.is_in(found[column], value_set=values)))
    if not len(kept):
        path.unlink()
    elif len(kept) < len(found):
        with written(path) as part:
            pq.write_table(kept, part)
    return len(found) - len(kept)
