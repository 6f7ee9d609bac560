"""Deliveries of new rows: directories in an inbox, each complete once it holds a file `_SUCCESS`."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.own import check_directory

MARK = "_SUCCESS"
"""Written last by whoever delivers: from then on the delivery does not change."""


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


def new_deliveries(inbox: Path, taken: Mapping[str, str]) -> tuple[list[Delivery], list[str]]:
    """Complete deliveries that were not taken yet. Nothing in the inbox is written.

    Args:
        inbox: its subdirectories are deliveries; those whose name begins with a dot are not looked at.
        taken: name → hash of the deliveries that were taken.

    Returns:
        the deliveries in name order (by code point: `2026-01-31` before `2026-02-01`), and the names of those that
        are not complete.

    Raises:
        BakeoffError: no such directory, a delivery that was taken is no longer what it was, or one leads out of the
            inbox.
    """
    check_directory(inbox)
    found, unfinished = [], []
    for directory in sorted(entry for entry in inbox.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        if not (directory / MARK).is_file():
            unfinished.append(directory.name)
            continue
        delivery = Delivery(directory.name, directory, _hash(directory, inbox))
        before = taken.get(delivery.name)
        if before is None:
            found.append(delivery)
        elif before != delivery.sha256:
            raise BakeoffError(
                f"Delivery {delivery.name} was taken before and is no longer what it was: rows that changed in it are "
                "in data/ as they were then. Put it back as it was, and deliver what changed under a new name; a "
                "delivery must not change once it holds _SUCCESS."
            )
    return found, unfinished


def _hash(directory: Path, inbox: Path) -> str:
    """SHA-256 of names and contents, after a look that all of it lies where it should."""
    home = inbox.resolve()
    _refuse_outside(directory, home, directory.name)
    total = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        _refuse_outside(path, directory.resolve(), directory.name)
        if path.is_file() and path.name != MARK:
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            total.update(f"{path.name}\0{content}\n".encode())
    return total.hexdigest()


def _refuse_outside(path: Path, home: Path, delivery: str) -> None:
    if not path.resolve().is_relative_to(home):
        raise BakeoffError(
            f"{path} of delivery {delivery} is a link that leads out of it: such a delivery is not read. Deliver the "
            "file itself."
        )
