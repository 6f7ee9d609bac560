"""The engine that the tables are prepared on: opened by its name, closed with all that it kept in between.

Every table is an Ibis expression, written once. What an engine adds is how tables come in, go out and are looked at
without ever being in this process as a whole.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.data.engine.settings import EngineSettings, engine_settings, scratch_directory

BLOCK_ROWS = 1024 * 1024
"""Rows that this process holds at a time, and of a row group or a part of what is written."""
PIECE_BLOCKS = 4
"""Blocks of a piece of a table that is divided, about."""


@dataclass(frozen=True)
class Partitioned:
    """A table and its pieces, which are prepared one after the other: no sort grows with the data.

    Attributes:
        pieces: each row is in one of them; at least one.
        whole: all rows.
    """

    pieces: tuple[ir.Table, ...]
    whole: ir.Table

    @classmethod
    def single(cls, table: ir.Table) -> Self:
        """A table in one piece."""
        return cls((table,), table)

    def map(self, of_piece: Callable[[ir.Table], ir.Table]) -> Self:
        """Apply a function to each piece; applied to the whole table it must give the same rows."""
        pieces = tuple(map(of_piece, self.pieces))
        return type(self)(pieces, pieces[0] if len(pieces) == 1 else of_piece(self.whole))


class Engine(Protocol):
    """Where tables are prepared."""

    scratch: Path
    """Directory for what is in between; goes when the engine goes."""
    is_spark: ClassVar[bool] = False
    """Whether `groups` gives data frames of Spark."""

    def read(self, path: Path, columns: Collection[str] | None = None) -> ir.Table:
        """A Parquet file, or a directory of such parts.

        Args:
            path: of it.
            columns: names that do not differ in case alone; those that the file lacks are left out.
                None: all, where a name that differs from an earlier one in case alone may come changed.

        Raises:
            BakeoffError: it can't be read; the message says why and names no remedy.
        """

    def parts(self, path: Path) -> Partitioned:
        """A directory of Parquet parts of about a block each, in their order."""
        return Partitioned.single(self.read(path))

    def kept(self, name: str, table: ir.Table) -> ir.Table:
        """The table computed once, in scratch, for all who read it; `name` is unique within this engine."""

    def kept_each(self, name: str, rows: Partitioned) -> Partitioned:
        """Likewise each piece."""
        return Partitioned.single(self.kept(name, rows.whole))

    def divided(self, name: str, table: ir.Table, key: str) -> Partitioned:
        """A table that was read or kept, in pieces within which all rows of a key are; kept where they are several.

        An engine that divides its tables itself makes one piece.
        """
        return Partitioned.single(table)

    def ranged(self, name: str, table: ir.Table, index: str, size: int, count: int) -> Partitioned:
        """Any table that has rows, kept in about `count` pieces, which ascend by an index that is below `size`."""
        return self.kept_each(name, Partitioned.single(table))

    def blocks(self, table: ir.Table) -> Iterator[pa.Table]:
        """The rows in pieces of BLOCK_ROWS, in the order of the table if it has one; an empty table is one piece."""

    def groups(self, table: ir.Table, key: str, columns: Sequence[str]) -> Iterator[Any]:
        """The rows as Great Expectations takes them: data frames of pandas with the index `key`, or one of Spark.

        Rows that agree in all of these columns are in one frame.
        """

    def write(self, rows: Partitioned, path: Path, order: Sequence[str], names: Mapping[str, str], codec: str) -> None:
        """Write columns to Parquet.

        Args:
            rows: have `order` and the values of `names`; of several pieces, all of one come before all of the next.
            path: of the file or, on Spark, of the directory of its parts, which sort as the rows do.
            order: what rows are sorted by, unique; the first column is a whole number from 0.
            names: how each column that is written is called in the file (a name that SQL may not tell from
                another one) and in the table.
            codec: `snappy` or `zstd`.
        """


@contextmanager
def opened(settings: EngineSettings | None = None) -> Iterator[Engine]:
    """The engine that the settings name; None: those of the environment.

    Raises:
        BakeoffError: Spark is configured, and it, Java or the cluster is missing; scratch can't be written.
    """
    settings = settings or engine_settings()
    # Only the configured engine is imported: few environments have Spark.
    with scratch_directory(settings) as scratch:
        if settings.engine == "spark":
            from bakeoff.data.engine.spark_engine import spark_engine

            with spark_engine(settings, scratch) as spark:
                yield spark
        else:
            from bakeoff.data.engine.duckdb_engine import duckdb_engine

            with duckdb_engine(settings, scratch) as duckdb:
                yield duckdb


def loaded(engine: Engine, name: str, table: pa.Table) -> ir.Table:
    """A small table of this process as one of the engine."""
    path = engine.scratch / f"{name}.parquet"
    pq.write_table(table, path)
    return engine.read(path)


def same(columns: Iterable[str]) -> dict[str, str]:
    """Columns that are called in the file as they are in the table."""
    return {name: name for name in columns}


def rows_of(table: ir.Table) -> list[dict[str, Any]]:
    """The rows of a small table, such as an aggregate."""
    return list(table.to_pyarrow().to_pylist())


def num_rows(table: ir.Table) -> int:
    """Number of rows."""
    return int(table.count().to_pyarrow().as_py())


def in_blocks(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches of any length as contiguous tables of BLOCK_ROWS rows, the last one shorter; one at least."""
    held, is_first = schema.empty_table(), True
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).cast(schema)])
        while held.num_rows >= BLOCK_ROWS:
            yield held.slice(0, BLOCK_ROWS).combine_chunks()
            held, is_first = held.slice(BLOCK_ROWS), False
    if held.num_rows or is_first:
        yield held.combine_chunks()


def part_name(number: int) -> str:
    """Of a file in a directory of parts, which sort by their numbers."""
    return f"part-{number:05d}.parquet"


def num_blocks(count: int) -> int:
    """How many blocks so many rows take; one at least."""
    return max(1, math.ceil(count / BLOCK_ROWS))


def num_pieces(table: ir.Table) -> int:
    """Into how many pieces a table is divided; one at least."""
    return math.ceil(num_blocks(num_rows(table)) / PIECE_BLOCKS)


def value_at(
    table: ir.Table, bucket: ir.Value, order_by: Mapping[str, ir.Value], places: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Values at places of an order of all rows; only the buckets that hold these places are sorted.

    Args:
        table: the rows.
        bucket: whole number or text of a row of `table`, never null: rows of a lower one come first. What comes to this
            process is a count for each.
        order_by: values that decide within a bucket, by names other than the one used here.
        places: from 0.

    Returns:
        for each place the values of `order_by`.
    """
    sizes = table.select(bucket=bucket).group_by("bucket").aggregate(size=ibis._.count()).order_by("bucket")
    counted = sizes.to_pyarrow()
    ends = np.cumsum(counted["size"].to_numpy())
    found = []
    for place in places:
        number = int(np.searchsorted(ends, place, side="right"))
        before = int(ends[number - 1]) if number else 0
        rows = table.filter(bucket == counted["bucket"][number].as_py()).select(**order_by)
        within = ibis.row_number().over(ibis.window(order_by=list(order_by)))
        (row,) = rows.mutate(within=within).filter(ibis._.within == place - before).to_pyarrow().to_pylist()
        found.append(tuple(row[name] for name in order_by))
    return found
