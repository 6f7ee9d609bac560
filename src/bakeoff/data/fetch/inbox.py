"""Deliveries of new rows: directories in an inbox, each complete once it holds a file `_SUCCESS`."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.core.errors import BakeoffError, visible
from bakeoff.data.fetch.own import check_directory

MARK = "_SUCCESS"
"""File that the sender writes last: from then on the delivery does not change."""


@dataclass(frozen=True)
class Delivery:
    """A complete delivery.

    Attributes:
        name: of its directory.
        directory: where it lies.
        sha256: of all its files, names and contents.
    """

    name: str
    directory: Path
    sha256: str


@dataclass
class Inbox:
    """What an inbox holds beyond the deliveries that were taken before.

    Attributes:
        deliveries: complete ones, in name order (by code point: `2026-01-31` before `2026-02-01`).
        unfinished: names of directories without `_SUCCESS`.
        refused: why a delivery can't be taken, a sentence each; the others still can.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def read_inbox(inbox: Path, taken: Mapping[str, str]) -> Inbox:
    """Look for complete deliveries that were not taken yet. Nothing in the inbox is written.

    Args:
        inbox: its subdirectories are deliveries; those whose name begins with a dot are ignored.
        taken: name → hash of the deliveries that were taken.

    Raises:
        BakeoffError: there is no such directory.
    """
    check_directory(inbox)
    found = Inbox()
    for directory in sorted(entry for entry in inbox.iterdir() if not entry.name.startswith(".")):
        try:
            if not (_is_loop(directory) or directory.is_dir()):
                continue
            _refuse_outside(directory, inbox, directory.name)
            if not (directory / MARK).is_file():
                found.unfinished.append(visible(directory.name))
                continue
            delivery = Delivery(_name(directory), directory, _hash(directory))
            before = taken.get(delivery.name, delivery.sha256)
            if before != delivery.sha256:
                raise BakeoffError(
                    f"Delivery {delivery.name} was taken before and is no longer what it was: rows that changed in it "
                    "are in data/ as they were then. Put it back as it was, and deliver what changed under a new name; "
                    "a delivery must not change once it holds _SUCCESS."
                )
            if delivery.name not in taken:
                found.deliveries.append(delivery)
        except BakeoffError as error:
            found.refused.append(str(error))
        except OSError as error:
            found.refused.append(f"Delivery {visible(directory.name)} can't be read: {error.strerror}.")
    return found


def _name(directory: Path) -> str:
    try:
        directory.name.encode()
    except UnicodeEncodeError:
        raise BakeoffError(
            f"The name of delivery {visible(directory.name)} is not UTF-8, so that it can't be recorded: rename its "
            "directory."
        ) from None
    return directory.name


def _hash(directory: Path) -> str:
    """SHA-256 of names and contents, after a check that all files lie inside the delivery."""
    total = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        _refuse_outside(path, directory, directory.name)
        if path.is_file() and path.name != MARK:
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            total.update(os.fsencode(path.name) + f"\0{content}\n".encode())
    return total.hexdigest()


def _refuse_outside(path: Path, home: Path, delivery: str) -> None:
    if _is_loop(path):
        raise BakeoffError(
            f"{visible(str(path))} of delivery {visible(delivery)} is a link that leads back to itself: "
            "deliver the file."
        )
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(home)):
        raise BakeoffError(
            f"{visible(str(path))} of delivery {visible(delivery)} is a link that leads out of it: such a delivery is "
            "not read. Deliver the file itself."
        )


def _is_loop(path: Path) -> bool:
    return path.is_symlink() and os.path.islink(os.path.realpath(path))
