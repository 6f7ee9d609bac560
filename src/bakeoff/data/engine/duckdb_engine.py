"""DuckDB as the engine: within the process, larger than memory, one file per table."""

import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.core.large_tables import RowGroups
from bakeoff.data.engine.engine import Engine, Partitioned, in_blocks, num_blocks, num_pieces, num_rows, part_name
from bakeoff.data.engine.settings import EngineSettings

BATCH_ROWS = 100_000
PIECE = "bakeoff_piece"


@contextmanager
def duckdb_engine(settings: EngineSettings, scratch: Path) -> Iterator["DuckDBEngine"]:
    """The embedded engine. What does not fit in memory spills to scratch.

    Raises:
        BakeoffError: BAKEOFF_MEMORY_LIMIT is too small for a query.
    """
    given = settings.model_dump(include={"memory_limit", "threads"}, exclude_none=True)
    connection = ibis.duckdb.connect(temp_directory=str(scratch / "spill"), **given)
    try:
        with warnings.catch_warnings():
            # Ibis 12 calls a name that DuckDB 2 deprecates; nobody who runs a pipeline can act on that.
            warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
            yield DuckDBEngine(connection, scratch)
    except duckdb.OutOfMemoryException as error:
        raise BakeoffError(
            f"DuckDB needs more memory than BAKEOFF_MEMORY_LIMIT={settings.memory_limit or ''} allows "
            f"({first_line(error)}): raise it, or lower BAKEOFF_THREADS, each of which takes a part of it."
        ) from None
    finally:
        connection.disconnect()


@dataclass(eq=False)
class DuckDBEngine(Engine):
    """See `Engine`."""

    connection: Backend
    scratch: Path

    def read(self, path: Path, columns: Collection[str] | None = None) -> ir.Table:
        """See `Engine`."""
        source = path / "*.parquet" if path.is_dir() else path
        try:
            table = self._stored(source)
        except duckdb.Error as error:
            reason = first_line(error).replace(str(source.resolve()), str(path))
            raise BakeoffError(f"{path} can't be read ({reason})") from None
        if columns is None:
            return table
        # To DuckDB two names that differ in case alone are the same, and the second is given another one.
        in_file = pq.read_schema(next(path.glob("*.parquet")) if path.is_dir() else path).names
        called = dict(zip(in_file, table.columns, strict=True))
        return table.select(**{name: table[called[name]] for name in in_file if name in columns})

    def parts(self, path: Path) -> Partitioned:
        """See `Engine`."""
        return self._pieces(path, "*.parquet")

    def kept(self, name: str, table: ir.Table) -> ir.Table:
        """See `Engine`."""
        path = self.scratch / f"{name}.parquet"
        self.connection.to_parquet(table, path)
        return self._stored(path)

    def kept_each(self, name: str, rows: Partitioned) -> Partitioned:
        """See `Engine`."""
        folder = self.scratch / name
        folder.mkdir()
        for number, piece in enumerate(rows.pieces):
            self.connection.to_parquet(piece, folder / part_name(number))
        return self.parts(folder)

    def divided(self, name: str, table: ir.Table, key: str) -> Partitioned:
        """See `Engine`."""
        count = num_pieces(table)
        if count == 1:
            return Partitioned.single(table)
        return self._partitioned(self.scratch / name, table, _remainder(table[key].hash(), count))

    def ranged(self, name: str, table: ir.Table, index: str, size: int, count: int) -> Partitioned:
        """See `Engine`."""
        return self._partitioned(self.scratch / name, table, table[index] // math.ceil(size / count))

    def blocks(self, table: ir.Table) -> Iterator[pa.Table]:
        """See `Engine`."""
        yield from in_blocks(self._batches(table), table.schema().to_pyarrow())

    def groups(
        self, table: ir.Table, key: str, columns: Sequence[str], used: int = 1, most: int = 1
    ) -> Iterator[pd.DataFrame]:
        """See `Engine`: a table of more than `most` blocks divided by the first `used` columns into as many frames.

        A frame so has all the events of some users rather than a few of each, since to find repeated rows takes longer
        the more different values there are. What is left of more than two blocks is divided by a further column.
        """
        count = num_blocks(num_rows(table))
        if count <= most or used > len(columns):
            yield table.order_by(key).to_pyarrow().to_pandas().set_index(key).rename_axis(None)
            return
        mixed: Any = sum((table[name].hash() % count for name in columns[1:used]), table[columns[0]].hash() % count)
        # Each group is a file: to filter the table for one group after the other would read it as often as it is long.
        with TemporaryDirectory(dir=self.scratch) as parts:
            for rows in self._partitioned(Path(parts), table, _remainder(mixed, count)).pieces:
                yield from self.groups(rows, key, columns, used + 1, 2)

    def write(self, rows: Partitioned, path: Path, order: Sequence[str], names: Mapping[str, str], codec: str) -> None:
        """See `Engine`."""
        pieces = [piece.order_by(*order).select(*names.values()) for piece in rows.pieces]
        types = pieces[0].schema().to_pyarrow()
        with RowGroups(path, codec=codec) as file:
            file.add(types.empty_table().rename_columns(list(names)))
            for batch in chain.from_iterable(map(self._batches, pieces)):
                file.add(pa.Table.from_batches([batch]).cast(types).rename_columns(list(names)))

    def _batches(self, table: ir.Table) -> Iterator[pa.RecordBatch]:
        # Ibis 12 has a method for this that asks DuckDB 2 for a name that it no longer has.
        with self.connection.con.sql(self.connection.compile(table)).to_arrow_reader(BATCH_ROWS) as batches:
            yield from batches

    def _partitioned(self, folder: Path, table: ir.Table, number: ir.Value) -> Partitioned:
        """The table by a whole number from 0, each number a piece, in their order."""
        self.connection.to_parquet(table.mutate({PIECE: number.cast("int32")}), folder, partition_by=PIECE)
        for written in folder.glob(f"{PIECE}=*"):
            written.rename(folder / part_name(int(written.name.rpartition("=")[2])))
        return self._pieces(folder, "*.parquet/*.parquet")

    def _pieces(self, folder: Path, files: str) -> Partitioned:
        inside = files.partition("/")[2]
        pieces = (self._stored(path / inside) for path in sorted(folder.iterdir()))
        return Partitioned(tuple(pieces), self._stored(folder / files))

    def _stored(self, files: Path) -> ir.Table:
        return self.connection.read_parquet(files, hive_partitioning=False)


def _remainder(number: ir.Value, count: int) -> ir.Value:
    """In [0, count): a hash may be negative, and so is what is left of it then."""
    return (number % count + count) % count
