"""What is read in batches and may be large: in memory as long as it is small, then in files without a name.

The files are mapped: the system has in memory what is being looked at, and what else it has room for. They are gone
with the process, however it ends.
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

from bakeoff.core.files import told_of_a_full_disk

MOST_IN_MEMORY = 1 << 26
"""Bytes, of 5 million events: less needs no file, and can be read where the disk is full."""


def parts_of(path: Path) -> list[Path]:
    """The files of a Parquet table, in the order of its rows: itself, or those of its directory.

    Raises:
        FileNotFoundError: the directory has none.
    """
    parts = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not parts:
        raise FileNotFoundError(path)
    return parts


class Columns:
    """Arrays of numbers that grow together."""

    def __init__(self, new_file: Callable[[], IO[bytes]], dtypes: Iterable[DTypeLike]) -> None:
        """Begin without a number."""
        self._new_file = new_file
        self._columns = [_Column(dtype) for dtype in dtypes]

    def append(self, *values: NDArray[Any]) -> None:
        """More of each; whatever their shape, row by row."""
        for column, added in zip(self._columns, values, strict=True):
            column.append(added)
        if sum(column.bytes for column in self._columns if column.file is None) > MOST_IN_MEMORY:
            for column in self._columns:
                column.move_to(self._new_file())

    def values(self) -> list[NDArray[Any]]:
        """All of each, one-dimensional; nothing is appended after that."""
        return [column.values() for column in self._columns]


@contextmanager
def kept_columns(directory: Path, *dtypes: DTypeLike) -> Iterator[Columns]:
    """Columns of these types, of which many values lie in files of this directory; what they gave stays valid.

    Raises:
        BakeoffError: the disk is full.
    """
    with told_of_a_full_disk(directory), ExitStack() as files:
        yield Columns(lambda: files.enter_context(TemporaryFile(dir=directory)), dtypes)


def kept_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema, directory: Path) -> pa.Table:
    """All batches as a table, which lies in a file of this directory if it is large.

    Raises:
        BakeoffError: the disk is full.
    """
    held: list[pa.RecordBatch] = []
    with told_of_a_full_disk(directory), ExitStack() as files:
        rest = iter(batches)
        for batch in rest:
            held.append(batch)
            if sum(each.nbytes for each in held) > MOST_IN_MEMORY:
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
    """Numbers of one type."""

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
        """Go on in a file."""
        self.file = file
        for held in self._held:
            file.write(held.data)
        self._held = []

    def values(self) -> NDArray[Any]:
        """All of them; the file may be closed then."""
        if self.file is None:
            return np.concatenate(self._held)
        if self.bytes == 0:  # there is nothing to map
            return np.zeros(0, self._dtype)
        self.file.flush()
        # A plain array of the mapping: np.memmap costs with each slice.
        return np.asarray(np.memmap(self.file, self._dtype, mode="r"))
