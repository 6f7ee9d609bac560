"""What Spark and this process hand each other: Parquet parts in scratch, so that neither ever holds all of it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories
from bakeoff.models.mf.blocks import pairs_in_blocks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = pa.schema({"user": pa.int32(), "item": pa.int32()})
"""Row of a user's history and index of an item."""

MOST_ROWS = 1 << 20
"""Of a part, and so of what is in memory at once, in some 10 MB; Spark reads several parts as one task."""

FEWEST_ROWS = 1 << 16
"""Of a part, where there are more: a task for fewer costs more than it does."""

UNREADABLE = "FAILED_READ_FILE"
"""How Spark calls, in the words of any of its errors, that a task found a file missing or could not read it."""


FACTORS_PER_BLOCK = 1 << 16
"""Rows of embeddings that come from executors at once: 16 MiB at d = 64."""


@dataclass(frozen=True)
class Exchange:
    """Events on their way to executors, and embeddings on their way back.

    Attributes:
        pairs: data frame of SCHEMA with a row per event.
        folder: in which executors write.
    """

    pairs: "DataFrame"
    folder: Path

    def blocks(self, factors: "DataFrame") -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        """MLlib's factors, `id` and `features`, block by block and in any order: ids [n] and embeddings [n, d]."""
        with TemporaryDirectory(dir=self.folder) as name:
            parts = Path(name) / "parts"  # Spark refuses a directory that there is
            factors.write.parquet(parts.as_uri())
            for path in sorted(parts.glob("*.parquet")):
                with pq.ParquetFile(path) as part:
                    for block in part.iter_batches(FACTORS_PER_BLOCK, columns=["id", "features"]):
                        values = block["features"].flatten().to_numpy()
                        yield block["id"].to_numpy(), values.reshape(block.num_rows, -1)


@contextmanager
def observed_pairs(histories: Histories, session: "SparkSession", scratch: Path) -> Iterator[Exchange]:
    """A row per event for executors, which can be read until the block ends, however it ends.

    Args:
        histories: of all users.
        session: of Spark.
        scratch: directory for the parts, which driver and executors see under this path.

    Raises:
        BakeoffError: executors can't read the parts.
        OSError: the parts can't be written.
    """
    with TemporaryDirectory(dir=scratch, prefix="pairs-") as name:
        folder = Path(name).resolve()
        pairs = folder / "pairs"
        pairs.mkdir()
        rows = rows_per_part(len(histories.items), session.sparkContext.defaultParallelism)
        write_parts(histories, pairs, rows)
        # With its scheme, since a cluster's default may be another file system.
        frame = session.read.schema("user int, item int").parquet(pairs.as_uri())
        try:
            yield Exchange(frame, folder)
        except Exception as error:
            if UNREADABLE not in str(error):
                raise
            raise BakeoffError(
                f"Executors of Spark can't read {folder}, where this process wrote the events for them: set "
                "engine.scratch to a directory that all of them see under the same path."
            ) from error


def rows_per_part(num_pairs: int, num_cores: int) -> int:
    """So many that each core has a part, within FEWEST_ROWS and MOST_ROWS."""
    return min(max(math.ceil(num_pairs / num_cores), FEWEST_ROWS), MOST_ROWS)


def write_parts(histories: Histories, folder: Path, rows: int) -> None:
    """Write a row per event, in the order of the histories, to files of so many rows; without events, to one of none.

    Raises:
        OSError: a part can't be written.
    """
    for number, (users, items) in enumerate(pairs_in_blocks(histories, rows)):
        part = pa.table({"user": users, "item": items}, SCHEMA)
        pq.write_table(part, folder / f"part-{number:05d}.parquet")
