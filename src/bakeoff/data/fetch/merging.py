"""New rows on top of those that are there."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.canonical_tables import Tables, joined, sorted_by_id, text_column, text_table
from bakeoff.data.fetch.parts import Parts, check_features, listed, named_by_id, with_vectors
from bakeoff.data.params import DataParams

_SEPARATOR = "\x1f"  # no text that people write holds it


def merge(held: Tables, new: Parts, data: DataParams, where: str) -> tuple[Tables, Counter[str]]:
    """Add what a source brings.

    Events that are there already are dropped; the others follow those that are there, in the order of the source. A
    user or an item takes the place of that of the same id, keeps what the source has no column for, and is added if
    it is new. Users and items of whom the source names but the id are added if they are new.

    Args:
        held: what is there.
        new: what is to be added.
        data: which columns are features.
        where: the source, for messages.

    Returns:
        all tables, and numbers of rows: new `interactions`, `users` and `items`; interactions that were there already,
        in every column, and were dropped (`repeated`); users and items that took the place of others (`replaced`).

    Raises:
        BakeoffError: the events have other columns than those that are there, or a feature has no column.
    """
    new = with_vectors(new, data)
    events = held.interactions.slice(0, 0) if new.interactions is None else new.interactions
    if events.column_names != held.interactions.column_names:
        raise BakeoffError(
            f"The interactions of {where} have the columns {listed(events.column_names)}, those in data/ have "
            f"{listed(held.interactions.column_names)}: only rows of the same columns can be added. Fetch all of it "
            "anew, without adding to what is there."
        )
    is_new = pc.invert(pc.is_in(_keys(events), value_set=_keys(held.interactions).unique()))
    fresh = events.filter(is_new)
    users, new_users, replaced_users = _entities(held.users, new.users, events["user_id"])
    items, new_items, replaced_items = _entities(held.items, new.items, events["item_id"])
    check_features(users, "users", data.user_features)
    check_features(items, "items", data.item_features)
    tables = Tables(pa.concat_tables([held.interactions, fresh]), users, items)
    added = {"interactions": fresh.num_rows, "users": new_users, "items": new_items}
    dropped = {"repeated": events.num_rows - fresh.num_rows, "replaced": replaced_users + replaced_items}
    return tables, Counter(added | dropped)


def _keys(events: pa.Table) -> pa.Array:
    """All fields of a row as one string."""
    return joined(*events.columns, separator=_SEPARATOR)


def _entities(held: pa.Table, new: pa.Table | None, referenced: pa.ChunkedArray) -> tuple[pa.Table, int, int]:
    """The table in id order, the number of new ids, and that of rows that replaced others."""
    id_column = held.column_names[0]
    given = new if new is not None else held.slice(0, 0)
    columns = list(dict.fromkeys([*held.column_names, *given.column_names]))
    old_ids, given_ids = text_column(held[id_column]), text_column(given[id_column])
    place = pc.index_in(given_ids, value_set=old_ids)  # of the first row of that id; null for a new one
    updated = text_table(
        {name: given[name] if name in given.column_names else held[name].take(place) for name in columns}
    )
    kept = _widened(held.filter(pc.invert(pc.is_in(old_ids, value_set=given_ids))), columns)
    known = pa.concat_arrays([old_ids, given_ids])
    named = named_by_id(referenced, id_column)
    unknown = named.filter(pc.invert(pc.is_in(named[id_column], value_set=known)))
    table = sorted_by_id(pa.concat_tables([kept, updated, _widened(unknown, columns)]))
    num_replaced = len(place) - place.null_count
    num_new = len(pc.unique(given_ids.filter(pc.is_null(place)))) + unknown.num_rows
    return table, num_new, num_replaced


def _widened(table: pa.Table, columns: list[str]) -> pa.Table:
    """All the columns, "" where the table has none."""
    empty = pa.array(np.full(table.num_rows, "", object), pa.large_string())
    return text_table({name: table[name] if name in table.column_names else empty for name in columns})
