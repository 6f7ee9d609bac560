"""The users and the items of a split: their ids and raw features, and the features that models read."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.histories import offsets_of
from bakeoff.core.large_tables import parts_of, spilling_columns, spilling_table
from bakeoff.data.features.encoding import EncodedFeatures, TableEncoding
from bakeoff.data.features.value_sets import ValueSets

ROWS_PER_BATCH = 1 << 16
"""Users or items that are read at once."""


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
        path: Parquet, or a directory of such: what `preparation.encoded` makes.
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
            columns.append(_interleaved(batch, encoding.dense), _interleaved(batch, encoding.categorical), *codes)
        dense, categorical, *of_sets = columns.values()
    sets = [
        ValueSets(offsets_of(np.concatenate(lengths[name])), codes, size)
        for (name, size), codes in zip(sizes.items(), of_sets, strict=True)
    ]
    return EncodedFeatures(
        dense=dense.reshape(num_rows, len(encoding.dense)),
        categorical=categorical.reshape(num_rows, len(encoding.categorical)),
        categorical_sizes=tuple(encoding.categorical_sizes.values()),
        tag_sets=tuple(sets[: len(encoding.tags)]),
        word_sets=tuple(sets[len(encoding.tags) :]),
    )


def _batches(path: Path, needed: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """All columns, a few rows at a time."""
    for file in parts_of(path):
        with pq.ParquetFile(file) as source:
            missing = [name for name in needed if name not in source.schema_arrow.names]
            if missing:
                raise ValueError(f"it has no column {missing[0]}, another version wrote it")
            yield from source.iter_batches(ROWS_PER_BATCH)


def _interleaved(batch: pa.RecordBatch, names: Iterable[str]) -> NDArray[Any]:
    """Values row by row, in the order of these columns."""
    columns = [batch[name].to_numpy() for name in names]
    return np.stack(columns, axis=1).ravel() if columns else np.zeros(0, np.int32)
