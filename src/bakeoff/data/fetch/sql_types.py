"""Columns that PostgreSQL delivers as Arrow → text, as a CSV of the same table would hold them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bakeoff.core.errors import BakeoffError
from bakeoff.data.fetch.tables import text_column

_UUID_GROUPS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))  # hexadecimal digits
_REFUSED = {"money", "json", "jsonb", "bytea", "interval", "time", "timetz", "record"}
"""What text could be made of, but none that everybody would expect."""


def as_text(values: Any, field: pa.Field, where: str, is_id: bool = False) -> pa.Array:
    """A column as text, "" where it is NULL.

    Numbers are written as PostgreSQL writes them, times in UTC, truth values as true and false, dates as 2024-05-31,
    arrays joined by |.

    Args:
        values: [n] values of one batch.
        field: how ADBC describes the column.
        where: query and column, for messages.
        is_id: whether whole numbers that come as fractions (7.0) are written as whole ones.

    Raises:
        BakeoffError: the type has no text that everybody would expect, or an array holds a NULL or a |.
    """
    check_type(field, where)
    kind = values.type
    try:
        if isinstance(kind, pa.UuidType):
            return _uuids(values.storage)
        if isinstance(kind, pa.BaseExtensionType):
            return text_column(values.storage)  # numeric: ADBC hands on its digits
        if pa.types.is_list(kind):
            return _joined(values, where)
        if is_id and pa.types.is_floating(kind):
            values = values.cast(pa.int64())
        text = text_column(values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BakeoffError(f"{where} can't be read as text ({error}): cast it in the query.") from None
    return pc.utf8_rtrim_whitespace(text) if type_name(field) == "bpchar" else text  # char(n) is padded


def check_type(field: pa.Field, where: str) -> None:
    """See that a column is of a type that can be read.

    Raises:
        BakeoffError: it is not; says what to write in the query instead.
    """
    kind = field.type
    name = type_name(field)
    plain = (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_string(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
        or isinstance(kind, pa.UuidType)
        or (isinstance(kind, pa.OpaqueType) and name == "numeric")
        or (pa.types.is_list(kind) and (pa.types.is_string(kind.value_type) or pa.types.is_integer(kind.value_type)))
    )
    if name in _REFUSED or not plain:
        raise BakeoffError(
            f"{where} is of type {name}, which has no plain text: select what counts of it, such as "
            f"`{field.name}::text AS {field.name}`."
        )


def type_name(field: pa.Field) -> str:
    """What PostgreSQL calls the type; an array's begins with an underscore."""
    name: bytes = (field.metadata or {}).get(b"POSTGRESQL:type", str(field.type).encode())
    return name.decode()


def _uuids(storage: Any) -> pa.Array:
    """Sixteen bytes each → 8-4-4-4-12 hexadecimal digits."""
    filled = pc.fill_null(storage, b"\0" * 16)
    digits = np.frombuffer(b"".join(filled.to_pylist()), np.uint8).tobytes().hex()
    whole = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(filled), [None, pa.py_buffer(digits.encode())])
    text = whole.cast(pa.binary()).cast(pa.string())
    groups = [pc.utf8_slice_codeunits(text, start, stop) for start, stop in _UUID_GROUPS]
    written = pc.binary_join_element_wise(*groups, "-")
    return pc.if_else(pc.is_null(storage), "", text_column(written))


def _joined(values: Any, where: str) -> pa.Array:
    flat = text_column(values.flatten())
    if values.flatten().null_count or pc.any(pc.match_substring(flat, "|")).as_py():
        raise BakeoffError(
            f"{where} holds an array with a NULL or a value with | in it, which joins values: leave them out with "
            "array_remove(…, NULL), or replace the |."
        )
    return text_column(pc.binary_join(values.cast(pa.list_(pa.string())), "|"))
