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


def read_source(request: Request, data: DataParams) -> Parts:
    """Read what `--from`, `--query` or files that are named bring.

    Raises:
        UnreachableError: the database can't be reached now.
        BakeoffError: it is not known, or something can't be read.
    """
    if request.files:
        return read_files(request.files, data)
    if request.query is not None:
        return parts(read_database(request.query, database_url(request.query), data.columns), data)
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
    """Add each delivery that is complete and was not taken yet, in name order (by code point); nothing is written here.

    One that can't be read is left out and does not keep the others waiting. Names that begin with a dot are ignored.
    """
    check_directory(inbox)
    with reading(inbox, "this user must be able to list its files", OSError):
        entries = sorted(entry for entry in inbox.iterdir() if not entry.name.startswith("."))
    tables, added, taken, unfinished, refused = held, Counter[str](), dict[str, str](), list[str](), list[str]()
    for delivery in entries:
        name = visible(delivery.name)
        if not (delivery.is_dir() or delivery.is_symlink()):
            continue
        try:
            _refuse_outside(delivery, inbox)
            if not (delivery / MARK).is_file():
                unfinished.append(name)
                continue
            sha256 = _hash(delivery)
            if _is_new(delivery.name, sha256, before):
                tables, more = merge(tables, read_parts(delivery, data), data, f"delivery {name}")
                added += more
                taken[delivery.name] = sha256
        except BakeoffError as error:
            refused.append(f"Delivery {name} can't be taken in: {error}")
        except OSError as error:
            place = visible(os.fsdecode(error.filename or delivery))
            refused.append(f"Delivery {name} can't be taken in: {place} can't be read ({error.strerror}).")
    if unfinished:
        say(f"Not taken, since they have no _SUCCESS yet: {', '.join(unfinished)}.")
    if tables is None or not taken:
        if refused:
            unchanged = "Nothing of the inbox was taken, and data/ is as it was."
            raise BakeoffError("\n".join([*refused, f"{unchanged} Fix the delivery, or move it out of the inbox."]))
        say(f"data/ is unchanged: {inbox} has no delivery that was not taken before.")
        return None
    came_from = ", ".join(f"delivery {name}" for name in taken)
    return Found(tables, came_from, added, taken, tuple(refused))


def _is_new(name: str, sha256: str, before: Mapping[str, str]) -> bool:
    if before.get(name, sha256) != sha256:
        raise BakeoffError(
            "it was taken before and is no longer what it was: rows that changed in it are in data/ as they were then. "
            "Restore its files, and deliver what changed under a new name; a delivery must not change once it holds "
            "_SUCCESS."
        )
    return name not in before


def _hash(delivery: Path) -> str:
    """SHA-256 of names and contents, after a check that all files lie inside the delivery."""
    try:
        delivery.name.encode()
    except UnicodeEncodeError:
        raise BakeoffError("its name is not UTF-8, so it can't be recorded: rename it.") from None
    total = hashlib.sha256()
    for path in sorted(delivery.iterdir()):
        _refuse_outside(path, delivery)
        if path.is_file() and path.name != MARK:
            total.update(os.fsencode(path.name) + f"\0{file_hash(path, 'sha256')}\n".encode())
    return total.hexdigest()


def _refuse_outside(path: Path, home: Path) -> None:
    """Refuse a link that leads out of a directory; raises OSError where it leads nowhere or back to itself."""
    if not Path(os.path.realpath(path, strict=True)).is_relative_to(os.path.realpath(home)):
        raise BakeoffError(
            f"{visible(str(path))} is a link that leads elsewhere, which is not read: deliver the file itself."
        )
