"""Columns as a source has them → canonical tables, all of them or those that a delivery brings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.core.errors import BakeoffError
from bakeoff.data.features.encoding import TAG_SEPARATOR
from bakeoff.data.fetch.canonical_tables import Tables, id_order, joined, sorted_by_id, text_column, text_table
from bakeoff.data.fetch.timestamps import unix_seconds
from bakeoff.data.params import ColumnParams, DataParams


@dataclass(frozen=True)
class Raw:
    """One table of a source.

    Attributes:
        where: file or query that it comes from, for messages.
        columns: [n] strings each, "" or null where missing; the column of times may keep its type.
    """

    where: str
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Parts:
    """The canonical tables that a source has; None where it has no such table.

    Attributes:
        interactions: as in `Tables`.
        users: in id order; likewise.
        items: in id order, with a title; likewise.
    """

    interactions: pa.Table | None
    users: pa.Table | None
    items: pa.Table | None


def parts(raws: Mapping[str, Raw], names: ColumnParams) -> Parts:
    """Give mapped columns their canonical names. Columns that are not mapped are kept in users and items.

    Args:
        raws: by name those of `TABLES` that the source has; without a title column an item is named by its id.
        names: how columns are named.

    Raises:
        BakeoffError: a mapped column is missing, two would have one name, or times can't be read.
    """
    for raw in raws.values():
        _refuse_nul(raw)
    [user_id], [item_id] = names.ids["users"], names.ids["items"]
    return Parts(
        _interactions(raws["interactions"], names) if "interactions" in raws else None,
        _entities(raws["users"], {"user_id": user_id}, "_in_users") if "users" in raws else None,
        _entities(raws["items"], {"item_id": item_id, "title": names.title}, "_in_items") if "items" in raws else None,
    )


def complete(found: Parts, data: DataParams, where: str) -> Tables:
    """All three tables: users and items that the source does not have are those of the interactions.

    Args:
        found: what the source has.
        data: which columns are features.
        where: the source, for messages.

    Raises:
        BakeoffError: there is no event, or a feature has no column.
    """
    found = with_vectors(found, data)
    if found.interactions is None:
        raise BakeoffError(
            f"{where} has no interactions: there is nothing to compare models on. Users and items alone can only be "
            "added to data that is there (`--append`)."
        )
    if not found.interactions.num_rows:
        raise BakeoffError(f"{where} holds no event: there is nothing to compare models on.")
    users, items = found.users, found.items
    if users is None:
        users = named_by_id(found.interactions["user_id"], "user_id")
    if items is None:
        items = named_by_id(found.interactions["item_id"], "item_id")
    check_features(users, "users", data.user_features)
    check_features(items, "items", data.item_features)
    return Tables(found.interactions, users, items)


def named_by_id(referenced: Any, id_column: str) -> pa.Table:
    """Users or items that only events name, in id order.

    Args:
        referenced: [n] ids, each any number of times.
        id_column: `user_id` or `item_id`; items get their id as title.
    """
    ids = text_column(referenced.unique())
    table = text_table({id_column: ids.take(pa.array(id_order(ids)))})
    return _titled(table) if id_column == "item_id" else table


def with_vectors(found: Parts, data: DataParams) -> Parts:
    """The tables with one column for each vector feature `v`: columns `v_0`, `v_1`, … are joined by `|`."""
    users, items = _with_vectors(found.users, data.user_features), _with_vectors(found.items, data.item_features)
    return Parts(found.interactions, users, items)


def _with_vectors(given: pa.Table | None, features: Mapping[str, str]) -> pa.Table | None:
    table: Any = given
    for name in [each for each, kind in features.items() if kind == "vector" and table is not None]:
        numbered = (f"{name}_{place}" for place in count())
        columns = list(takewhile(table.column_names.__contains__, numbered))
        if columns and name not in table.column_names:
            vectors = joined(*(table[column] for column in columns), separator=TAG_SEPARATOR)
            unknown = pc.equal(pc.utf8_trim(vectors, TAG_SEPARATOR), "")
            vectors = pc.if_else(unknown, pa.scalar("", pa.large_string()), vectors)
            table = table.drop_columns(columns).append_column(name, vectors)
    return table


def check_features(table: pa.Table, name: str, features: Iterable[str]) -> None:
    """Every feature has a column.

    Raises:
        BakeoffError: names those that have none.
    """
    missing = [feature for feature in features if feature not in table.column_names]
    if missing:
        raise BakeoffError(
            f"data.{name[:-1]}_features in params.yaml names {listed(missing)}, but the {name} have only "
            f"{listed(table.column_names)}: add the column to {name}.csv or take the feature out ({{}} for "
            "none)."
        )


def listed(names: Iterable[str]) -> str:
    """`'a', 'b'`."""
    return ", ".join(repr(name) for name in names) or "nothing"


def _interactions(raw: Raw, names: ColumnParams) -> pa.Table:
    mapping = {
        "user_id": names.user_id,
        "item_id": names.item_id,
        "timestamp": names.timestamp,
        "rating": names.rating,
        "event": names.event,
        "weight": names.weight,
        "split": names.split,
    }
    mapped = _mapped(raw, mapping)
    if "timestamp" in mapped:
        where = f"column {names.timestamp} of {raw.where}"
        mapped["timestamp"] = unix_seconds(mapped["timestamp"], names.timestamp_unit, where)
    return text_table(mapped)


def _entities(raw: Raw, mapping: Mapping[str, str | None], of_id: str) -> pa.Table:
    """The users or items table, in id order."""
    mapped = _mapped(raw, mapping, of_id)
    sources = {source for source in mapping.values() if source is not None}
    extra = {column: values for column, values in raw.columns.items() if column not in sources}
    if clash := extra.keys() & mapped.keys():
        raise BakeoffError(
            f"{raw.where} has a column {listed(clash)} besides the one that data.columns in params.yaml maps "
            "to that name: rename one of them."
        )
    _check_names([*mapped, *extra], raw.where)
    table = sorted_by_id(text_table({**mapped, **extra}))
    return _titled(table) if "title" in mapping and "title" not in table.column_names else table


def _check_names(names: Sequence[str], where: str) -> None:
    """Names that an SQL engine, to which `age` and `Age` are the same, can tell apart."""
    if any(not name.strip() or "\0" in name for name in names):
        raise BakeoffError(f"{where} has a column without a name or with a NUL in it: name it, or leave it out.")
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.casefold(), name)
        if other != name:
            raise BakeoffError(
                f"{where} has columns {other!r} and {name!r}, which differ in nothing but case: rename one of them."
            )


def _refuse_nul(raw: Raw) -> None:
    """Validation takes a file with a NUL byte for a binary one, and refuses all of it."""
    for name, values in raw.columns.items():
        if pa.types.is_large_string(values.type):
            found = pc.match_substring(values, "\0")
            if pc.any(found).as_py():
                row = pc.index(pc.fill_null(found, False), True).as_py() + 1
                raise BakeoffError(
                    f"Column {name!r} of {raw.where} holds a NUL character in row {row:,}: text has none. Remove it "
                    "where the data comes from."
                )


def _titled(items: pa.Table) -> pa.Table:
    return items.add_column(1, "title", items["item_id"])


def _mapped(raw: Raw, mapping: Mapping[str, str | None], of_id: str = "") -> dict[str, Any]:
    """Mapped columns under their canonical names; `of_id` ends the name of the parameter that maps an id."""
    wanted = {name: source for name, source in mapping.items() if source is not None}
    has_colons = any("::" in column for column in raw.columns)
    hint = " It looks as if its fields are separated by double colons: write it with commas." if has_colons else ""
    for name, source in wanted.items():
        if source not in raw.columns:
            is_id = name.endswith("_id")
            raise BakeoffError(
                f"{raw.where} has no column {source!r}; its columns are {listed(raw.columns)}.{hint} "
                f"data.columns.{name}{of_id if is_id else ''} in params.yaml says which column holds the {name}"
                + ("." if is_id else ", null that there is none.")
            )
    return {name: raw.columns[source] for name, source in wanted.items()}
