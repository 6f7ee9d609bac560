"""Events that are read in batches and kept in files: a history is in memory while somebody looks at it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
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
from bakeoff.preparation.histories import Histories, offsets_of
from bakeoff.stages.files import told_of_a_full_disk

ROWS_PER_BATCH = 1 << 18
"""Events that are read at once: about 10 MB."""

MOST_IN_MEMORY = 1 << 26
"""Bytes, of 5 million events: fewer need no file, and can be read where the disk is full."""

COLUMNS = ("user_id", "item_id", "timestamp")


def kept(blocks: Iterable[Histories], directory: Path) -> Histories:
    """The rows of all blocks, one block after the other, at 12 bytes per event: of many, in files of this directory.

    Raises:
        BakeoffError: the disk is full.
    """
    lengths = [np.zeros(0, np.int64)]
    with _events(directory) as events:
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
        directory: where many events are kept.
        part: only events with this value in the column `part`.

    Raises:
        BakeoffError: an event names what is not in the vocabulary, users are not in order, or the disk is full.
        OSError, ValueError: the file can't be read.
    """
    lengths, last = np.zeros(len(users), np.int64), 0
    with _events(directory) as events:
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
    """Items and timestamps one after the other: in memory as long as they are few, then in files that are mapped."""

    def __init__(self, new_file: Callable[[], IO[bytes]]) -> None:
        self._new_file = new_file
        self._columns = (_Column(np.int32), _Column(np.int64))

    def append(self, items: NDArray[np.integer], timestamps: NDArray[np.integer]) -> None:
        for column, values in zip(self._columns, (items, timestamps), strict=True):
            column.append(values)
        if self._columns[0].file is None and sum(column.bytes for column in self._columns) > MOST_IN_MEMORY:
            for column in self._columns:
                column.move_to(self._new_file())

    def histories(self, lengths: NDArray[np.int64]) -> Histories:
        """Of rows of these lengths, which hold what was appended."""
        return Histories(offsets_of(lengths), *(column.values() for column in self._columns))


class _Column:
    """Numbers of one type."""

    def __init__(self, dtype: Any) -> None:
        self.file: IO[bytes] | None = None
        self.bytes = 0
        self._dtype = dtype
        self._held = [np.zeros(0, dtype)]

    def append(self, values: NDArray[np.integer]) -> None:
        added = np.ascontiguousarray(values, self._dtype)
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
        self.file.flush()
        # A plain array of the mapping: np.memmap costs with each slice.
        return np.asarray(np.memmap(self.file, self._dtype, mode="r"))


@contextmanager
def _events(directory: Path) -> Iterator[_Events]:
    """The files have no name: they are gone with the process, however it ends."""
    with told_of_a_full_disk(directory), ExitStack() as files:
        yield _Events(lambda: files.enter_context(TemporaryFile(dir=directory)))
