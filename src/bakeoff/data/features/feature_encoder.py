"""Fits the encoding of features and applies it, on any engine: aggregates, or blocks of rows, come to this process."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.data.engine.engine import Engine, part_name
from bakeoff.data.features.encoding import TAG_SEPARATOR, FeatureEncoding, Scale, TableEncoding, is_known
from bakeoff.data.features.value_sets import count_words, most_common

Blocks = Callable[[ir.Table], Iterator[pa.Table]]
"""The rows of a table in pieces."""


def fit_features(
    users: ir.Table, items: ir.Table, user_features: Mapping[str, str], item_features: Mapping[str, str], blocks: Blocks
) -> FeatureEncoding:
    """Learn scales and values.

    Of a dense feature come its distinct values with their counts, of a categorical one and of tags their values; the
    texts of a text feature pass by in blocks.

    Args:
        users: raw feature columns of warm users only: nothing is learned from people who count as new.
        items: raw feature columns of the whole catalogue.
        user_features: feature name → `dense`, `categorical` or `vector`.
        item_features: feature name → `dense`, `categorical`, `tags`, `text` or `vector`.
        blocks: how texts are read.

    Raises:
        BakeoffError: a declared feature has no column, or was of another kind when the rows were validated.
    """
    return FeatureEncoding(
        user=_fit_table(users, user_features, "users", blocks), item=_fit_table(items, item_features, "items", blocks)
    )


def _fit_table(table: ir.Table, features: Mapping[str, str], name: str, blocks: Blocks) -> TableEncoding:
    missing = [feature for feature in features if feature not in table.columns]
    if missing:
        raise BakeoffError(
            f"The {name} table has no column {missing[0]!r}, which data.{name[:-1]}_features in params.yaml declares. "
            f"Its columns are {', '.join(map(str, table.columns))}: correct the name there, or remove the feature."
        )
    types = {"dense": "is_numeric", "vector": "is_array"}  # as validation stores them; all others are texts
    if other := [f for f, kind in features.items() if not getattr(table[f].type(), types.get(kind, "is_string"))()]:
        raise BakeoffError(
            f"The column {other[0]!r} of the {name} was validated when data.{name[:-1]}_features in params.yaml had "
            f"another kind of it than {features[other[0]]}: run `bakeoff validate`."
        )
    kinds = ("dense", "categorical", "tags", "text", "vector")
    of_kind = {kind: [f for f, k in features.items() if k == kind] for kind in kinds}
    return TableEncoding(
        dense={f: _scale(table[f]) for f in of_kind["dense"]},
        categorical={f: tuple(sorted(filter(None, _distinct(table[f])))) for f in of_kind["categorical"]},
        tags={f: _tags(table[f]) for f in of_kind["tags"]},
        text={f: _words(table.select(f), blocks) for f in of_kind["text"]},
        vector={f: int(table[f].length().max().to_pyarrow().as_py() or 0) for f in of_kind["vector"]},
    )


def _distinct(column: ir.Column) -> list[str | None]:
    return list(column.name("value").as_table().distinct().to_pyarrow()["value"].to_pylist())


def _tags(column: ir.StringColumn) -> tuple[str, ...]:
    # To Spark a separator is a pattern anyway. White space is taken off here: engines differ in what they call so.
    parts = column.re_split(f"[{TAG_SEPARATOR}]").unnest()
    tags = {tag.strip() for tag in _distinct(parts) if tag is not None}
    return tuple(sorted(tags - {""}))


def _words(texts: ir.Table, blocks: Blocks) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    for block in blocks(texts):
        counts.update(count_words(block.column(0).to_pandas()))
    return most_common(counts)


def _scale(column: ir.NumericColumn) -> Scale:
    counted = column.cast("float64").name("value").as_table().group_by("value").aggregate(times=ibis._.count())
    rows = counted.to_pyarrow().to_pandas()
    values = rows["value"].to_numpy(np.float64, na_value=np.nan)
    known = is_known(values)
    return fit_scale(values[known], rows["times"].to_numpy(np.int64)[known])


def fit_scale(values: NDArray[np.float64], times: NDArray[np.int64]) -> Scale:
    """Mean and deviation of values that each occur some times, rounded once: the same whatever adds them up.

    Args:
        values: [n], such as a float32 holds, so that no square overflows.
        times: [n], 1 or more.
    """
    if len(values) == 0:
        return Scale(mean=0.0, std=1.0)
    mean = _sum(values, times) / int(times.sum())
    std = math.sqrt(_sum((values - mean) ** 2, times) / int(times.sum()))
    # Equal values leave a rounding error of the mean as their deviation, which must not be blown up to 1.
    constant = values.min() == values.max()
    return Scale(mean=mean, std=1.0 if constant or std == 0 else std)


def _sum(values: NDArray[np.float64], times: NDArray[np.int64]) -> float:
    """Exactly rounded: a product with a power of two is exact, and fsum rounds once."""
    powers = range(int(times.max()).bit_length())
    return math.fsum(chain.from_iterable(values[times >> power & 1 == 1] * 2.0**power for power in powers))


def encoded_features(engine: Engine, table: ir.Table, index: str, encoding: TableEncoding) -> ir.Table:
    """One row per user or item, in the engine's scratch; encoded block by block.

    The functions that encode are those with which a server encodes a person whom no table has.

    Args:
        engine: gives the rows and keeps what is made of them.
        table: has the raw columns.
        index: name of the column with their index; unique within the engine.
        encoding: as it was fitted.

    Returns:
        the index, and a column per feature under its name: float32 where it is dense, int32 where it is categorical,
        list<int32> of tags and words, list<float32> of vectors; the columns of `EncodedFeatures`. No value is null.
    """
    types = dict.fromkeys(encoding.dense, "float64") | dict.fromkeys(encoding.vector, "array<float32>")
    raw = table.select(index, **{name: table[name].cast(types.get(name, "string")) for name in encoding.names})
    folder = engine.scratch / f"{index}_features.parquet"
    folder.mkdir()
    for number, block in enumerate(engine.blocks(raw)):
        columns = {index: block[index], **encoding.encode_columns(block.to_pandas())}
        pq.write_table(pa.table(columns), folder / part_name(number))
    return engine.read(folder)
