"""Events that are read in batches and kept in files: a history is in memory while somebody looks at it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.errors import BakeoffError
from bakeoff.preparation.histories import Histories
from bakeoff.stages.files import told_of_a_full_disk

ROWS_PER_BATCH = 1 << 18
"""Events that are read at once: about 10 MB."""

COLUMNS = ("user_id", "item_id", "timestamp")


def kept(blocks: Iterable[Histories], directory: Path) -> Histories:
    """The rows of all blocks, one block after the other, at 12 bytes per event in files of this directory.

    The files have no name: they are gone with the process, however it ends.

    Raises:
        BakeoffError: the disk is full.
    """
    lengths = [np.zeros(0, np.int64)]
    with _nameless(directory) as events:
        for block in blocks:
            lengths.append(block.lengths)
            events.append(block.items, block.timestamps)
        return events.histories(np.concatenate(lengths))


def read_histories(path: Path, users: pd.Index, items: pd.Index, directory: Path, part: str | None = None) -> Histories:
    """Histories of a file of events that is sorted by user and time, or of a directory of such.

    Args:
        path: Parquet with the columns of COLUMNS.
        users: ids; the place of an id is the row of its history.
        items: ids; the place of an id is the index of the item.
        directory: where the events are kept.
        part: only events with this value in the column `part`.

    Raises:
        BakeoffError: an event names what is not in the vocabulary, users are not in order, or the disk is full.
        OSError, ValueError: the file can't be read.
    """
    lengths, last = np.zeros(len(users), np.int64), 0
    with _nameless(directory) as events:
        for batch in _batches(path, part):
            rows = _places(batch["user_id"], users)
            if (np.diff(rows, prepend=last) < 0).any():
                raise BakeoffError(
                    f"{path} is not sorted by user: the files of artifacts/split are of different runs. Run "
                    "`dvc repro --force split`."
                )
            last = max(last, *rows[-1:])
            np.add.at(lengths, rows, 1)
            events.append(_places(batch["item_id"], items), batch["timestamp"].to_numpy())
        return events.histories(lengths)


def _batches(path: Path, part: str | None) -> Iterator[pa.Table]:
    columns = [*COLUMNS, *([] if part is None else ["part"])]
    for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
        with pq.ParquetFile(file, read_dictionary=["user_id", "item_id"]) as source:
            for batch in source.iter_batches(ROWS_PER_BATCH, columns=columns):
                table = pa.Table.from_batches([batch])
                yield table if part is None else table.filter(pc.equal(table["part"], part))


def _places(column: pa.ChunkedArray, vocabulary: pd.Index) -> NDArray[np.int64]:
    """Where the ids stand in the vocabulary; each different one is looked up once."""
    coded = column.combine_chunks()
    ids = coded.dictionary.to_pandas()
    place = vocabulary.get_indexer(ids)
    codes = coded.indices.to_numpy()
    found: NDArray[np.int64] = place[codes]
    if (found < 0).any():
        stranger = ids.iloc[codes[found < 0][0]]
        raise BakeoffError(
            f"{vocabulary.name} {stranger!r} has events but is not in the vocabulary: the files of artifacts/split "
            "are of different runs. Run `dvc repro split`."
        )
    return found


class _Events:
    """Items and timestamps that are written one after the other, then mapped."""

    def __init__(self, items: IO[bytes], timestamps: IO[bytes]) -> None:
        self._items, self._timestamps = items, timestamps

    def append(self, items: NDArray[np.integer], timestamps: NDArray[np.integer]) -> None:
        self._items.write(np.ascontiguousarray(items, np.int32).data)
        self._timestamps.write(np.ascontiguousarray(timestamps, np.int64).data)

    def histories(self, lengths: NDArray[np.int64]) -> Histories:
        """Of rows of these lengths, which hold what was appended."""
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return Histories(offsets, _mapped(self._items, np.int32), _mapped(self._timestamps, np.int64))


@contextmanager
def _nameless(directory: Path) -> Iterator[_Events]:
    with told_of_a_full_disk(directory), TemporaryFile(dir=directory) as items, TemporaryFile(dir=directory) as times:
        yield _Events(items, times)


def _mapped(file: IO[bytes], dtype: Any) -> NDArray[Any]:
    """What is in a file, which may be closed then."""
    file.flush()
    if file.tell() == 0:  # nothing can't be mapped
        return np.zeros(0, dtype)
    # A plain array of the mapping: np.memmap costs with each slice.
    return np.asarray(np.memmap(file, dtype, mode="r"))
