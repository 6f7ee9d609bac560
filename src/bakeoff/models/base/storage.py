"""Trained models on disk: plain arrays, and what the model knows of items, users and features.

A directory holds `model.json` (name and settings), `arrays/*.npy`, `items.parquet` (item_id and title in the order of
the item indices), `features.json` (how raw features are encoded) and `users.parquet` (what the model was trained on).
A model that can't be trained on the data leaves a `model.json` with the reason and nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import write_json
from bakeoff.core.histories import Histories, Queries, offsets_of
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models import specs
from bakeoff.models.base.loading import EXTRAS
from bakeoff.models.base.retriever import TrainedRetriever
from bakeoff.models.base.spec import resolve

MODEL, ITEMS, FEATURES, USERS = "model.json", "items.parquet", "features.json", "users.parquet"

CATALOGUE = (ITEMS, FEATURES, USERS)
"""Files that an export keeps too."""


@dataclass(frozen=True)
class Stored:
    """What a spec's `load` makes a retriever of.

    Attributes:
        arrays: by name, mapped from their files.
        settings: parameters that were in force in training, as JSON values.
        encoding: how raw features are encoded.
    """

    arrays: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Any]
    encoding: FeatureEncoding


@dataclass(frozen=True)
class KnownUsers:
    """Users that can be asked for by id.

    Attributes:
        rows: id → row of `queries`.
        queries: what each of them has seen, and their features as the model takes them.
    """

    rows: dict[str, int]
    queries: Queries


def write_trained(
    folder: Path, name: str, retriever: TrainedRetriever, settings: Mapping[str, Any], prepared: Prepared
) -> None:
    """Write a trained model into an existing, empty directory.

    Args:
        folder: where the files are written.
        name: of the model.
        retriever: the model.
        settings: parameters that were in force, as JSON values.
        prepared: the split that it was trained on, validation included.
    """
    (folder / "arrays").mkdir()
    for array, values in retriever.arrays().items():
        np.save(folder / "arrays" / f"{array}.npy", values, allow_pickle=False)
    pq.write_table(prepared.items.select(["item_id", "title"]), folder / ITEMS)
    write_json(folder / FEATURES, prepared.encoding.model_dump())
    users = prepared.warm_users
    write_known_users(folder / USERS, prepared.user_ids(users), prepared.queries(prepared.known(), users))
    write_json(folder / MODEL, {"model": name, "settings": dict(settings)})


def write_skipped(folder: Path, name: str, reason: str) -> None:
    """Write that the model was not trained, into an existing, empty directory."""
    write_json(folder / MODEL, {"model": name, "skipped": reason})


def load_trained(folder: Path) -> TrainedRetriever:
    """The retriever that `write_trained` wrote; loads TensorFlow for networks alone.

    Raises:
        BakeoffError: there is no trained model, it was skipped, or a file is damaged.
    """
    try:
        described = json.loads((folder / MODEL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BakeoffError(f"{folder} holds no trained model ({MODEL} is missing): {_again(folder)}.") from None
    except ValueError as error:
        raise BakeoffError(f"{folder / MODEL} can't be read as JSON ({error}): {_again(folder)}.") from None
    if "skipped" in described:
        raise BakeoffError(f"{described['model']} was not trained on this data: {described['skipped']}")
    load = resolve(specs.spec(described["model"]).load)
    try:
        arrays = {
            path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in (folder / "arrays").glob("*.npy")
        }
        encoding = FeatureEncoding.model_validate_json((folder / FEATURES).read_bytes())
        retriever: TrainedRetriever = load(Stored(arrays, described["settings"], encoding))
    except (OSError, ValueError, LookupError, EOFError) as error:
        raise _damaged(folder, error) from None
    return retriever


def read_titles(folder: Path, *, ids_only: bool = False) -> pd.DataFrame:
    """item_id and, unless `ids_only`, title of the catalogue, in the order of the item indices.

    Raises:
        BakeoffError: the file is missing or damaged.
    """
    try:
        return pd.read_parquet(folder / ITEMS, columns=["item_id"] if ids_only else ["item_id", "title"])
    except (OSError, ValueError, LookupError) as error:
        raise _damaged(folder, error) from None


def read_encoding(folder: Path) -> FeatureEncoding:
    """How the model's features are encoded.

    Raises:
        BakeoffError: the file is missing or damaged.
    """
    try:
        return FeatureEncoding.model_validate_json((folder / FEATURES).read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(folder, error) from None


def write_known_users(path: Path, ids: pa.StringArray, queries: Queries) -> None:
    """Write users' ids, histories and encoded features, a row per user."""
    histories = queries.histories
    columns = {"items": histories.items, "timestamps": histories.timestamps}
    lists = {name: pa.LargeListArray.from_arrays(histories.offsets, values) for name, values in columns.items()}
    for name, matrix in (("dense", queries.dense), ("categorical", queries.categorical)):
        offsets = np.arange(len(matrix) + 1) * matrix.shape[1]
        lists[name] = pa.LargeListArray.from_arrays(offsets, np.ascontiguousarray(matrix).ravel())
    pq.write_table(pa.table({"user_id": ids, **lists}), path)


def read_known_users(folder: Path) -> KnownUsers:
    """The users that the model was trained on.

    Raises:
        BakeoffError: the file is missing or damaged.
    """
    try:
        table = pq.read_table(folder / USERS)
        items, times, dense, categorical = (
            table[name].combine_chunks() for name in ("items", "timestamps", "dense", "categorical")
        )
        histories = Histories(
            offsets_of(items.value_lengths().to_numpy()), items.flatten().to_numpy(), times.flatten().to_numpy()
        )
        matrices = (
            values.flatten().to_numpy().reshape(len(table), -1 if len(table) and len(values.flatten()) else 0)
            for values in (dense, categorical)
        )
        rows = {user: row for row, user in enumerate(table["user_id"].to_pylist())}
        return KnownUsers(rows, Queries(histories, *matrices))
    except (OSError, ValueError, LookupError) as error:
        raise _damaged(folder, error) from None


def _damaged(folder: Path, error: Exception) -> BakeoffError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return BakeoffError(f"{folder} can't be read, a file is missing or damaged ({reason}): {_again(folder)}.")


def _again(folder: Path) -> str:
    """What brings the files of models/<name>/trained or of an export back."""
    at = folder.parent if folder.name == EXTRAS else folder
    command = "train" if at.name == "trained" else "export"
    return f"run `bakeoff {command} {at.absolute().parent.name}`, or `dvc checkout --force {at}` if it was made before"
