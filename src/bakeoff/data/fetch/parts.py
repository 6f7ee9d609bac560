"""Columns as a source has them → canonical tables: all of them, or new rows on top of those that are there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.core.errors import BakeoffError
from bakeoff.data.features.encoding import TAG_SEPARATOR
from bakeoff.data.fetch.canonical_tables import SEPARATOR, TABLES, Tables, joined, sorted_by_id, text_column, text_table
from bakeoff.data.fetch.table_files import unix_seconds
from bakeoff.data.params import ColumnParams, DataParams

Parts = Mapping[str, pa.Table]
"""Those of the canonical `Tables` that a source has; users and items in id order, items with a title."""

ENTITIES = {"users": "user_id", "items": "item_id"}
"""Tables that events refer to, and the column of their ids."""

MAPPED = ("user_id", "item_id", "timestamp", "rating", "event", "weight", "split")
"""Columns of interactions, and the names under `data.columns` by which a source may call them otherwise."""


@dataclass(frozen=True)
class Raw:
    """One table of a source.

    Attributes:
        where: file or query that it comes from, for messages.
        columns: [n] strings each, "" or null where missing; the column of times may keep its type.
    """

    where: str
    columns: Mapping[str, Any]


def parts(raws: Mapping[str, Raw], data: DataParams) -> Parts:
    """Give mapped columns their canonical names. Columns that are not mapped are kept in users and items.

    Args:
        raws: by name those of `TABLES` that the source has; without a title column an item is named by its id.
        data: how columns are named, and which are vectors: columns `v_0`, `v_1`, … become one column `v`.

    Raises:
        BakeoffError: a mapped column is missing, two would have one name, or times can't be read.
    """
    for raw in raws.values():
        _refuse_nul(raw)
    return {
        name: _interactions(raw, data.columns) if name == "interactions" else _entities(name, raw, data)
        for name, raw in raws.items()
    }


def complete(found: Parts, data: DataParams, where: str) -> Tables:
    """All three tables: users and items that the source does not have are those of the interactions.

    Args:
        found: what the source has.
        data: which columns are features.
        where: the source, for messages.

    Raises:
        BakeoffError: there is no event, or a feature has no column.
    """
    tables = {**found}
    if "interactions" not in tables:
        raise BakeoffError(
            f"{where} has no interactions: there is nothing to compare models on. Users and items alone can only be "
            "added to data that is there (`--append`)."
        )
    if not tables["interactions"].num_rows:
        raise BakeoffError(f"{where} holds no event: there is nothing to compare models on.")
    for name, id_column in ENTITIES.items():
        if name not in tables:
            tables[name] = named_by_id(tables["interactions"][id_column], id_column)
        check_features(tables[name], name, data.features[name])
    return {name: tables[name] for name in TABLES}


def named_by_id(referenced: Any, id_column: str) -> pa.Table:
    """Users or items that only events name, in id order.

    Args:
        referenced: [n] ids, each any number of times; an event without one names nobody.
        id_column: `user_id` or `item_id`; items get their id as title.
    """
    ids = text_column(referenced.unique())
    table = sorted_by_id(text_table({id_column: ids.filter(pc.not_equal(pc.utf8_trim_whitespace(ids), ""))}))
    return _titled(table) if id_column == "item_id" else table


def joined_vectors(table: pa.Table, features: Mapping[str, str]) -> pa.Table:
    """The table with one column for each vector feature `v`: columns `v_0`, `v_1`, … are joined by `|`."""
    for name in [each for each, kind in features.items() if kind == "vector" and each not in table.column_names]:
        columns = list(takewhile(table.column_names.__contains__, (f"{name}_{place}" for place in count())))
        if columns:
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
            f"{listed(table.column_names)}: add the column to {name}.csv or take the feature out ({{}} for none)."
        )


def listed(names: Iterable[str]) -> str:
    """`'a', 'b'`."""
    return ", ".join(repr(name) for name in names) or "nothing"


def _interactions(raw: Raw, names: ColumnParams) -> pa.Table:
    mapped = _mapped(raw, {name: getattr(names, name) for name in MAPPED})
    if "timestamp" in mapped:
        where = f"column {names.timestamp} of {raw.where}"
        mapped["timestamp"] = unix_seconds(mapped["timestamp"], names.timestamp_unit, where)
    return text_table(mapped)


def _entities(name: str, raw: Raw, data: DataParams) -> pa.Table:
    """The users or items table, in id order."""
    names = data.columns
    mapping = {ENTITIES[name]: names.ids[name][0], **({"title": names.title} if name == "items" else {})}
    mapped = _mapped(raw, mapping, f"_in_{name}")
    sources = {source for source in mapping.values() if source is not None}
    # By default pandas writes its index as a column without a name.
    extra = {column: values for column, values in raw.columns.items() if column.strip() and column not in sources}
    if clash := extra.keys() & mapped.keys():
        raise BakeoffError(
            f"{raw.where} has a column {listed(clash)} besides the one that data.columns in params.yaml maps "
            "to that name: rename one of them."
        )
    _check_names([*mapped, *extra], raw.where)
    table = joined_vectors(sorted_by_id(text_table({**mapped, **extra})), data.features[name])
    return _titled(table) if "title" in mapping and "title" not in table.column_names else table


def _check_names(names: Sequence[str], where: str) -> None:
    """Names that an SQL engine, to which `age` and `Age` are the same, can tell apart."""
    if any("\0" in name for name in names):
        raise BakeoffError(f"{where} has a column with a NUL in its name: rename it, or leave it out.")
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
            row = pc.index(pc.fill_null(pc.match_substring(values, "\0"), False), True).as_py() + 1
            if row:
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


def merge(held: Tables | None, new: Parts, data: DataParams, where: str) -> tuple[Tables, Counter[str]]:
    """Add what a source brings.

    Events that are there already are dropped; the others follow those that are there, in the order of the source. A
    user or an item takes the place of that of the same id, keeps what the source has no column for, and is added if
    it is new. Users and items of whom the source names but the id are added if they are new.

    Args:
        held: what is there; None where nothing is.
        new: what is to be added.
        data: which columns are features.
        where: the source, for messages.

    Returns:
        all tables, and numbers of rows: new `interactions`, `users` and `items`; interactions that were there already,
        in every column, and were dropped (`repeated`); users and items that took the place of others (`replaced`).

    Raises:
        BakeoffError: the events have other columns than those that are there, or a feature has no column; where nothing
            is there, as `complete`.
    """
    if held is None:
        tables = complete(new, data, where)
        return tables, Counter({name: table.num_rows for name, table in tables.items()})
    there = held["interactions"]
    events = new.get("interactions", there.slice(0, 0))
    if events.column_names != there.column_names:
        raise BakeoffError(
            f"The interactions of {where} have the columns {listed(events.column_names)}, those in data/ have "
            f"{listed(there.column_names)}: only rows of the same columns can be added. Fetch all of it "
            "anew, without adding to what is there."
        )
    is_new = pc.invert(pc.is_in(_keys(events), value_set=_keys(there).unique()))
    fresh = events.filter(is_new)
    merged = {"interactions": pa.concat_tables([there, fresh])}
    counts = Counter(interactions=fresh.num_rows, repeated=events.num_rows - fresh.num_rows)
    for name, id_column in ENTITIES.items():
        given = new.get(name, held[name].slice(0, 0))
        merged[name], counts[name], replaced = _updated(held[name], given, events[id_column])
        counts["replaced"] += replaced
        check_features(merged[name], name, data.features[name])
    return merged, counts


def _keys(events: pa.Table) -> pa.Array:
    """All fields of a row as one string."""
    return joined(*events.columns, separator=SEPARATOR)


def _updated(held: pa.Table, given: pa.Table, referenced: pa.ChunkedArray) -> tuple[pa.Table, int, int]:
    """The table in id order, the number of new ids, and that of rows that replaced others."""
    id_column = held.column_names[0]
    columns = list(dict.fromkeys([*held.column_names, *given.column_names]))
    old_ids, given_ids = text_column(held[id_column]), text_column(given[id_column])
    place = pc.index_in(given_ids, value_set=old_ids)  # of the first row of that id; null for a new one
    updated = text_table(
        {name: given[name] if name in given.column_names else held[name].take(place) for name in columns}
    )
    kept = held.filter(pc.invert(pc.is_in(old_ids, value_set=given_ids)))
    known = pa.concat_arrays([old_ids, given_ids])
    named = named_by_id(referenced, id_column)
    unknown = named.filter(pc.invert(pc.is_in(named[id_column], value_set=known)))
    merged = pa.concat_tables([kept, updated, unknown], promote_options="default")
    table = sorted_by_id(text_table({name: merged[name] for name in columns}))
    num_replaced = len(place) - place.null_count
    num_new = len(pc.unique(given_ids.filter(pc.is_null(place)))) + unknown.num_rows
    return table, num_new, num_replaced
