"""Reading one CSV or Parquet file of a team into columns of text, exactly as written."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from bakeoff.core.errors import BakeoffError


def read_columns(path: Path, ids: Sequence[str | None], raw: Sequence[str | None] = ()) -> dict[str, Any]:
    """All columns of a file by name, as strings.

    Args:
        path: a .csv file (UTF-8, commas, a header line) or a .parquet file.
        ids: columns with ids; whole numbers in a Parquet file are written without a decimal point.
        raw: columns of a Parquet file that keep their type.

    Returns:
        Arrow arrays of equal length; strings but for `raw`.

    Raises:
        BakeoffError: the file is empty, binary, not UTF-8, not rectangular, or has two columns of one name.
    """
    columns = _read_parquet(path, ids, raw) if path.suffix == ".parquet" else _read_csv(path)
    repeated = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
    if repeated:
        raise BakeoffError(f"{path} has more than one column {repeated[0]!r}: rename or remove all but one.")
    return dict(columns)


def refuse_binary(path: Path) -> None:
    """Text has no NUL bytes.

    Raises:
        BakeoffError: the file is empty or begins like a binary one.
    """
    with path.open("rb") as stream:
        head = stream.read(2**16)
    if not head.strip():
        raise BakeoffError(f"{path} is empty.")
    if b"\0" in head or head[:2] == b"\x1f\x8b":
        raise BakeoffError(
            f"{path} is not a text file (compressed, UTF-16 or binary): Bakeoff reads plain CSV in UTF-8, or Parquet."
        )


def not_utf8(path: Path) -> BakeoffError:
    """Names the first line that is not UTF-8, and how to convert the file."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return BakeoffError(
                    f"{path} is not UTF-8 in line {number}: byte 0x{line[error.start]:02x}. If all of it is "
                    f"latin-1, `iconv -f latin1 -t utf-8 {path.name}` converts it; if encodings are mixed, "
                    "mend that line."
                )
    return BakeoffError(f"{path} is not UTF-8.")


def _read_csv(path: Path) -> list[tuple[str, Any]]:
    refuse_binary(path)
    quoted_lines = pacsv.ParseOptions(newlines_in_values=True)
    in_order = pacsv.ReadOptions(use_threads=False)  # else a message cannot name the row
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            names = next(csv.reader(stream), None)
        if names is None:
            raise BakeoffError(f"{path} is empty.")
        table = pacsv.read_csv(
            path,
            read_options=in_order,
            parse_options=quoted_lines,
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
            raise not_utf8(path) from None
        raise BakeoffError(
            f"{path} is not a table of comma-separated values ({error}): every row needs as many fields as "
            "the header, and fields that hold commas, quotes or line ends need quotes around them."
        ) from None
    return list(zip(table.column_names, table.columns, strict=True))


def _read_parquet(path: Path, ids: Sequence[str | None], raw: Sequence[str | None]) -> list[tuple[str, Any]]:
    try:
        table = pq.ParquetFile(path).read()
        table.validate(full=True)  # texts that are not UTF-8
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise BakeoffError(f"{path} is not a Parquet file that can be read: {error}") from None
    return [
        (name, values if name in raw else _text(values, name in ids, f"column {name!r} of {path}"))
        for name, values in zip(table.column_names, table.columns, strict=True)
    ]


def _text(values: Any, is_id: bool, where: str) -> Any:
    try:
        if is_id and pa.types.is_floating(values.type):
            values = values.cast(pa.int64())  # what pandas makes of whole numbers beside a missing one
        if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            return pc.binary_join(values.cast(pa.list_(pa.string())), "|")  # tags
        return values.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BakeoffError(f"{where} is of type {values.type}, which cannot be read as text: {error}") from None
