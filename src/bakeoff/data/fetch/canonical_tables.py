"""The canonical raw tables, and how they are written: everything is text, byte for byte reproducible."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

TABLES = ("interactions", "users", "items")
"""Names of the canonical tables; each is written as <name>.csv."""

Tables = Mapping[str, pa.Table]
"""Raw data in canonical form: a table for each of TABLES, whose columns are all strings, "" where a value is missing.

- interactions: user_id, item_id, then timestamp (UTC seconds), rating, event, weight and split where they are given;
- users: user_id, then the user's features;
- items: item_id, title, then the item's features.
"""

SEPARATOR = "\x1f"
"""No text that people write holds it."""


@dataclass(frozen=True)
class About:
    """What people must know of a data set before they use it: the content of dataset.json.

    Attributes:
        name: as `data.dataset` in params.yaml.
        title: as people call it.
        terms: of use.
        citation: what to cite.
        url: where to read more.
        taken_sha256: name → hash of the deliveries that were taken from an inbox, in the order in which they were.
    """

    name: str
    title: str
    terms: str = ""
    citation: str = ""
    url: str = ""
    taken_sha256: Mapping[str, str] = field(default_factory=dict)


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


def id_order(ids: pa.Array) -> pa.Array:
    """Positions that sort ids as people do: whole numbers by value, then all other ids by code point.

    Numbers may be of any length. Those of equal value are ordered by their text ("010" before "10"), equal
    texts by their rows.

    Args:
        ids: [n] strings.

    Returns:
        [n] positions.
    """
    is_other = pc.invert(pc.match_substring_regex(ids, r"^[0-9]+$"))
    digits = pc.if_else(is_other, "", pc.ascii_ltrim(ids, "0"))
    keys = {"other": is_other, "length": pc.binary_length(digits), "digits": digits, "text": ids}
    return pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])  # stable


def sorted_by_id(table: pa.Table) -> pa.Table:
    """Rows ordered by the first column, see `id_order`."""
    return table.take(id_order(text_column(table.column(0))))


def save_csv(table: pa.Table, path: Path) -> None:
    r"""A table as CSV: header line, UTF-8, "\n" line ends, RFC 4180 quotes around fields that need them.

    Args:
        table: string columns without nulls.
        path: of the file.

    Raises:
        OSError: it can't be written.
    """
    # The header is the first line, and columns are numbered: DuckDB would rename one of `age` and `Age`.
    header = text_table({name: pa.array([name]) for name in table.column_names})
    lines = pa.concat_tables([header, table]).rename_columns([f"{place}" for place in range(table.num_columns)])
    # What would read as null gets quotes, which an empty field needs where it is alone in its line; a # needs none.
    null = "" if table.num_columns == 1 else SEPARATOR
    try:
        with duckdb.connect() as connection:
            connection.register("lines", lines)
            connection.execute(f"COPY lines TO ? (FORMAT csv, HEADER false, COMMENT '', NULLSTR '{null}')", [str(path)])
    except duckdb.IOException as error:
        raise OSError(str(error)) from None
