"""The canonical raw tables, and how they are written: everything is text, byte for byte reproducible."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TABLES = ("interactions", "users", "items")
"""Names of the canonical tables; each is written as <name>.csv."""

Tables = Mapping[str, pa.Table]
"""Raw data in canonical form: a table for each of TABLES, whose columns are all strings, "" where a value is missing.

- interactions: user_id, item_id, then timestamp (UTC seconds), rating, event, weight and split where they are given;
- users: user_id, then the user's features;
- items: item_id, title, then the item's features.
"""


@dataclass(frozen=True)
class About:
    """What people must know of a data set before they use it."""

    name: str
    title: str
    terms: str = ""
    citation: str = ""
    url: str = ""


def text_column(values: Any) -> pa.Array:
    """Any string array, chunked or not, as one contiguous array with 64-bit offsets and "" for null."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return pc.fill_null(values.cast(pa.large_string()), "")


def text_table(columns: dict[str, Any]) -> pa.Table:
    """A table of string columns of one type (see `text_column`)."""
    return pa.table({name: text_column(values) for name, values in columns.items()})


def joined(*parts: Any, separator: str = "") -> pa.Array:
    """Strings put together row by row; a part is an array of strings or one string for all rows."""
    same_type = [
        pa.scalar(part, pa.large_string()) if isinstance(part, str) else text_column(part)
        for part in (*parts, separator)
    ]
    return pc.binary_join_element_wise(*same_type)


def id_order(ids: pa.Array) -> NDArray[np.int64]:
    """Positions that sort ids as people do: whole numbers by value, then all other ids by code point.

    Numbers may be of any length. Those of equal value are ordered by their text ("010" before "10"), equal
    texts by their rows.

    Args:
        ids: [n] strings.

    Returns:
        int64 [n] positions.
    """
    is_other = pc.invert(pc.match_substring_regex(ids, r"^[0-9]+$"))
    digits = pc.if_else(is_other, "", pc.ascii_ltrim(ids, "0"))
    columns = [is_other, pc.binary_length(digits), digits, ids, pa.array(np.arange(len(ids)))]
    keys = pa.table(columns, names=["other", "length", "digits", "text", "row"])
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    return np.asarray(order).astype(np.int64)


def sorted_by_id(table: pa.Table) -> pa.Table:
    """Rows ordered by the first column, see `id_order`."""
    return table.take(pa.array(id_order(text_column(table.column(0)))))


def write_csv(table: pa.Table, path: Path) -> None:
    r"""A table as CSV: header line, UTF-8, "\n" line ends, RFC 4180 quotes around fields that need them.

    Args:
        table: string columns without nulls.
        path: of the file.

    Raises:
        OSError: it can't be written.
    """
    if table.num_columns > 1:  # an empty field alone in its line stays "", which null is not
        is_empty = {name: pc.equal(table[name], "") for name in table.column_names}
        null = pa.scalar(None, pa.large_string())
        table = pa.table({name: pc.if_else(empty, null, table[name]) for name, empty in is_empty.items()})
    try:
        with duckdb.connect() as connection:
            connection.register("lines", table)
            # With COMMENT, a # needs no quotes.
            connection.execute("COPY lines TO ? (FORMAT csv, HEADER, COMMENT '')", [str(path)])
    except duckdb.IOException as error:
        raise OSError(str(error)) from None
