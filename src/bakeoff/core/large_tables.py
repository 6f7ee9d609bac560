"""Tables and arrays of any size: Parquet files written in batches, and columns that spill to memory-mapped files.

The system keeps in memory the mapped pages in use, and others as far as there is room. The files have no name and
vanish with the process, however it ends.
"""

import mmap
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from bakeoff.core.files import disk_full_as_error

MAX_IN_MEMORY = 1 << 25
"""Bytes of a column or table: smaller ones need no file, and can be read where the disk is full."""
ROWS_PER_GROUP = 1 << 20
"""Rows of a row group: Arrow's default for a table that is written whole."""


def parts_of(path: Path) -> list[Path]:
    """The files of a Parquet table, in the order of its rows: itself, or those of its directory.

    Raises:
        FileNotFoundError: the directory has none.
    """
    parts = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not parts:
        raise FileNotFoundError(path)
    return parts


class RowGroups(AbstractContextManager["RowGroups"]):
    """A Parquet file that grows by whole row groups, so that its bytes do not depend on the batches.

    At most one group of rows is in memory. The file is complete once the block has ended without an error.
    """

    def __init__(self, path: Path, rows_per_group: int = ROWS_PER_GROUP, codec: str = "snappy") -> None:
        """Set up the file; it is created with the first table, which defines the columns."""
        self._path, self._rows_per_group, self._codec = path, rows_per_group, codec
        self._writer: pq.ParquetWriter | None = None
        self._held: pa.Table | None = None

    def add(self, table: pa.Table) -> None:
        """Append rows; every table has the columns of the first."""
        held, size = table if self._held is None else pa.concat_tables([self._held, table]), self._rows_per_group
        while held.num_rows > size:
            self._write(held.slice(0, size))
            held = held.slice(size)
        self._held = held

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Write the remaining rows, if any, and close the file, unless there was an error."""
        if error is None and self._held is not None and (self._held.num_rows or self._writer is None):
            self._write(self._held)
        if error is None and self._writer is not None:
            self._writer.close()

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression=self._codec)
        self._writer.write_table(table.combine_chunks(), row_group_size=self._rows_per_group)


class Columns:
    """Arrays of numbers that grow together and spill to files."""

    def __init__(self, files: Iterable[IO[bytes]], dtypes: Iterable[DTypeLike]) -> None:
        """Start empty, with a file for each type."""
        self._columns = [(file, np.dtype(dtype)) for file, dtype in zip(files, dtypes, strict=True)]

    def append(self, *values: NDArray[Any]) -> None:
        """Append values of any shape, row by row, to each column."""
        for (file, dtype), added in zip(self._columns, values, strict=True):
            file.write(np.ascontiguousarray(added, dtype).ravel().data)

    def values(self) -> list[NDArray[Any]]:
        """All values of each column, one-dimensional, valid once the files are closed; nothing can be appended."""
        return [np.frombuffer(_content(file), dtype) for file, dtype in self._columns]


@contextmanager
def spilling_columns(directory: Path, *dtypes: DTypeLike) -> Iterator[Columns]:
    """Columns of these types, which spill to files in this directory; their values stay valid after the block.

    Raises:
        BakeoffError: the disk is full.
    """
    with disk_full_as_error(directory), ExitStack() as files:
        yield Columns([files.enter_context(_spooled(directory)) for _ in dtypes], dtypes)


def spilling_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema, directory: Path) -> pa.Table:
    """All batches as a table, which spills to a file in this directory if it is large.

    Raises:
        BakeoffError: the disk is full.
    """
    with disk_full_as_error(directory), _spooled(directory) as file:
        with pa.ipc.new_file(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return pa.ipc.open_file(pa.py_buffer(_content(file))).read_all()


def _spooled(directory: Path) -> SpooledTemporaryFile[bytes]:
    return SpooledTemporaryFile(max(MAX_IN_MEMORY, 1), dir=str(directory))  # 0 would mean without limit


def _content(file: IO[bytes]) -> bytearray | mmap.mmap:
    """All that was written to a spooled file: in memory, or mapped where it has spilled."""
    if file.tell() <= max(MAX_IN_MEMORY, 1):
        file.seek(0)
        return bytearray(file.read())
    file.flush()
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
