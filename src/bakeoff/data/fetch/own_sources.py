"""A team's own sources: files, a database or an inbox of deliveries, and what they bring to a data/ that is there."""

import hashlib
import os
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.core.errors import BakeoffError, reading, visible
from bakeoff.core.files import file_hash
from bakeoff.core.subprocesses import Log
from bakeoff.data.fetch.canonical_tables import Tables
from bakeoff.data.fetch.database import database_url, read_database
from bakeoff.data.fetch.own import check_directory, read_files, read_parts
from bakeoff.data.fetch.parts import Parts, merge, parts
from bakeoff.data.params import DataParams

MARK = "_SUCCESS"
"""File that the sender writes last: from then on the delivery does not change."""


@dataclass(frozen=True)
class Request:
    """Where a team's own data come from; nowhere for a data set with a publisher.

    Attributes:
        source: directory of files.
        query: directory of SQL files for the database in BAKEOFF_DATABASE_URL.
        inbox: directory of deliveries; those that were not taken yet are added.
        append: whether what `source`, `query` or `files` bring is added to what is there.
        files: table (interactions, users, items) → its file.
    """

    source: Path | None = None
    query: Path | None = None
    inbox: Path | None = None
    append: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def given(self) -> dict[str, Path]:
        """The options that were given, with their paths."""
        directories = {"--from": self.source, "--query": self.query, "--inbox": self.inbox}
        given = {option: path for option, path in directories.items() if path is not None}
        return given | {f"--{table}": path for table, path in self.files.items()}

    @property
    def origin(self) -> str:
        """The paths that were named, for messages; empty for a data set with a publisher."""
        return ", ".join(map(str, self.given.values()))

    @property
    def adds(self) -> bool:
        """Whether it adds to what is there."""
        return self.append or self.inbox is not None

    def check(self, name: str, data: Path, known: Container[str]) -> None:
        """Check that the request makes sense.

        Args:
            name: of the data set.
            data: the directory that is written.
            known: names of data sets with a publisher.

        Raises:
            BakeoffError: it does not; says why.
        """
        given = self.given
        if len(given) > max(1, len(self.files)):
            raise BakeoffError(f"{' and '.join(given)} name different sources: give one directory, or files alone.")
        if self.append and (not given or self.inbox is not None):
            raise BakeoffError(
                "--append adds what `--from DIR`, `--query DIR` or `--interactions FILE` brings: give one of them "
                "(`--inbox DIR` always adds)."
            )
        for option, path in given.items():
            if name in known:
                raise BakeoffError(
                    f"data.dataset in params.yaml is {name}, but `{option}` brings data of your own: give it a name of "
                    "its own there, such as my-shop."
                )
            if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(data)):
                raise BakeoffError(f"{path} is data/ itself or in it, which fetch writes: `{option}` takes another.")


PUBLISHER = Request()
"""From nowhere else than the publisher of the data set."""


@dataclass(frozen=True)
class Found:
    """What data/ will be.

    Attributes:
        tables: all of it, with what was added.
        came_from: in words.
        added: numbers of rows, as `merge` counts them; None where all of it is anew.
        taken: name → hash of the deliveries that are in it now and were not before.
        refused: why a delivery was left out, a sentence each.
        sha256: what each table must hash to; empty: not checked.
    """

    tables: Tables
    came_from: str
    added: Counter[str] | None = None
    taken: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def grown(self) -> bool:
        """Whether any row is new or replaced another."""
        return self.added is None or any(count for name, count in self.added.items() if name != "repeated")

    @property
    def note(self) -> str:
        """What was added, in words; empty where all of it is anew."""
        if (added := self.added) is None:
            return ""
        text = f" Added: {added['interactions']:,} interactions, {added['users']:,} users, {added['items']:,} items"
        if added["replaced"]:
            text += f"; {added['replaced']:,} users and items were replaced"
        if added["repeated"]:
            text += f"; {added['repeated']:,} interactions were there before and are not counted twice"
        return f"{text}."


@dataclass
class Inbox:
    """The content of an inbox beyond the deliveries that were taken before.

    Attributes:
        deliveries: name → SHA-256 of complete ones, in name order (by code point: `2026-01-31` before `2026-02-01`).
        unfinished: names of directories without `_SUCCESS`.
        refused: why a delivery can't be taken, a sentence each; the others still can.
    """

    deliveries: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def read_source(request: Request, data: DataParams) -> Parts:
    """Read what `--from`, `--query` or files that are named bring.

    Raises:
        UnreachableError: the database can't be reached now.
        BakeoffError: it is not known, or something can't be read.
    """
    if request.files:
        return read_files(request.files, data)
    if request.query is not None:
        return parts(read_database(request.query, database_url(request.query), data.columns), data.columns)
    return read_parts(request.source or Path(), data)


def add(request: Request, data: DataParams, held: Tables | None, before: Mapping[str, str], say: Log) -> Found | None:
    """Add what a source brings to what is there.

    Args:
        request: which source.
        data: how columns are named, and which of them are features.
        held: what is there; None where nothing is.
        before: name → hash of the deliveries that were taken already.
        say: called with a sentence about what is left out.

    Returns:
        None where the inbox has nothing new; `say` was called with that.

    Raises:
        UnreachableError: the database can't be reached now.
        BakeoffError: the source can't be read or does not fit; of an inbox only where no delivery can be taken.
    """
    if request.inbox is not None:
        return _add_inbox(request.inbox, data, held, before, say)
    tables, added = merge(held, read_source(request, data), data, request.origin)
    return Found(tables, request.origin, added)


def _add_inbox(inbox: Path, data: DataParams, held: Tables | None, before: Mapping[str, str], say: Log) -> Found | None:
    """Add each delivery that can be read; one that can't is left out and does not keep the others waiting."""
    found = read_inbox(inbox, before)
    if found.unfinished:
        say(f"Not taken, since they have no _SUCCESS yet: {', '.join(found.unfinished)}.")
    tables, added, taken, refused = held, Counter[str](), dict[str, str](), list(found.refused)
    for name, sha256 in found.deliveries.items():
        try:
            tables, more = merge(tables, read_parts(inbox / name, data), data, f"delivery {name}")
        except (BakeoffError, OSError) as error:
            refused.append(f"Delivery {name} can't be taken in: {error}")
            continue
        added += more
        taken[name] = sha256
    if tables is None or not taken:
        if refused:
            unchanged = "Nothing of the inbox was taken, and data/ is as it was."
            raise BakeoffError("\n".join([*refused, f"{unchanged} Mend the delivery, or move it out of the inbox."]))
        say(f"data/ is unchanged: {inbox} has no delivery that was not taken before.")
        return None
    came_from = ", ".join(f"delivery {name}" for name in taken)
    return Found(tables, came_from, added, taken, tuple(refused))


def read_inbox(inbox: Path, taken: Mapping[str, str]) -> Inbox:
    """Look for complete deliveries that were not taken yet. Nothing in the inbox is written.

    Args:
        inbox: its subdirectories are deliveries; those whose name begins with a dot are ignored.
        taken: name → hash of the deliveries that were taken.

    Raises:
        BakeoffError: there is no such directory, or it can't be read.
    """
    check_directory(inbox)
    found = Inbox()
    with reading(inbox, "this user must be able to list its files", OSError):
        entries = sorted(entry for entry in inbox.iterdir() if not entry.name.startswith("."))
    for directory in entries:
        name = visible(directory.name)
        try:
            if not (directory.is_dir() or directory.is_symlink()):
                continue
            _refuse_outside(directory, inbox, name)
            if not (directory / MARK).is_file():
                found.unfinished.append(name)
                continue
            sha256 = _hash(directory)
            if taken.get(directory.name, sha256) != sha256:
                raise BakeoffError(
                    f"Delivery {name} was taken before and is no longer what it was: rows that changed in it "
                    "are in data/ as they were then. Put it back as it was, and deliver what changed under a new name; "
                    "a delivery must not change once it holds _SUCCESS."
                )
            if directory.name not in taken:
                found.deliveries[directory.name] = sha256
        except BakeoffError as error:
            found.refused.append(str(error))
        except OSError as error:
            place = visible(os.fsdecode(error.filename or directory))
            found.refused.append(f"Delivery {name} can't be read: {error.strerror} ({place}).")
    return found


def _hash(directory: Path) -> str:
    """SHA-256 of names and contents, after a check that all files lie inside the delivery."""
    try:
        directory.name.encode()
    except UnicodeEncodeError:
        raise BakeoffError(
            f"The name of delivery {visible(directory.name)} is not UTF-8, so it can't be recorded: rename it."
        ) from None
    total = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        _refuse_outside(path, directory, visible(directory.name))
        if path.is_file() and path.name != MARK:
            total.update(os.fsencode(path.name) + f"\0{file_hash(path, 'sha256')}\n".encode())
    return total.hexdigest()


def _refuse_outside(path: Path, home: Path, delivery: str) -> None:
    """Refuse a link that leads out of a directory; raises OSError where it leads nowhere or back to itself."""
    if not Path(os.path.realpath(path, strict=True)).is_relative_to(os.path.realpath(home)):
        raise BakeoffError(
            f"{visible(str(path))} of delivery {delivery} is a link that leads out of it: such a delivery is "
            "not read. Deliver the file itself."
        )
