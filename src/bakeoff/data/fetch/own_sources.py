"""A team's own sources: what is asked of them, and what they bring to a data/ that is there."""

import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.database import URL_VARIABLE, read_database
from bakeoff.data.fetch.inbox import Inbox, read_inbox
from bakeoff.data.fetch.merging import Added, merge
from bakeoff.data.fetch.own import read_parts
from bakeoff.data.fetch.parts import Parts, complete
from bakeoff.data.fetch.tables import Tables
from bakeoff.data.params import DataParams


@dataclass(frozen=True)
class Request:
    """Where a team's own data come from; none of the three for a data set with a publisher.

    Attributes:
        source: directory of files.
        query: directory of SQL files.
        inbox: directory of deliveries.
        append: whether what `source` or `query` brings is added to what is there.
    """

    source: Path | None
    query: Path | None
    inbox: Path | None
    append: bool

    @property
    def origin(self) -> Path | None:
        """The directory of whichever was asked for."""
        return self.source or self.query or self.inbox

    @property
    def adds(self) -> bool:
        """Whether it adds to what is there."""
        return self.append or self.inbox is not None

    def check(self, name: str, data: Path, known: Container[str]) -> None:
        """See that the request makes sense.

        Args:
            name: of the data set.
            data: the directory that is written.
            known: names of data sets with a publisher.

        Raises:
            BakeoffError: it does not; says why.
        """
        given = {"--from": self.source, "--query": self.query, "--inbox": self.inbox}
        options = [option for option, directory in given.items() if directory is not None]
        if len(options) > 1:
            raise BakeoffError(f"{' and '.join(options)} name different sources: give one of them.")
        if self.append and (not options or self.inbox is not None):
            raise BakeoffError(
                "--append adds what `--from DIR` or `--query DIR` brings: give one of them (`--inbox DIR` always adds)."
            )
        if self.origin is None:
            return
        if name in known:
            raise BakeoffError(
                f"data.dataset in params.yaml is {name}, but `{options[0]}` brings data of your own: give it a name of "
                "its own there, such as my-shop."
            )
        if Path(os.path.realpath(self.origin)).is_relative_to(os.path.realpath(data)):
            raise BakeoffError(
                f"{self.origin} is data/ itself, which fetch writes: `{options[0]}` takes another directory."
            )


@dataclass(frozen=True)
class Taken:
    """What data/ becomes.

    Attributes:
        tables: all of it, with what was added.
        came_from: in words.
        note: what was added, in words.
        grown: whether any row is new or replaced another.
        taken: name → hash of the deliveries that are in it now and were not before.
        refused: why a delivery was left out, a sentence each.
    """

    tables: Tables
    came_from: str
    note: str
    grown: bool
    taken: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


def read(request: Request, data: DataParams) -> list[tuple[Parts, str]]:
    """What `--from` or `--query` brings, with where from.

    Raises:
        UnreachableError: the database can't be reached now.
        BakeoffError: it is not known, or something can't be read.
    """
    if request.query is None:
        if request.source is None:
            return []
        return [(read_parts(request.source, data), str(request.source))]
    url = os.environ.get(URL_VARIABLE)
    if not url:
        raise BakeoffError(
            f"{URL_VARIABLE} is not set: it must hold the URL of the database that {request.query} asks, "
            "such as postgresql://user:password@host:5432/database."
        )
    return [(read_database(request.query, url, data), str(request.query))]


def take(
    request: Request, data: DataParams, held: Tables | None, before: Mapping[str, str], say: Callable[[str], None]
) -> Taken | None:
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
        return _take_inbox(request.inbox, data, held, before, say)
    tables, added = held, Added()
    sources = read(request, data)
    for parts, where in sources:
        tables, more = _merged(tables, parts, data, where)
        added += more
    if tables is None:
        raise BakeoffError("There is nothing to add: no source was given.")
    return Taken(tables, ", ".join(where for _, where in sources), _in_words(added), added.any)


def _take_inbox(
    inbox: Path, data: DataParams, held: Tables | None, before: Mapping[str, str], say: Callable[[str], None]
) -> Taken | None:
    """Add each delivery that can be read; one that can't is left out and does not keep the others waiting."""
    found = _read_inbox(inbox, before)
    if found.unfinished:
        say(f"Not taken, since they have no _SUCCESS yet: {', '.join(found.unfinished)}.")
    tables, added, taken, refused = held, Added(), dict[str, str](), list(found.refused)
    for delivery in found.deliveries:
        name = f"delivery {delivery.name}"
        try:
            tables, more = _merged(tables, read_parts(delivery.directory, data), data, name)
        except (BakeoffError, OSError) as error:
            refused.append(f"Delivery {delivery.name} can't be taken in: {error}")
            continue
        added += more
        taken[delivery.name] = delivery.sha256
    if tables is None or not taken:
        if refused:
            unchanged = "Nothing of the inbox was taken, and data/ is as it was."
            raise BakeoffError("\n".join([*refused, f"{unchanged} Mend the delivery, or move it out of the inbox."]))
        say(f"data/ is unchanged: {inbox} has no delivery that was not taken before.")
        return None
    came_from = ", ".join(f"delivery {name}" for name in taken)
    return Taken(tables, came_from, _in_words(added), added.any, taken, tuple(refused))


def _read_inbox(inbox: Path, before: Mapping[str, str]) -> Inbox:
    try:
        return read_inbox(inbox, before)
    except OSError as error:
        raise BakeoffError(f"{inbox} can't be read: {error}.") from None


def _merged(held: Tables | None, parts: Parts, data: DataParams, where: str) -> tuple[Tables, Added]:
    if held is not None:
        return merge(held, parts, data, where)
    tables = complete(parts, data, where)
    return tables, Added(tables.interactions.num_rows, 0, tables.users.num_rows, tables.items.num_rows)


def _in_words(added: Added) -> str:
    text = f" Added: {added.events:,} interactions, {added.users:,} users, {added.items:,} items"
    if added.replaced:
        text += f"; {added.replaced:,} users and items were replaced"
    if added.repeated:
        text += f"; {added.repeated:,} interactions were there before and are not counted twice"
    return f"{text}."
