"""Columns of a team's own tables as text: read from delimited text or Parquet as written, times as UTC seconds."""

import codecs
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.data.fetch.canonical_tables import text_column
from bakeoff.data.params import Unit
from bakeoff.data.validate.csv_reader import check_text, read_rows

TEXT_SUFFIXES, PARQUET_SUFFIXES = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
"""Ends of file names, in any case, by format."""
Columns = Sequence[str | None]
"""Names of columns; None for one that there is not."""
LEAST_UNPACKED_BYTES = 256 * 2**20
"""A Parquet file may always unpack to this much text,"""
MOST_UNPACKED = 200
"""and else to this many times its own size."""
_BLOCK = 2**20
"""Characters that are read at once to try an encoding."""
_LARGEST_EXACT = 2.0**53  # of the whole numbers that float64 holds
_YEAR_5000 = 1e11  # in seconds; in milliseconds it is March 1973
_MEANING = {
    "s": "a number of seconds since 1970",
    "ms": "a number of milliseconds since 1970",
    "iso": "a date or time as ISO 8601 writes it (2024-05-31T18:00:00Z)",
}


def read_columns(
    path: Path,
    ids: Columns,
    raw: Columns = (),
    encoding: str = "utf-8",
    *,
    delimiter: str | None = None,
    wanted: Collection[str] | None = None,
) -> dict[str, Any]:
    """All columns of a file by name, as strings.

    Args:
        path: delimited text with a header line, or a Parquet file; its suffix says which.
        ids: columns with ids; whole numbers in a Parquet file are written without a decimal point.
        raw: columns of a Parquet file that keep their type.
        encoding: of text that does not begin with the byte order mark of UTF-8.
        delimiter: what separates the fields of text; None: what `delimiter_of` finds in the header.
        wanted: columns of a Parquet file that are read, the others being null; None: all.

    Returns:
        Arrow arrays of equal length; strings but for `raw`.

    Raises:
        BakeoffError: the suffix is another, or the file is empty, binary, in another encoding, not rectangular, or has
            two columns of one name.
    """
    suffix = path.suffix.lower()
    if suffix not in TEXT_SUFFIXES + PARQUET_SUFFIXES:
        raise BakeoffError(
            f"{path} can't be read: its name ends in {suffix!r}, and must end in {', '.join(TEXT_SUFFIXES)} (delimited "
            f"text) or {', '.join(PARQUET_SUFFIXES)} (Parquet). Export the table as one of these."
        )
    is_text = suffix in TEXT_SUFFIXES
    columns = _read_text(path, encoding, delimiter) if is_text else _read_parquet(path, ids, raw, wanted)
    [(name, count)] = Counter(name for name, _ in columns if name.strip()).most_common(1) or [("", 0)]
    if count > 1:
        raise BakeoffError(f"{path} has more than one column {name!r}: rename or remove all but one.")
    return dict(columns)


def _read_text(path: Path, encoding: str, delimiter: str | None) -> list[tuple[str, Any]]:
    with path.open("rb") as stream:
        encoding = "utf-8" if stream.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else encoding
    is_utf_8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    with nullcontext() if is_utf_8 else NamedTemporaryFile() as copy:
        check_text(path, str(path), encoding, copy)
        readable = path if copy is None else Path(copy.name)
        blocks = read_rows(readable, str(path), delimiter=delimiter, skip_empty=True)
        table = pa.concat_tables(block.columns for block in blocks)
    return [
        (name, column.cast(pa.large_string())) for name, column in zip(table.column_names, table.columns, strict=True)
    ]


def _read_parquet(path: Path, ids: Columns, raw: Columns, wanted: Collection[str] | None) -> list[tuple[str, Any]]:
    """Columns of a Parquet file, in batches whose size as text is known before they are unpacked.

    Repeated values of a Parquet file take no space, so that a file of 100 KB may unpack to gigabytes. Texts are
    therefore read as dictionaries, which stay small, and unpacked within the limit.
    """
    limit = max(LEAST_UNPACKED_BYTES, MOST_UNPACKED * path.stat().st_size)
    try:
        with pq.ParquetFile(path) as plain:
            schema, leaves = plain.schema_arrow, [plain.schema.column(i).path for i in range(len(plain.schema))]
            # A text column takes 8 bytes a row at least.
            size = 8 * plain.metadata.num_rows * len(schema)
            # The sizes of single columns are in metadata that pyarrow, where it is damaged, ends the process for.
            groups = map(plain.metadata.row_group, range(plain.metadata.num_row_groups))
            _refuse_bomb(path, max(size, sum(group.total_byte_size for group in groups)), limit)
        read = [field for field in schema if wanted is None or field.name in wanted]
        chunks_of: list[list[Any]] = [[] for _ in read]
        with pq.ParquetFile(path, read_dictionary=leaves) as source:
            for batch in source.iter_batches(columns=[field.name for field in read]):
                batch.validate(full=True)  # texts that are not UTF-8
                size += sum(map(_unpacked_bytes, batch.columns))
                _refuse_bomb(path, size, limit)
                for held, field, values in zip(chunks_of, read, batch.columns, strict=True):
                    where = f"column {field.name!r} of {path}"
                    held.append(
                        values.cast(field.type) if field.name in raw else text_of(values, field.name in ids, where)
                    )
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise BakeoffError(f"{path} is not a Parquet file that can be read ({error}): export it again.") from None
    found = [
        (field.name, pa.chunked_array(held, field.type if field.name in raw else pa.large_string()))
        for field, held in zip(read, chunks_of, strict=True)
    ]
    left = pa.nulls(plain.metadata.num_rows, pa.large_string())
    return found + [(field.name, left) for field in schema if field not in read]


def _unpacked_bytes(values: Any) -> int:
    """Bytes of the texts of a batch's column once each row has its own copy."""
    while pa.types.is_nested(values.type):
        if not pa.types.is_list(values.type):
            return int(values.nbytes)
        values = values.flatten()
    if not pa.types.is_dictionary(values.type):
        return int(values.nbytes)
    return pc.sum(pc.binary_length(values.dictionary).cast(pa.int64()).take(values.indices)).as_py() or 0


def _refuse_bomb(path: Path, size: int, limit: int) -> None:
    if size > limit:
        raise BakeoffError(
            f"{path} unpacks to more than {limit:,} bytes, over {MOST_UNPACKED} times its own size: it is refused, "
            "since such a file can fill the memory. If the data is real, deliver it in several files or as CSV."
        )


def text_of(values: Any, is_id: bool, where: str) -> pa.Array:
    """A column as text; the values of a list are joined by `|`.

    Args:
        values: [n] values of any type that has a text.
        is_id: whether whole numbers that come as fractions (7.0) are written as whole ones.
        where: column and file, for messages.

    Raises:
        BakeoffError: the type has no text, or a list holds a null or a value with `|` in it.
    """
    kind = values.type
    if pa.types.is_duration(kind):
        raise BakeoffError(f"{where} is of type {kind}, which has no plain text: store it as a number.")
    try:
        if pa.types.is_dictionary(kind):
            values = values.cast(kind.value_type)
        if is_id and pa.types.is_floating(kind):
            values = values.cast(pa.int64())  # pandas stores whole numbers as fractions where one is missing
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            return _joined(values, where)
        return values.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BakeoffError(
            f"{where} is of type {kind}, which cannot be read as text ({first_line(error)}): leave the column out, or "
            "store it as text."
        ) from None


def _joined(values: Any, where: str) -> pa.Array:
    lists = values.cast(pa.large_list(pa.large_string()))
    texts = lists.flatten()
    if texts.null_count or pc.any(pc.match_substring(texts, "|")).as_py():
        raise BakeoffError(
            f"{where} holds an array with a NULL or a value with | in it, which joins values: leave out the NULL (in "
            "SQL with array_remove(…, NULL)), or replace the |. A vector that is not known is NULL as a whole."
        )
    return pc.binary_join(lists, pa.scalar("|", pa.large_string()))


def find_encoding(paths: Iterable[Path]) -> str:
    """The encoding in which every file of text can be read: UTF-8, UTF-16 by its byte order mark, or Windows-1252.

    Raises:
        BakeoffError: files are in different encodings.
    """
    needed = {path: _encoding(path) for path in paths if path.suffix.lower() not in PARQUET_SUFFIXES}
    special = {path: encoding for path, encoding in needed.items() if encoding != "ascii"}
    if len(set(special.values())) > 1:
        named = ", ".join(f"{path} in {encoding}" for path, encoding in special.items())
        raise BakeoffError(f"The files are written in different encodings ({named}): write all of them in UTF-8.")
    return next(iter(special.values()), "utf-8")


def _encoding(path: Path) -> str:
    with path.open("rb") as stream:
        if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    for encoding in ("ascii", "utf-8"):
        with suppress(UnicodeDecodeError), path.open(encoding=encoding) as stream:
            while stream.read(_BLOCK):
                pass
            return encoding
    return "cp1252"


def unix_seconds(values: Any, unit: Unit, where: str) -> pa.Array:
    """Times as whole UTC seconds, fractions cut off, written as text.

    A value that is no time stays as it is, so that validation can put its row aside with a reason.

    Args:
        values: [n] strings, numbers, dates or timestamps (of a Parquet file: their own unit counts, not
            `unit`).
        unit: seconds or milliseconds since 1970, or ISO 8601 text (UTC unless it names an offset).
        where: file and column, for messages.

    Returns:
        [n] strings.

    Raises:
        BakeoffError: not one value can be read in that unit, or seconds are evidently milliseconds.
    """
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        if pa.types.is_date(values.type):
            values = values.cast(pa.timestamp("ms"))
        elif values.type.tz:  # where clocks go back an hour is there twice, and rounding in local time fails
            values = values.cast(pa.timestamp(values.type.unit, "UTC"))
        whole = pc.floor_temporal(values, unit="second")
        return text_column(whole.cast(pa.timestamp("s", values.type.tz)).cast(pa.int64()))
    if pa.types.is_nested(values.type) or pa.types.is_temporal(values.type):
        raise BakeoffError(
            f"{where} holds {values.type} values: a time must be a number, a text or a timestamp. Store it as "
            "one, or set data.columns.timestamp: null in params.yaml."
        )
    text = text_column(values)
    seconds = iso_seconds(text) if unit == "iso" else _whole(as_numbers(text) / (1000 if unit == "ms" else 1))
    is_time = np.isfinite(seconds)
    if len(text) and not is_time.any() and pc.any(pc.not_equal(text, "")).as_py():
        example = text.filter(pc.not_equal(text, ""))[0].as_py()
        raise BakeoffError(
            f"{where} holds no time that can be read: {example!r} is not {_MEANING[unit]}. "
            "Set data.columns.timestamp_unit in params.yaml to s, ms or iso."
        )
    if unit == "s" and is_time.any() and np.median(seconds[is_time]) >= _YEAR_5000:
        raise BakeoffError(
            f"{where} lies beyond the year 5000 when read as seconds (such as {text[int(is_time.argmax())]}): if these "
            "are milliseconds, set data.columns.timestamp_unit: ms in params.yaml."
        )
    whole = np.where(is_time, seconds, 0).astype(np.int64)
    return pc.if_else(pa.array(is_time), text_column(pa.array(whole)), text)


def _whole(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    seconds = np.floor(seconds)
    return np.where(np.abs(seconds) < _LARGEST_EXACT, seconds, np.nan)


def as_numbers(text: Any) -> NDArray[np.float64]:
    """Strings as numbers, NaN for one that is none."""
    return np.asarray(pd.to_numeric(text.to_pandas(), errors="coerce"), np.float64)


def iso_seconds(text: Any) -> NDArray[np.float64]:
    """ISO 8601 texts as whole UTC seconds, NaN for one that is none."""
    times = pd.to_datetime(text.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    microseconds = times.dt.as_unit("us").to_numpy("datetime64[us]").view(np.int64)
    return np.where(times.isna(), np.nan, microseconds // 1_000_000)
