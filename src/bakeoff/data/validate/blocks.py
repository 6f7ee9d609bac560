"""A CSV file of any size → tables of strings, a block at a time; whatever is odd about it is left to `read_csv`."""

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from bakeoff.data.validate.reader import RawTable, read_csv

BLOCK_BYTES = 32 * 2**20
"""Bytes that are parsed at a time. A smaller file, and one with a longer row, is read whole."""


class _OddError(Exception):
    """The file is anything but rows of as many fields as its header has, in UTF-8."""


def read_blocks(path: Path, file: str) -> Iterator[RawTable]:
    """As `read_csv` of the whole file, but in blocks: the same rows on the same lines, and the same errors.

    Whatever is odd is found before the first block is given away: a large file is parsed twice, which takes less than
    to take back what was written. An odd one is then read whole, since its error speaks of all of it.

    Raises:
        BakeoffError: as `read_csv`.
        OSError: the file can't be read.
    """
    try:
        if path.stat().st_size <= BLOCK_BYTES:
            raise _OddError
        for _ in _blocks(path, file):
            pass
    except (_OddError, pa.ArrowException, OverflowError, UnicodeDecodeError, csv.Error):
        yield read_csv(path.read_bytes(), file)
    else:
        yield from _blocks(path, file)


def _blocks(path: Path, file: str) -> Iterator[RawTable]:
    with path.open("rb") as stream:
        body = _Body(stream, _header(path))
        line = 2 + sum(name.count("\n") for name in body.header)
        held: RawTable | None = None
        for table in _tables(body):
            if held is not None:
                yield held
            breaks = np.zeros(table.num_rows, np.int64)
            for column in table.columns:
                breaks += pc.count_substring(column, "\n").to_numpy()
            above = np.cumsum(breaks) - breaks
            held = RawTable(file, table, line + np.arange(table.num_rows) + above)
            line += table.num_rows + int(breaks.sum())
        # A quotation mark that is never closed swallows the row that was appended.
        if held is None or any(held.columns.slice(len(held) - 1).to_pylist()[0].values()):
            raise _OddError
        if len(held) > 1:
            yield RawTable(file, held.columns.slice(0, len(held) - 1), held.lines[:-1])


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream, strict=True), [])
    # A single column may be one that is separated by something else.
    if len(header) < 2 or len({*header}) < len(header) or not all(name.strip() for name in header):
        raise _OddError
    return header


def _tables(body: "_Body") -> Iterator[pa.Table]:
    reader = arrow_csv.open_csv(
        pa.PythonFile(body, mode="r"),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        # Where a quoted value holds a line break, no block ends there.
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(body.header, pa.string()), null_values=[], strings_can_be_null=False
        ),
    )
    if reader.schema.names != body.header:
        raise _OddError
    for batch in reader:
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


class _Body(io.RawIOBase):
    """The bytes of a file without its byte order mark and the line ends at its end, and a blank row."""

    def __init__(self, stream: io.BufferedReader, header: list[str]) -> None:
        self.header = header
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._left = _length(stream) - _start(stream)
        self._rest = b"\n" + b",".join([b'""'] * len(header)) + b"\n"

    def readable(self) -> bool:
        """It can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`."""
        if self._left:
            data = self._stream.read(self._left if size < 0 else min(size, self._left))
            self._left -= len(data)
            self._decoder.decode(data, final=not self._left)
            if b"\0" in data:
                raise _OddError
            return data
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _start(stream: io.BufferedReader) -> int:
    """Moves behind the byte order mark, and says where that is."""
    stream.seek(0)
    place = len(codecs.BOM_UTF8) if stream.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0
    stream.seek(place)
    return place


def _length(stream: io.BufferedReader) -> int:
    """Bytes up to the line ends at the end."""
    end = stream.seek(0, io.SEEK_END)
    while end:
        start = max(0, end - 2**16)
        stream.seek(start)
        text = stream.read(end - start).rstrip(b"\r\n")
        if text:
            return start + len(text)
        end = start
    return 0
