"""Parquet files that are written in batches: row groups, and so the bytes, do not depend on the batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

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


class RowGroups:
    """A Parquet file that grows by whole row groups; at most one group of rows is in memory."""

    def __init__(self, path: Path, rows_per_group: int) -> None:
        """Set up the file; it is created with the first table, which defines the columns."""
        self._path, self._rows_per_group = path, rows_per_group
        self._writer: pq.ParquetWriter | None = None
        self._held: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Append rows; every table has the columns of the first."""
        self._held.append(table)
        self._rows += table.num_rows
        while self._rows > (size := self._rows_per_group):
            held = pa.concat_tables(self._held)
            self._write(held.slice(0, size))
            self._held, self._rows = [held.slice(size)], self._rows - size

    def close(self) -> None:
        """Write the remaining rows, if any, and close the file."""
        if self._held and (self._rows or self._writer is None):
            self._write(pa.concat_tables(self._held))
        if self._writer is not None:
            self._writer.close()

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table.combine_chunks(), row_group_size=self._rows_per_group)


@contextmanager
def row_groups(path: Path, rows_per_group: int = ROWS_PER_GROUP) -> Iterator[RowGroups]:
    """A file at `path` that is complete once the block has ended without an error."""
    rows = RowGroups(path, rows_per_group)
    yield rows
    rows.close()
