"""Bytes of a CSV file → a table of strings, or an error that names the line."""

import codecs
import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from bakeoff.core.errors import BakeoffError
from bakeoff.core.sanitize import visible

OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
BINARY_FORMATS = {b"PK\x03\x04": "a zip or Excel file", b"\x1f\x8b": "a gzip file", b"PAR1": "a Parquet file"}
SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class RawTable:
    """A CSV file exactly as it is written.

    Attributes:
        file: how messages call it, such as `data/users.csv`.
        columns: [num_rows] every column as string; an empty field is the empty string, never null.
        lines: int64 [num_rows], the 1-based line of the file on which each row starts; the header is line 1.
    """

    file: str
    columns: pa.Table
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def names(self) -> list[str]:
        """Column names in the file's order."""
        return list(self.columns.column_names)


def read_csv(data: bytes, file: str) -> RawTable:
    """Read RFC 4180 CSV in UTF-8 (with or without a byte order mark) as strings, exactly.

    Args:
        data: the whole file.
        file: how messages call it.

    Raises:
        BakeoffError: the file is empty, is binary, is not UTF-8 throughout, is separated by something else
            than commas, has a column without a name or one name twice, has a line with the wrong number of
            fields, or leaves a quote open.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    _refuse_what_is_no_text(data, file)
    header = _header(data, file)
    # The row that is appended is swallowed by a quote that was never closed: that is how one is found.
    body = data.rstrip(b"\r\n") + b"\n" + b",".join([b'""'] * len(header)) + b"\n"
    table, bad = _parse(body, header, file)
    lines = _lines(table)
    if not table.num_rows or not _is_blank(table.slice(table.num_rows - 1)):
        raise BakeoffError(
            f'{file} has a quotation mark (") that is never closed; it opens in the row that starts on line '
            f'{_last_line(body, lines, bad)}. Close it, or double it ("") if it belongs to the value.'
        )
    if bad:
        raise BakeoffError(_wrong_number_of_fields(bad, table, lines, file))
    return RawTable(file, table.slice(0, table.num_rows - 1), lines[:-1])


def _refuse_what_is_no_text(data: bytes, file: str) -> None:
    if not data.strip():
        raise BakeoffError(f"{file} is empty: it must hold a header and rows. Fetch the data again.")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BakeoffError(f"{file} is in UTF-16: save it as UTF-8.")
    kind = next((name for magic, name in BINARY_FORMATS.items() if data.startswith(magic)), None)
    if kind is None and (place := data.find(0)) >= 0:
        kind = f"a binary file (a zero byte stands on line {_line_of(data, place)})"
    if kind:
        raise BakeoffError(f"{file} is {kind}, not CSV: export the table as comma-separated text in UTF-8.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = _line_of(data, error.start)
        text = data.split(b"\n")[line - 1][:SHOWN_CHARACTERS].decode("latin-1")
        raise BakeoffError(
            f"{file} is not UTF-8 on line {line} (byte 0x{data[error.start]:02x}): {text!r} as Latin-1. "
            "Convert the file to UTF-8; where only some lines are affected, it mixes encodings."
        ) from None


def _line_of(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1


def _header(data: bytes, file: str) -> list[str]:
    try:
        header = next(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    except csv.Error as error:
        raise BakeoffError(f"{file} has misplaced quotation marks in its header (line 1): {error}.") from None
    others = [name for char, name in OTHER_DELIMITERS.items() if len(header) == 1 and char in header[0]]
    if others:
        raise BakeoffError(
            f"{file} is separated by {others[0]}, not by commas: its header is {header[0]!r}. "
            "Export it with commas as the delimiter."
        )
    if not header or not all(name.strip() for name in header):
        raise BakeoffError(f"{file} has a column without a name: its header (line 1) is {','.join(header)!r}.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise BakeoffError(
            f"{file} has column `{visible(twice[0])}` more than once: rename or remove one in the header."
        )
    return header


def _parse(body: bytes, header: list[str], file: str) -> tuple[pa.Table, list[Any]]:
    bad: list[Any] = []

    def skip(row: Any) -> str:
        bad.append(row)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(body),
            # One block: a quoted value may hold a line break, and rows must not be cut there. One thread:
            # only then are the rows that cannot be read numbered.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=len(body) + 1),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=skip
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), null_values=[], strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, OverflowError) as error:
        raise BakeoffError(f"{file} cannot be read as CSV: {error}") from None
    if table.column_names != header:
        # A column under another name would not be read as text, and ids would lose their leading zeros.
        raise BakeoffError(f"{file} has a header that cannot be read: {','.join(header)!r}.")
    return table, bad


def _lines(table: pa.Table) -> NDArray[np.int64]:
    breaks = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        breaks += pc.count_substring(column, "\n").to_numpy()
    above = np.cumsum(breaks) - breaks
    in_header = sum(name.count("\n") for name in table.column_names)
    lines: NDArray[np.int64] = 2 + in_header + np.arange(table.num_rows) + above
    return lines


def _last_line(body: bytes, lines: NDArray[np.int64], bad: list[Any]) -> int:
    """The line on which the last row starts: the last of `lines` or, with the wrong width, of `bad`."""
    if bad and body.rstrip(b"\n").endswith(bad[-1].text.encode().rstrip(b"\n")):
        return _line_of(body, body.rindex(bad[-1].text.encode().rstrip(b"\n")))
    above = sum(1 + row.text.count("\n") for row in bad)
    return int(lines[-1]) + above if len(lines) else 1


def _is_blank(row: pa.Table) -> bool:
    return not any(column[0].as_py() for column in row.columns)


def _wrong_number_of_fields(bad: list[Any], table: pa.Table, lines: NDArray[np.int64], file: str) -> str:
    first = bad[0]
    # The reader counts rows, the header being row 1; people count lines, and a quoted value may span several.
    rows_before = first.number - 2
    line = lines[rows_before] if rows_before < len(lines) else lines[-1]
    text = first.text if len(first.text) <= SHOWN_CHARACTERS else first.text[:SHOWN_CHARACTERS] + "…"
    others = f" {len(bad) - 1:,} more lines are like that." if len(bad) > 1 else ""
    return (
        f"{file} cannot be read: line {line} has {first.actual_columns} fields where the header names "
        f"{first.expected_columns}: {text!r}.{others} Put values that contain commas in quotation marks, "
        "and fill what is missing."
    )
