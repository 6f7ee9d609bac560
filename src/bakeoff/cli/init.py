"""`bakeoff init`: shows how it reads a team's data, asks where that is not clear, and makes a workspace."""

import shlex
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakeoff.cli.arguments import START
from bakeoff.core.errors import BakeoffError, visible

if TYPE_CHECKING:
    from bakeoff.ops.detection import Detected

app = typer.Typer()

_WORDS = {
    "user_id": "the user",
    "item_id": "the item",
    "timestamp": "the time of an event",
    "user_id_in_users": "the id of the users",
    "item_id_in_items": "the id of the items",
}
"""Role → what the column holds, in questions."""
OPTIONAL_ROLES = ("timestamp", "user_id_in_users", "item_id_in_items")
_READ_AS = {"user_id": "user", "item_id": "item", "split": "part", "event": "kind of event", "weight": "weight"}
"""Role of a column of the interactions → what it is taken for."""
NONE = "-"
"""The answer that there is no such column."""
_UNITS = {"s": "seconds since 1970", "ms": "milliseconds since 1970", "iso": "ISO 8601"}


def _file(help_text: str) -> Any:
    return typer.Option(metavar="FILE", help=help_text, exists=True, dir_okay=False, readable=True)


@app.command(rich_help_panel=START)
def init(
    directory: Annotated[Path, typer.Argument(help="The workspace: a directory that is not there yet, or is empty.")],
    interactions: Annotated[
        Path | None, _file("CSV (by comma, tab, semicolon or bar) or Parquet: an event per row.")
    ] = None,
    users: Annotated[Path | None, _file("A user per row, with features.")] = None,
    items: Annotated[Path | None, _file("An item per row, with a title and features.")] = None,
    query: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of files: interactions.sql and, if you like, users.sql and items.sql, a SELECT each, for the "
            "database whose URL is in BAKEOFF_DATABASE_URL.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=NAME",
            help="Which column plays a role: user_id, item_id, timestamp, rating, event, weight, split, title, "
            "user_id_in_users or item_id_in_items; `rating=` for none; timestamp_unit=s, ms or iso. Can be repeated.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept how the data is read, without a question.")] = False,
) -> None:
    """Make a workspace for your own data: params.yaml, dvc.yaml, prefect.yaml, CI workflows, and data under DVC.

    Shows how each column is read and asks where that is not clear. Your files are copied, and nothing else is written
    outside of the directory.
    """
    from bakeoff.data.fetch import command as fetch
    from bakeoff.data.fetch.own_sources import Request
    from bakeoff.ops import new_workspace
    from bakeoff.ops.detection import ENTITIES, detect
    from bakeoff.ops.feature_kinds import with_vectors
    from bakeoff.params import parse_params

    given = _given(column or [])
    new_workspace.check_free(directory)
    named = {"interactions": interactions, "users": users, "items": items}
    files = {table: path for table, path in named.items() if path is not None}
    read, encoding = _read(files, query)
    tables = {name: with_vectors(columns) if name in ENTITIES else columns for name, columns in read.items()}
    while (found := detect(tables, given)).open:
        role, candidates = next(iter(found.open.items()))
        given[role] = _chosen(role, candidates, found.columns.get(role), ask=not yes)
    _show(tables, found)
    if not yes and not _prompts().Confirm.ask("Is that right?", default=True):
        raise BakeoffError(
            "Nothing was written. --column ROLE=NAME says what a column is; features can be changed later, in "
            "params.yaml."
        )
    params = parse_params(found.params(directory.resolve().name, encoding), "What was found")
    fill = partial(fetch.run, params.data, request=Request(query=query, files=files))
    new_workspace.create(directory, params.model_dump(mode="json", exclude_defaults=True), fill)
    cd = f"cd {shlex.quote(str(directory))}"
    print(f"\n{directory} is ready. Next:\n  {cd}\n  bakeoff tune --minutes 30 --apply\n  bakeoff run")


def _given(options: list[str]) -> dict[str, str | None]:
    """Role → column of `--column` options.

    Raises:
        BakeoffError: one is not ROLE=NAME, or names no role.
    """
    from bakeoff.data.params import ColumnParams

    given, roles = dict[str, str | None](), ColumnParams.model_fields
    for option in options:
        role, separator, name = option.partition("=")
        if not separator or role not in roles:
            raise BakeoffError(f"--column {option!r} must be ROLE=NAME, with a role of {', '.join(roles)}.")
        if role == "timestamp_unit" and name not in _UNITS:
            raise BakeoffError(f"--column {option!r}: the unit of times must be one of {', '.join(_UNITS)}.")
        given[role] = name or None
    return given


def _read(files: Mapping[str, Path], query: Path | None) -> tuple[dict[str, Any], str]:
    """The columns of each table as text, and the encoding of the files.

    Raises:
        BakeoffError: there is no source, or two, or one can't be read.
    """
    from bakeoff.data.fetch.database import database_url, read_database
    from bakeoff.data.fetch.table_files import find_encoding, read_columns
    from bakeoff.data.params import ColumnParams

    if query is not None and not files:
        found = read_database(query, database_url(query), ColumnParams(timestamp=None))
        return {table: raw.columns for table, raw in found.items()}, "utf-8"
    if query is not None or "interactions" not in files:
        raise BakeoffError("Give the events with --interactions FILE, or with --query DIR for a database.")
    encoding = find_encoding(files.values())
    return {table: read_columns(path, (), encoding=encoding) for table, path in files.items()}, encoding


def _chosen(role: str, candidates: list[str], guess: str | None, *, ask: bool) -> str | None:
    """The column that a person chooses for a role, or the only good guess.

    Raises:
        BakeoffError: no column is left, or nobody is asked and there is no guess that would do.
    """
    if role not in OPTIONAL_ROLES and (not candidates or not (ask or guess)):
        names = ", ".join(map(visible, candidates)) or "no column is left"
        raise BakeoffError(f"Which column holds {_WORDS[role]} is not clear ({names}): --column {role}=NAME says it.")
    if not ask:
        return guess
    none = [NONE] if role in OPTIONAL_ROLES else []
    question = f"Which column holds {_WORDS[role]}?" + (f" {NONE} for none." if none else "")
    default: Any = ... if guess is None else guess  # Rich takes `...` for none
    answer: str = _prompts().Prompt.ask(question, choices=[*candidates, *none], default=default)
    return None if answer == NONE else answer


def _prompts() -> Any:
    """Rich's prompts, where somebody can be asked.

    Raises:
        BakeoffError: nobody can.
    """
    if not sys.stdin.isatty():
        raise BakeoffError("Questions need a terminal: --yes accepts how the data is read, --column answers one.")
    from rich import prompt

    return prompt


def _show(tables: Mapping[str, Any], found: "Detected") -> None:
    """Print how each column is read, with its first values."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bakeoff.ops.detection import examples

    for name, columns in tables.items():
        rows = len(next(iter(columns.values())))
        table = Table("column", "is read as", "first values", title=f"{name}: {rows:,} rows", title_justify="left")
        for column, values in columns.items():
            shown = ", ".join(text if len(text) <= 24 else text[:23] + "…" for text in map(visible, examples(values)))
            table.add_row(Text(visible(column)), _reading(name, column, found), Text(shown))
        Console().print(table)
    if not found.columns["timestamp"]:
        print("No column holds the time of an event: models learn nothing from the order of events.")
    if found.repeated > 0:
        same = "user, item and time" if found.columns["timestamp"] else "user and item"
        print(f"{found.repeated:.1%} of the events repeat the {same} of another: the first one counts.")
    if found.kinds:
        print("Every kind of event counts 1: data.event_weights in params.yaml says what it counts.")
    for column, kinds in found.unused_kinds.items():
        option = shlex.quote(f"event={visible(column)}")
        values = ", ".join(map(visible, kinds))
        print(f"{visible(column)} may hold the kind of an event ({values}). It is not used without --column {option}.")


def _reading(table: str, column: str, found: "Detected") -> str:
    """What a column is taken for, in words."""
    roles = [role for role, name in found.columns.items() if name == column]
    if table == "interactions":
        rating = "rating, {:g} to {:g}".format(*found.rating_range) if found.rating_range else "rating"
        time = f"time, {_UNITS.get(str(found.columns.get('timestamp_unit')))}"
        words = {"rating": rating, "timestamp": time, **_READ_AS}
        unused = f"not used: {found.unread[column]}" if column in found.unread else "not used"
        return next((word for role, word in words.items() if role in roles), unused)
    if column == found.id_column(table):
        return table.removesuffix("s")
    is_title = table == "items" and "title" in roles
    kind, reason = found.features[table]["title" if is_title else column]
    read_as = f"{kind} feature" if kind else f"no feature: {reason}"
    return f"title, {read_as}" if is_title else read_as
