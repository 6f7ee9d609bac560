"""Parquet of tables that come in portions: the bytes do not tell in how many."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 1 << 20
"""Rows of a row group: as many as Arrow takes by itself where a table is written whole."""


class RowGroups:
    """A Parquet file that grows by whole row groups; no more rows than one has are held."""

    def __init__(self, path: Path, rows_per_group: int) -> None:
        """Nothing is written before the first table, which says what the columns are."""
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
        """Write what is held, be it no row at all, and end the file."""
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
    """A file at `path` that is whole when the block has ended well; it lies where nobody looks for it before that."""
    rows = RowGroups(path, rows_per_group)
    yield rows
    rows.close()
