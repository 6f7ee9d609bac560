"""Files of a split, read in batches into arrays and tables that spill to memory-mapped files where they are large."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import Histories, offsets_of
from bakeoff.core.large_tables import parts_of, spilling_columns, spilling_table
from bakeoff.data.features.encoding import EncodedFeatures, TableEncoding

ROWS_PER_BATCH = 1 << 17
"""Rows that are read at once: about 5 MB of events."""

COLUMNS = ("user_index", "item_index", "timestamp")

NO_WEIGHTS = np.zeros(0, np.float32)
"""Of events that all count the same."""

DISLIKES = "dislikes.parquet"
"""File of the vocabulary: what users dislike; written only where the settings know dislikes."""

REPEAT = "is_repeat"
"""Column of the files of a split that keeps repeats, and of no other: whether the user has had the item before."""


def kept(blocks: Iterable[Histories], directory: Path) -> Histories:
    """The rows of all blocks, one block after the other: of many, in files of this directory.

    An event takes 12 bytes, with a weight 16.

    Raises:
        BakeoffError: the disk is full.
    """
    lengths = [np.zeros(0, np.int64)]
    weights: NDArray[np.float32] | None = None
    with spilling_columns(directory, np.int32, np.int64, np.float32) as events:
        for block in blocks:
            lengths.append(block.lengths)
            weights = block.weights
            events.append(block.items, block.timestamps, NO_WEIGHTS if weights is None else weights)
        items, timestamps, found = events.values()
        return Histories(offsets_of(np.concatenate(lengths)), items, timestamps, None if weights is None else found)


def read_histories(path: Path, num_users: int, num_items: int, directory: Path, part: str | None = None) -> Histories:
    """Histories of a file of events that is sorted by user and time, or of a directory of such.

    Args:
        path: Parquet with the columns of COLUMNS, and `weight` where events have weights.
        num_users: of the vocabulary; user_index is the row of a history.
        num_items: likewise.
        directory: where many events are kept.
        part: only events with this value in the column `part`.

    Raises:
        BakeoffError: an event names what is not in the vocabulary, users are not in order, or the disk is full.
        OSError, ValueError: the file can't be read.
    """
    lengths, last = np.zeros(num_users, np.int64), 0
    has_weights = has_column(path, "weight")
    columns = [*COLUMNS, *([] if part is None else ["part"]), *(["weight"] if has_weights else [])]
    with spilling_columns(directory, np.int32, np.int64, np.float32) as events:
        for batch in _batches(path, columns, only=True):
            chosen = batch if part is None else batch.filter(pc.equal(batch["part"], part))
            rows, items, timestamps = (chosen[name].to_numpy(zero_copy_only=False) for name in COLUMNS)
            _refuse_others(path, "user", rows, num_users)
            _refuse_others(path, "item", items, num_items)
            if (np.diff(rows, prepend=last) < 0).any():
                raise mixed_runs(f"{path} is not sorted by user")
            last = int(rows[-1]) if len(rows) else last
            np.add.at(lengths, rows, 1)
            events.append(items, timestamps, chosen["weight"].to_numpy() if has_weights else NO_WEIGHTS)
        items, timestamps, weights = events.values()
        return Histories(offsets_of(lengths), items, timestamps, weights if has_weights else None)


def has_column(path: Path, name: str) -> bool:
    """Whether a Parquet file, or the files of a directory, have a column.

    Raises:
        OSError, ValueError: the file can't be read.
    """
    return name in pq.read_schema(parts_of(path)[0]).names


def read_vocabulary(path: Path, directory: Path) -> pa.Table:
    """A table of users or items; row i has the index i.

    Args:
        path: Parquet, or a directory of such.
        directory: where a large one is kept.

    Raises:
        BakeoffError: the disk is full.
        OSError, ValueError: it can't be read.
    """
    schema = pq.read_schema(parts_of(path)[0]).remove_metadata()
    return spilling_table(_batches(path, schema.names), schema, directory)


def read_features(path: Path, encoding: TableEncoding, directory: Path) -> EncodedFeatures:
    """The encoded features of all users or all items.

    Args:
        path: Parquet, or a directory of such, with the columns of `encoded_features`.
        encoding: says which features there are.
        directory: where many are kept.

    Raises:
        BakeoffError: the disk is full.
        OSError, ValueError: it can't be read.
    """
    sizes = {name: len(values) for name, values in (encoding.tags | encoding.text).items()}
    lengths = {name: [np.zeros(0, np.int64)] for name in sizes}
    num_rows = 0
    with spilling_columns(directory, np.float32, np.int32, *[np.int32] * len(sizes)) as columns:
        for batch in _batches(path, encoding.names):
            num_rows += batch.num_rows
            for name, held in lengths.items():
                held.append(np.diff(batch[name].offsets.to_numpy()).astype(np.int64))
            codes = [batch[name].flatten().to_numpy() for name in sizes]
            numbers = _interleaved(batch, encoding.dense, encoding.vector)
            columns.append(numbers, _interleaved(batch, encoding.categorical, {}), *codes)
        dense, categorical, *of_sets = columns.values()
    sets = [
        csr_array((np.ones(len(codes), np.bool_), codes, offsets_of(np.concatenate(lengths[name]))), (num_rows, size))
        for (name, size), codes in zip(sizes.items(), of_sets, strict=True)
    ]
    dense = dense.reshape(num_rows, encoding.num_dense)
    return encoding.features(dense, categorical.reshape(num_rows, len(encoding.categorical)), sets)


def _batches(path: Path, needed: Iterable[str], only: bool = False) -> Iterator[pa.RecordBatch]:
    """A few rows at a time; `only` the needed columns, or all."""
    columns = list(needed)
    for file in parts_of(path):
        with pq.ParquetFile(file) as source:
            missing = [name for name in columns if name not in source.schema_arrow.names]
            if missing:
                raise ValueError(f"it has no column {missing[0]}, another version wrote it")
            yield from source.iter_batches(ROWS_PER_BATCH, columns=columns if only else None)


def _refuse_others(path: Path, what: str, index: NDArray[np.integer], count: int) -> None:
    """Each index must be one of the vocabulary's; a null one comes as NaN."""
    is_known = (index >= 0) & (index < count)
    if not is_known.all():
        raise mixed_runs(
            f"{path} has an event with {what}_index {index[~is_known][0]}, and the vocabulary has {count} {what}s"
        )


def mixed_runs(what: str) -> BakeoffError:
    """What to say where files of a split do not belong together."""
    return BakeoffError(f"{what}: the files of artifacts/split are of different runs. Run `dvc repro --force split`.")


def _interleaved(batch: pa.RecordBatch, names: Iterable[str], vectors: Mapping[str, int]) -> NDArray[Any]:
    """Values row by row, in the order of these columns; vectors, of so many components, come last."""
    columns = [batch[name].to_numpy() for name in names]
    columns += [batch[name].flatten().to_numpy().reshape(batch.num_rows, size) for name, size in vectors.items()]
    return np.column_stack(columns).ravel() if columns else np.zeros(0, np.int32)
