"""Reads the formats of the earlier stages; the only module of the report that knows them."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.histories import draw_users
from bakeoff.evaluation.metrics.formulas import FloatArray
from bakeoff.evaluation.stats.intervals import regrouped
from bakeoff.report.accuracy import Column, PerUser

T = TypeVar("T")

MISSING = "an earlier stage has not run. Run `dvc repro`, which runs what is missing"
STEP = "first_interactions"
USERS_AT_ONCE = 1 << 16
"""Users in a block of per-user metrics."""


@dataclass(frozen=True)
class UserSample:
    """Filters that select the users the report looks at; None selects everyone.

    Attributes:
        warm: rows of test users.
        new: rows of new users.
        either: rows of both.
    """

    warm: pc.Expression | None = None
    new: pc.Expression | None = None
    either: pc.Expression | None = None


def read_json(path: Path, missing: str = MISSING, again: str = "dvc repro") -> Any:
    """Content of a JSON file.

    Args:
        path: of the file.
        missing: why it may be missing and what to do about it.
        again: the command that writes it.

    Raises:
        BakeoffError: it does not exist, or can't be read as JSON.
    """
    return _read(path, lambda it: json.loads(it.read_text(encoding="utf-8")), "JSON", missing, again)


def read_optional_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file; empty if there is none, such as a cost that was not measured."""
    return read_json(path) if path.exists() else {}


def read_table(path: Path, rows: pc.Expression | None = None) -> pd.DataFrame:
    """A Parquet file, or the rows of it that a filter selects."""
    return _read(path, lambda it: pd.read_parquet(it, filters=rows))


def read_coded(
    path: Path, coded: Sequence[str], columns: Sequence[str] | None = None, rows: pc.Expression | None = None
) -> pa.Table:
    """A Parquet file whose columns `coded` are dictionaries: each text is in memory once."""
    return _read(path, lambda it: pq.read_table(it, columns=columns, filters=rows, read_dictionary=list(coded)))


def read_sample(folder: Path, most: int, seed: int) -> UserSample:
    """Which users the report looks at: all, or a seeded sample if there are more than `most` warm or new ones.

    Args:
        folder: the evaluation of any model.
        most: users of either kind that are looked at.
        seed: of the sample.
    """
    files = (folder / "users.parquet", folder / "new_users.parquet")
    ids = [read_coded(file, [], ["user_id"])["user_id"].unique() for file in files]
    if max(map(len, ids)) <= most:
        return UserSample()
    drawn = (each.take(draw_users(len(each), most, seed)).cast(pa.string()) for each in ids)
    warm, new = (pc.field("user_id").isin(each) for each in drawn)
    return UserSample(warm, new, warm | new)


def per_user_on_disk(files: dict[str, Path]) -> PerUser:
    """Metrics of all users, read block by block; memory does not grow with their number.

    Args:
        files: model → users.parquet of its evaluation; all with the same users in the same order.
    """

    def blocks(columns: Sequence[Column]) -> Iterator[FloatArray]:
        metrics = {name: [metric for model, metric in columns if model == name] for name, _ in columns}
        order = [(model, metric) for model, names in metrics.items() for metric in names]
        places = [order.index(column) for column in columns]
        tables = (_blocks(files[model], names) for model, names in metrics.items())
        for parts in zip(*tables, strict=True):
            yield np.concatenate(parts, axis=1)[:, places].astype(np.float64)

    return lambda columns: partial(blocks, columns)


def check_same_users(files: dict[str, Path], keys: Sequence[str]) -> None:
    """Check that all models were evaluated on the same users: a paired comparison needs it.

    Args:
        files: model → a table of its evaluation.
        keys: columns that tell the rows of such a table apart.

    Raises:
        BakeoffError: two models differ in their users, or in the order of these.
    """
    for found in zip_longest(*(_blocks(path, keys) for path in files.values())):
        for (name, one), (other, another) in pairwise(zip(files, found, strict=True)):
            if not np.array_equal(one, another):
                raise BakeoffError(
                    f"{other} was evaluated on other {files[other].stem.replace('_', ' ')} than {name}, or in another "
                    "order: their figures can't be compared. Run `dvc repro` so that every model is evaluated on the "
                    "present split."
                )


def _blocks(path: Path, columns: Sequence[str]) -> Iterator[NDArray[Any]]:
    """Blocks [m, c] of a table, USERS_AT_ONCE rows each except the last, whatever its row groups."""

    def batches() -> Iterator[NDArray[Any]]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(USERS_AT_ONCE, columns=list(columns)):
                yield np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in columns], axis=1)

    return regrouped(batches(), USERS_AT_ONCE)


def _read(
    path: Path, read: Callable[[Path], T], kind: str = "Parquet", missing: str = MISSING, again: str = "dvc repro"
) -> T:
    try:
        return read(path)
    except FileNotFoundError:
        raise BakeoffError(f"{path} does not exist: {missing}.") from None
    except (OSError, ValueError) as error:
        raise BakeoffError(f"{path} can't be read as {kind}: {error}. Delete it and run `{again}`.") from None
