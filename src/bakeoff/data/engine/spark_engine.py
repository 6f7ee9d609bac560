"""Spark as the engine: tables larger than one machine, a directory of parts per table."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.data.engine.engine import Engine, Partitioned, in_blocks, num_blocks, part_name, rows_of
from bakeoff.data.engine.settings import EngineSettings, spark_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PART = "bakeoff part"
ORDER = "bakeoff order "


@contextmanager
def spark_engine(settings: EngineSettings, scratch: Path) -> Iterator["SparkEngine"]:
    """A session of its own, or the one that this process has already, which is then left running.

    Raises:
        BakeoffError: Spark or Java is missing, or the cluster does not answer.
    """
    with spark_session(settings, scratch, "BAKEOFF_ENGINE", "duckdb") as session:
        yield SparkEngine(ibis.pyspark.connect(session), session, scratch)


@dataclass(eq=False)
class SparkEngine(Engine):
    """See `Engine`. This process sees aggregates, and rows only in blocks that it reads from the parts.

    Spark divides every table among its tasks, so that none is divided here: each is one piece.
    """

    is_spark = True
    connection: Any
    session: "SparkSession"
    scratch: Path
    numbers: Iterator[int] = field(default_factory=count)

    def read(self, path: Path, columns: Collection[str] | None = None) -> ir.Table:
        """See `Engine`."""
        from pyspark.errors import PySparkException

        try:
            table = self.connection.read_parquet(_url(path))
        except PySparkException as error:
            raise BakeoffError(f"{path} can't be read ({first_line(error)})") from None
        return table if columns is None else table.select([name for name in table.columns if name in columns])

    def kept(self, name: str, table: ir.Table) -> ir.Table:
        """See `Engine`."""
        path = self.scratch / f"{name}.parquet"
        self.connection.to_parquet_dir(table, _url(path))
        return self.connection.read_parquet(_url(path))

    def blocks(self, table: ir.Table) -> Iterator[pa.Table]:
        """See `Engine`. They go by way of scratch, since Spark would bring all rows to this process at once."""
        path = self.scratch / "blocks.parquet"
        try:
            self._frame(table).write.parquet(_url(path))
            schema = table.schema().to_pyarrow()
            yield from in_blocks(ds.dataset(path, schema, format="parquet").to_batches(), schema)
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def groups(self, table: ir.Table, key: str, columns: Sequence[str]) -> Iterator["DataFrame"]:
        """See `Engine`. Kept, since each expectation asks anew."""
        yield self._frame(self.kept(f"frame-{next(self.numbers)}", table))

    def write(self, rows: Partitioned, path: Path, order: Sequence[str], names: Mapping[str, str], codec: str) -> None:
        """See `Engine`. Parts are ranges of the first column of `order`, so that they are the same in every run."""
        table = rows.whole
        first = table[order[0]]
        (sizes,) = rows_of(table.aggregate(rows=table.count(), last=first.max()))
        path.mkdir()
        if not sizes["rows"]:
            empty = table.select(*names.values()).schema().to_pyarrow().empty_table()
            pq.write_table(empty.rename_columns(list(names)), path / part_name(0), compression=codec)
            return
        num_parts = num_blocks(sizes["rows"])
        width = ceil((sizes["last"] + 1) / num_parts)
        keys = {f"{ORDER}{place}": table[name] for place, name in enumerate(order)}
        unsorted = self._frame(table.select(*names.values(), **{PART: (first // width).cast("int32")}, **keys))
        sorted_rows = unsorted.repartition(num_parts, PART).sortWithinPartitions(PART, *keys).drop(*keys)
        sorted_rows = sorted_rows.toDF(*names, PART)
        unordered = path / "_unordered"
        # One file per part: Spark would begin another one after this many rows.
        writer = sorted_rows.write.option("maxRecordsPerFile", 0).option("compression", codec)
        writer.partitionBy(PART).parquet(_url(unordered))
        for folder in unordered.glob(f"{PART}=*".replace(" ", "*")):
            (file,) = folder.glob("*.parquet")
            file.rename(path / part_name(int(folder.name.rpartition("=")[2])))
        shutil.rmtree(unordered)

    def _frame(self, table: ir.Table) -> "DataFrame":
        return self.session.sql(self.connection.compile(table))


def _url(path: Path) -> str:
    """With its scheme, since a cluster's default may be another file system."""
    return path.resolve().as_uri()
