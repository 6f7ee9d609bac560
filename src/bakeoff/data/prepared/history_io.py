"""Events that are read in batches and kept in files: a history is in memory while somebody looks at it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories, offsets_of
from bakeoff.core.large_tables import parts_of, spilling_columns

ROWS_PER_BATCH = 1 << 18
"""Events that are read at once: about 10 MB."""

COLUMNS = ("user_index", "item_index", "timestamp")


def kept(blocks: Iterable[Histories], directory: Path) -> Histories:
    """The rows of all blocks, one block after the other, at 12 bytes per event: of many, in files of this directory.

    Raises:
        BakeoffError: the disk is full.
    """
    lengths = [np.zeros(0, np.int64)]
    with spilling_columns(directory, np.int32, np.int64) as events:
        for block in blocks:
            lengths.append(block.lengths)
            events.append(block.items, block.timestamps)
        return Histories(offsets_of(np.concatenate(lengths)), *events.values())


def read_histories(path: Path, num_users: int, num_items: int, directory: Path, part: str | None = None) -> Histories:
    """Histories of a file of events that is sorted by user and time, or of a directory of such.

    Args:
        path: Parquet with the columns of COLUMNS.
        num_users: of the vocabulary; user_index is the row of a history.
        num_items: likewise.
        directory: where many events are kept.
        part: only events with this value in the column `part`.

    Raises:
        BakeoffError: an event names what is not in the vocabulary, users are not in order, or the disk is full.
        OSError, ValueError: the file can't be read.
    """
    lengths, last = np.zeros(num_users, np.int64), 0
    with spilling_columns(directory, np.int32, np.int64) as events:
        for batch in _batches(path, part):
            rows, items, timestamps = (batch[name].to_numpy() for name in COLUMNS)
            _refuse_others(path, "user", rows, num_users)
            _refuse_others(path, "item", items, num_items)
            if (np.diff(rows, prepend=last) < 0).any():
                raise BakeoffError(
                    f"{path} is not sorted by user: the files of artifacts/split are of different runs. Run "
                    "`dvc repro --force split`."
                )
            last = max(last, *rows[-1:])
            np.add.at(lengths, rows, 1)
            events.append(items, timestamps)
        return Histories(offsets_of(lengths), *events.values())


def _batches(path: Path, part: str | None) -> Iterator[pa.Table]:
    columns = [*COLUMNS, *([] if part is None else ["part"])]
    for file in parts_of(path):
        with pq.ParquetFile(file) as source:
            missing = [name for name in columns if name not in source.schema_arrow.names]
            if missing:
                raise ValueError(f"it has no column {missing[0]}, another version wrote it")
            for batch in source.iter_batches(ROWS_PER_BATCH, columns=columns):
                table = pa.Table.from_batches([batch])
                yield table if part is None else table.filter(pc.equal(table["part"], part))


def _refuse_others(path: Path, what: str, index: NDArray[np.integer], count: int) -> None:
    """Each index must be one of the vocabulary's; a null one comes as NaN."""
    if not ((index >= 0) & (index < count)).all():
        stranger = index[~((index >= 0) & (index < count))][0]
        raise BakeoffError(
            f"{path} has an event with {what}_index {stranger}, and the vocabulary has {count} {what}s: the files of "
            "artifacts/split are of different runs. Run `dvc repro --force split`."
        )
