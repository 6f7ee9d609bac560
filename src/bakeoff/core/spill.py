"""Arrays and tables that spill to memory-mapped files above 64 MiB.

The system keeps in memory the pages in use, and others as far as there is room. The files have no name and vanish with
the process, however it ends.
"""

import mmap
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import DTypeLike, NDArray

from bakeoff.core.files import disk_full_as_error

MAX_IN_MEMORY = 1 << 26
"""Bytes, 5 million events: smaller data needs no file, and can be read where the disk is full."""


class Columns:
    """Arrays of numbers that grow together and spill to files."""

    def __init__(self, new_file: Callable[[], IO[bytes]], dtypes: Iterable[DTypeLike]) -> None:
        """Start empty."""
        self._new_file = new_file
        self._columns = [_Column(dtype) for dtype in dtypes]

    def append(self, *values: NDArray[Any]) -> None:
        """Append values of any shape, row by row, to each column."""
        for column, added in zip(self._columns, values, strict=True):
            column.append(added)
        if sum(column.bytes for column in self._columns if column.file is None) > MAX_IN_MEMORY:
            for column in self._columns:
                column.move_to(self._new_file())

    def values(self) -> list[NDArray[Any]]:
        """All values of each column, one-dimensional; nothing can be appended afterwards."""
        return [column.values() for column in self._columns]


@contextmanager
def spilling_columns(directory: Path, *dtypes: DTypeLike) -> Iterator[Columns]:
    """Columns of these types, which spill to files in this directory; their values stay valid after the block.

    Raises:
        BakeoffError: the disk is full.
    """
    with disk_full_as_error(directory), ExitStack() as files:
        yield Columns(lambda: files.enter_context(TemporaryFile(dir=directory)), dtypes)


def spilling_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema, directory: Path) -> pa.Table:
    """All batches as a table, which spills to a file in this directory if it is large.

    Raises:
        BakeoffError: the disk is full.
    """
    held: list[pa.RecordBatch] = []
    with disk_full_as_error(directory), ExitStack() as files:
        rest = iter(batches)
        for batch in rest:
            held.append(batch)
            if sum(each.nbytes for each in held) > MAX_IN_MEMORY:
                break
        else:
            return pa.Table.from_batches(held, schema)
        file = files.enter_context(TemporaryFile(dir=directory))
        with pa.ipc.new_file(file, schema) as writer:
            while held:
                writer.write_batch(held.pop(0))
            for batch in rest:
                writer.write_batch(batch)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return pa.ipc.open_file(pa.py_buffer(mapped)).read_all()


class _Column:
    """A growing array of one type."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.file: IO[bytes] | None = None
        self.bytes = 0
        self._dtype = np.dtype(dtype)
        self._held: list[NDArray[Any]] = [np.zeros(0, dtype)]

    def append(self, values: NDArray[Any]) -> None:
        added = np.ascontiguousarray(values, self._dtype).ravel()
        self.bytes += added.nbytes
        if self.file is None:
            self._held.append(added)
        else:
            self.file.write(added.data)

    def move_to(self, file: IO[bytes]) -> None:
        """Move all values to a file, and append there from now on."""
        self.file = file
        for held in self._held:
            file.write(held.data)
        self._held = []

    def values(self) -> NDArray[Any]:
        """All values; the file may be closed afterwards."""
        if self.file is None:
            return np.concatenate(self._held)
        if self.bytes == 0:  # there is nothing to map
            return np.zeros(0, self._dtype)
        self.file.flush()
        # A plain array of the mapping: np.memmap costs with each slice.
        return np.asarray(np.memmap(self.file, self._dtype, mode="r"))
