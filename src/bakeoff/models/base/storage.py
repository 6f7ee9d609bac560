"""Trained models on disk: plain arrays, and what the model knows of items, users and features.

A directory `models/<name>/trained` holds `model.json` (name and settings), `arrays/*.npy`, `items.parquet` (item_id,
title and raw features in the order of the item indices), `features.json` (how raw features are encoded) and
`users.parquet` (what the model was trained on). A model that can't be trained on the data leaves a `model.json` with
the reason and nothing else.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.files import replaced, write_json
from bakeoff.core.histories import Histories, Queries, offsets_of
from bakeoff.core.workspace import Workspace
from bakeoff.data.features.encoding import FeatureEncoding
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base import specs
from bakeoff.models.base.list_options import filterable
from bakeoff.models.base.loading import EXTRAS
from bakeoff.models.base.retriever import Retriever, TrainedRetriever

MODEL, ITEMS, FEATURES, USERS = "model.json", "items.parquet", "features.json", "users.parquet"

_REPEATS = "keeps_repeats"
"""Key of the metadata of users.parquet, there where it holds."""

CATALOGUE = (ITEMS, FEATURES, USERS)
"""Files that an export keeps too."""


@dataclass(frozen=True)
class StoredModel:
    """Content of a stored model, from which a spec's `load` makes a retriever.

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
    """Users for whom recommendations can be requested by id.

    Attributes:
        rows: id → row of `queries`.
        queries: what each of them has seen, and their features as the model takes them.
        keeps_repeats: `split.keep_repeats`: whether lists hold what they have seen, unless a request says otherwise.
    """

    rows: dict[str, int]
    queries: Queries
    keeps_repeats: bool = False

    def left_out(self, histories: Histories, exclude_seen: bool | None) -> Histories:
        """What lists for these histories must not contain: all of them or nothing; None: as the model was evaluated."""
        leaves_out = not self.keeps_repeats if exclude_seen is None else exclude_seen
        return histories if leaves_out else histories.first(0)


def write_model(
    workspace: Workspace,
    name: str,
    retriever: TrainedRetriever,
    prepared: Prepared,
    description: Mapping[str, Any],
    start: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write models/<name>/trained and artifacts/training/<name>.json.

    Args:
        workspace: where files are.
        name: of the model.
        retriever: the model.
        prepared: the split that it was trained on, validation included.
        description: how it was trained; `settings`, parameters as JSON values, is kept with the model, too.
        start: what the next training can start from; None: nothing is kept for it.
    """
    with replaced(workspace.trained(name)) as folder:
        (folder / "arrays").mkdir()
        for array, values in retriever.arrays().items():
            np.save(folder / "arrays" / f"{array}.npy", values, allow_pickle=False)
        if start is not None:
            np.savez(folder / workspace.start(name).name, allow_pickle=False, **start)
        columns = dict.fromkeys(["item_id", "title", *filterable(prepared.encoding.item)])
        pq.write_table(prepared.items.select([*columns]), folder / ITEMS)
        write_json(folder / FEATURES, prepared.encoding.model_dump())
        users = prepared.warm_users
        queries = prepared.queries(prepared.known(), users)
        write_known_users(folder / USERS, prepared.user_ids(users), queries, prepared.keeps_repeats)
        write_json(folder / MODEL, {"model": name, "settings": dict(description["settings"])})
        write_json(workspace.training(name), description)  # here: a kill leaves both whole, or neither


def skip_training(workspace: Workspace, model: str, reason: str) -> None:
    """Write why the model was not trained, in place of the model and of how it was trained."""
    with replaced(workspace.trained(model)) as folder:
        write_skipped(folder, model, reason)
        write_json(workspace.training(model), {"model": model, "skipped": reason})
    print(f"{model} is skipped: {reason}")


def write_skipped(folder: Path, name: str, reason: str) -> None:
    """Write that the model was not trained, into an existing, empty directory."""
    write_json(folder / MODEL, {"model": name, "skipped": reason})


def why_skipped(workspace: Workspace, model: str) -> str | None:
    """Why training skipped this model; None where it did not, or has not run yet.

    Raises:
        BakeoffError: the description of the training can't be read.
    """
    path = workspace.training(model)
    if not path.exists():
        return None
    with reading(path, f"run `bakeoff train {model}` again", ValueError):
        reason = json.loads(path.read_text(encoding="utf-8")).get("skipped")
    return None if reason is None else str(reason)


def refuse_skipped(workspace: Workspace, model: str) -> None:
    """Refuse a model that was skipped.

    Raises:
        BakeoffError: says why it was, and to choose another model.
    """
    reason = why_skipped(workspace, model)
    if reason is not None:
        raise BakeoffError(f"{model} was not trained on this data: {reason} Ask another model with --model.")


def load_trained(folder: Path) -> TrainedRetriever:
    """The retriever that `write_model` wrote; loads TensorFlow for networks alone.

    Raises:
        BakeoffError: there is no trained model, it was skipped, or a file is damaged.
    """
    name, stored = read_stored(folder)
    load: Callable[[StoredModel], TrainedRetriever] = specs.resolve(specs.spec(name).load)
    with _reading(folder):
        return load(stored)


def read_stored(folder: Path) -> tuple[str, StoredModel]:
    """Name and content of what `write_model` wrote.

    Raises:
        BakeoffError: as `load_trained`.
    """
    if not (folder / MODEL).exists():
        raise BakeoffError(f"{folder} holds no trained model ({MODEL} is missing): {_again(folder)}.")
    with _reading(folder):
        described = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        if "skipped" in described:
            raise BakeoffError(f"{described['model']} was not trained on this data: {described['skipped']}")
        paths = (folder / "arrays").glob("*.npy")
        arrays = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in paths}
        return described["model"], StoredModel(arrays, described["settings"], read_encoding(folder))


def load_fitting(workspace: Workspace, model: str, items: pa.Table) -> Retriever:
    """The retriever of models/<model>, which was trained on this catalogue.

    Args:
        workspace: where models are.
        model: name of the model.
        items: the split's catalogue; only `item_id` is used.

    Raises:
        BakeoffError: there is no such model, it lacks a file, or its catalogue is not that of the split.
    """
    folder = workspace.trained(model)
    retriever = load_trained(folder)
    refuse_other_catalogue(folder, model, len(retriever.item_embeddings), items)
    return retriever


def refuse_other_catalogue(folder: Path, model: str, num_items: int, items: pa.Table) -> None:
    """Refuse a model of another split, which would take the items of this one for others.

    Args:
        folder: with the model's items.parquet.
        model: name of the model.
        num_items: of the model.
        items: the split's catalogue; only `item_id` is used.

    Raises:
        BakeoffError: the items or their order differ, or items.parquet can't be read.
    """
    again = f"the model was trained on another split. Run `bakeoff train {model}` again."
    if num_items != len(items):
        raise BakeoffError(f"{folder} knows {num_items} items and the split's catalogue has {len(items)}: {again}")
    theirs = read_items(folder, ids_only=True)["item_id"].astype(str).to_numpy()
    ours = items["item_id"].cast(pa.string()).to_numpy()
    differ = (theirs != ours).nonzero()[0] if len(theirs) == len(ours) else [0]
    if len(differ):
        first = differ[0]
        raise BakeoffError(
            f"{folder} has other items than the split's catalogue, item {theirs[first]!r} where that has "
            f"{ours[first]!r}: {again}"
        )


def read_items(folder: Path, *, ids_only: bool = False) -> pd.DataFrame:
    """item_id and, unless `ids_only`, title (`titled`) and raw features of the catalogue, in the order of item indices.

    Models of older versions were stored without the features.

    Raises:
        BakeoffError: the file is missing or damaged.
    """
    with _reading(folder):
        items = pd.read_parquet(folder / ITEMS, columns=["item_id"] if ids_only else None)
        return items if ids_only else titled(items)


def titled(items: pd.DataFrame) -> pd.DataFrame:
    """The items, one whose title is not known by its id."""
    return items.assign(title=items["title"].fillna(items["item_id"]))


def read_encoding(folder: Path) -> FeatureEncoding:
    """How the model's features are encoded.

    Raises:
        BakeoffError: the file is missing or damaged.
    """
    with _reading(folder):
        return FeatureEncoding.model_validate_json((folder / FEATURES).read_bytes())


def write_known_users(path: Path, ids: pa.StringArray, queries: Queries, keeps_repeats: bool = False) -> None:
    """Write users' ids, histories and encoded features, a row per user, and see KnownUsers for `keeps_repeats`."""
    histories = queries.histories
    columns = {"items": histories.items, "timestamps": histories.timestamps}
    lists = {name: pa.LargeListArray.from_arrays(histories.offsets, values) for name, values in columns.items()}
    for name, matrix in (("dense", queries.dense), ("categorical", queries.categorical)):
        offsets = np.arange(len(matrix) + 1) * matrix.shape[1]
        lists[name] = pa.LargeListArray.from_arrays(offsets, np.ascontiguousarray(matrix).ravel())
    pq.write_table(pa.table({"user_id": ids, **lists}, metadata={_REPEATS: "true"} if keeps_repeats else None), path)


def read_known_users(folder: Path) -> KnownUsers:
    """The users that the model was trained on.

    Raises:
        BakeoffError: the file is missing or damaged.
    """
    with _reading(folder):
        table = pq.read_table(folder / USERS)
        lists = [table[name].combine_chunks() for name in ("items", "timestamps", "dense", "categorical")]
        items, times, dense, categorical = (values.flatten().to_numpy() for values in lists)
        histories = Histories(offsets_of(lists[0].value_lengths().to_numpy()), items, times)
        matrices = (each.reshape(len(table), -1 if len(each) else 0) for each in (dense, categorical))
        rows = {user: row for row, user in enumerate(table["user_id"].to_pylist())}
        keeps_repeats = _REPEATS.encode() in (table.schema.metadata or {})
        return KnownUsers(rows, Queries(histories, *matrices), keeps_repeats)


def _reading(folder: Path) -> AbstractContextManager[None]:
    """Turn the errors of missing and damaged files into a BakeoffError."""
    return reading(f"A file of {_part(folder)}", _again(folder), OSError, ValueError, LookupError, EOFError)


def _again(folder: Path) -> str:
    """The command that restores the files of models/<name>/trained or of an export."""
    at = _part(folder)
    command = "train" if at.name == "trained" else "export"
    return f"run `bakeoff {command} {at.absolute().parent.name}`, or `dvc checkout --force {at}` if it was made before"


def _part(folder: Path) -> Path:
    """The directory that a stage makes, of which the EXTRAS of an export are a part."""
    return folder.parent if folder.name == EXTRAS else folder
