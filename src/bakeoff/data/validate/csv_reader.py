"""Delimited text of any size → tables of strings, a block at a time, or an error that names the line."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from bakeoff.core.errors import BakeoffError, visible

BLOCK_BYTES = 32 * 2**20
"""Bytes that are parsed at a time; no row may be longer."""
DELIMITERS = ",\t;|"
"""What may separate the fields of a team's own files; the first wins a tie."""
HEADER_CHARACTERS = 2**16
"""As much of a header decides on the delimiter."""
OTHER_DELIMITERS = {"\t": "tabs", ";": "semicolons", "|": "vertical bars", "::": "double colons"}
BINARY_FORMATS = {b"PK\x03\x04": "a zip or Excel file", b"\x1f\x8b": "a gzip file", b"PAR1": "a Parquet file"}
SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class RawTable:
    """A block of a CSV file exactly as it is written.

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


def read_csv(path: Path, file: str) -> Iterator[RawTable]:
    """Read RFC 4180 CSV in UTF-8 (with or without a byte order mark) as strings, exactly.

    Args:
        path: the file.
        file: how messages call it.

    Yields:
        consecutive blocks of rows, at least one; an empty line is a row of empty strings, unless no row follows.

    Raises:
        BakeoffError: as `read_rows`, or the file is separated by something else than commas, has a column without a
            name or one name twice. Blocks before a faulty row have been yielded.
        OSError: the file can't be read.
    """
    check_text(path, file)
    header = _header(path, file)
    others = [name for char, name in OTHER_DELIMITERS.items() if len(header) == 1 and char in header[0]]
    if others:
        raise BakeoffError(
            f"{file} is separated by {others[0]}, not by commas: its header is {header[0]!r}. "
            "Export it with commas as the delimiter."
        )
    if not all(name.strip() for name in header):
        raise BakeoffError(f"{file} has a column without a name: its header (line 1) is {','.join(header)!r}.")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise BakeoffError(f"{file} has column `{visible(repeated[0])}` more than once: rename or remove one.")
    yield from read_rows(path, file)


def read_rows(path: Path, file: str, *, delimiter: str | None = ",", skip_empty: bool = False) -> Iterator[RawTable]:
    """Read delimited text that `check_text` has passed, whatever its columns are called.

    Args:
        path: the file.
        file: how messages call it.
        delimiter: what separates the fields; None: what `delimiter_of` finds in the header.
        skip_empty: whether lines without any character are skipped; `lines` are then too low.

    Raises:
        BakeoffError: a line has the wrong number of fields, a quote is never closed, a row exceeds BLOCK_BYTES, or the
            first line is Excel's `sep=;` where the delimiter is to be found.
        OSError: the file can't be read.
    """
    if delimiter is None:
        with path.open(encoding="utf-8-sig", newline="") as text:
            beginning = text.read(HEADER_CHARACTERS)
        if hint := re.match("sep=.(?=[\r\n])", beginning):
            raise BakeoffError(f"{file} begins with the line {hint[0]!r}, which is meant for Excel alone: delete it.")
        delimiter = delimiter_of(beginning)
    header = _header(path, file, delimiter)
    bad: list[Any] = []
    bad_line = 0
    line = 2 + sum(name.count("\n") for name in header)
    num_rows = 0
    held: RawTable | None = None
    try:
        with path.open("rb") as stream:
            for table in _tables(stream, header, file, delimiter, bad, skip_empty):
                if held is not None and not bad:
                    yield held
                lines, line = _lines(table, line)
                if bad and not bad_line:
                    # The reader counts rows, the header being row 1; people count lines.
                    bad_line = [*lines.tolist(), line][min(bad[0].number - 2 - num_rows, len(lines))]
                num_rows += len(lines)
                held = RawTable(file, table, lines)
    except (pa.ArrowException, OverflowError) as error:
        raise BakeoffError(
            f"{file} cannot be read as CSV after line {line - 1}: {error}. A row may take {BLOCK_BYTES:,} bytes; a "
            'longer one is usually a quotation mark (") that is never closed.'
        ) from None
    # The last row is the blank one that `_Body` appends: a quote that is never closed swallows it.
    if held is None or any(column[-1].as_py() for column in held.columns.columns):
        last_is_bad = bool(bad) and bad[-1].number == num_rows + len(bad) + 1
        start = line if last_is_bad or held is None else int(held.lines[-1])
        start += sum(1 + row.text.count("\n") for row in (bad[:-1] if last_is_bad else bad))
        raise BakeoffError(
            f'{file} has a quotation mark (") that is never closed; it opens in the row that starts on line {start}. '
            'Close it, or double it ("") if it belongs to the value.'
        )
    if bad:
        where = f"row {bad[0].number}" if skip_empty else f"line {bad_line}"
        raise BakeoffError(_wrong_number_of_fields(bad, where, file, delimiter))
    yield RawTable(file, held.columns.slice(0, len(held) - 1), held.lines[:-1])


def delimiter_of(header_line: str) -> str:
    """The one of DELIMITERS that divides a header line into the most fields; those in quotation marks don't count."""
    unquoted = re.sub('"[^"]*"', "", header_line[:HEADER_CHARACTERS])
    return max(DELIMITERS, key=re.split("[\r\n]", unquoted)[0].count)


def check_text(path: Path, file: str, encoding: str = "utf-8", copy: IO[bytes] | None = None) -> None:
    """Check that a file is plain text in its encoding. All of it is read, in blocks.

    Args:
        path: the file.
        file: how messages call it.
        encoding: name of the codec.
        copy: where the text is written in UTF-8, which any other encoding needs.

    Raises:
        BakeoffError: it is empty, compressed or binary, or in another encoding; names the line.
        OSError: the file can't be read, or the copy can't be written.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    has_nul = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))  # in the bytes of most characters
    line, is_empty, block = 1, True, b"\n"
    with path.open("rb") as stream:
        _refuse_other_formats(stream.read(len(max(BINARY_FORMATS, key=len))), file, has_nul)
        stream.seek(0)
        while block:
            block = stream.read(BLOCK_BYTES)
            if not has_nul and (place := block.find(0)) >= 0:
                line += block.count(b"\n", 0, place)
                raise BakeoffError(
                    f"{file} is binary or damaged: it holds a NUL byte on line {line}. Export plain CSV in UTF-8, or "
                    "remove the byte with `tr -d '\\0'`; text in UTF-16 is fetched with `data.encoding: utf-16-le`."
                )
            text = _decoded(decoder, block, line, file, encoding)
            data = block if copy is None else text.encode("utf-8", "replace")  # UTF-7 may hold half a character
            if copy is not None:
                copy.write(data)
                copy.flush()
            line += data.count(b"\n")
            is_empty = is_empty and not data.removeprefix(codecs.BOM_UTF8).strip()
    if is_empty:
        raise BakeoffError(f"{file} is empty: it must hold a header and rows.")


def _refuse_other_formats(start: bytes, file: str, may_be_utf_16: bool) -> None:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not may_be_utf_16:
        raise BakeoffError(f"{file} is in UTF-16: save it as UTF-8, or fetch it with `data.encoding: utf-16`.")
    if kind := next((name for magic, name in BINARY_FORMATS.items() if start.startswith(magic)), None):
        raise BakeoffError(f"{file} is {kind}, not CSV: export the table as comma-separated text in UTF-8.")


def _decoded(decoder: codecs.IncrementalDecoder, block: bytes, line: int, file: str, encoding: str) -> str:
    try:
        return decoder.decode(block, final=not block)
    except UnicodeError as error:  # without a place where UTF-16 lacks its byte order mark
        data, place = getattr(error, "object", block), getattr(error, "start", 0)
        line += data[:place].decode(getattr(error, "encoding", encoding), "replace").count("\n")
        start = data.rfind(b"\n", 0, place) + 1
        text = data[start : start + SHOWN_CHARACTERS].partition(b"\n")[0].decode("latin-1")
        raise BakeoffError(
            f"{file} is not {encoding.upper()} on line {line} (byte 0x{data[place : place + 1].hex()}): "
            f"{getattr(error, 'reason', error)} in {text!r} (as Latin-1). If all of it is in another encoding, name "
            "that in params.yaml to fetch it (`data.encoding: cp1252`), or convert it (`iconv -f latin1 -t utf-8`); "
            "where only some lines are affected, it mixes encodings."
        ) from None


def _header(path: Path, file: str, delimiter: str = ",") -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return next(csv.reader(stream, delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise BakeoffError(f"{file} has misplaced quotation marks in its header (line 1): {error}.") from None


def _tables(
    stream: io.BufferedReader, header: list[str], file: str, delimiter: str, bad: list[Any], skip_empty: bool
) -> Iterator[pa.Table]:
    """Blocks of rows and, in the end, one blank row. Rows of another width than the header's are put into `bad`."""

    def skip(row: Any) -> str:
        bad.append(row)
        return "skip"

    parse = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip)
    parse.ignore_empty_lines = skip_empty
    reader = arrow_csv.open_csv(
        pa.PythonFile(_Body(stream, delimiter.join(['""'] * len(header))), mode="r"),
        # One thread: only then are the rows that cannot be read numbered.
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=parse,
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), null_values=[], strings_can_be_null=False
        ),
    )
    if reader.schema.names != header:
        # A column under another name would not be read as text, and ids would lose their leading zeros.
        raise BakeoffError(
            f"{file} has a header that cannot be read: {','.join(header)!r}. Its first line must hold the names of the "
            "columns: delete what stands before it."
        )
    yield from (pa.Table.from_batches([batch]) for batch in reader if batch.num_rows)


class _Body(io.RawIOBase):
    """The bytes of a file without the line ends at its end, and a blank row; the reader skips a byte order mark."""

    def __init__(self, stream: io.BufferedReader, blank_row: str) -> None:
        self._stream = stream
        # Of many thousand line ends some are left, as empty lines.
        start = max(0, stream.seek(0, io.SEEK_END) - 2**16)
        stream.seek(start)
        self._left = start + len(stream.read().rstrip(b"\r\n"))
        stream.seek(0)
        self._blank_row = f"\n{blank_row}\n".encode()

    def readable(self) -> bool:
        """It can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`."""
        size = self._left + len(self._blank_row) if size < 0 else size
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        more = size - len(data)  # 0 unless the file has ended: a block that ends with the header would be refused
        data, self._blank_row = data + self._blank_row[:more], self._blank_row[more:]
        return data


def _lines(table: pa.Table, first: int) -> tuple[NDArray[np.int64], int]:
    """The line of each row of a table that starts on line `first`, and the line after it."""
    heights = np.ones(table.num_rows, np.int64)
    for column in table.columns:
        heights += pc.count_substring(column, "\n").to_numpy()
    after = first + np.cumsum(heights)
    return after - heights, int(after[-1])


def _wrong_number_of_fields(bad: list[Any], where: str, file: str, delimiter: str) -> str:
    first = bad[0]
    text = first.text if len(first.text) <= SHOWN_CHARACTERS else first.text[:SHOWN_CHARACTERS] + "…"
    others = f" {len(bad) - 1:,} more lines are like that." if len(bad) > 1 else ""
    return (
        f"{file} cannot be read: {where} has {first.actual_columns} fields where the header names "
        f"{first.expected_columns}: {text!r}.{others} Put values that contain "
        f"{OTHER_DELIMITERS.get(delimiter, 'commas')} in quotation marks, and fill what is missing."
    )
