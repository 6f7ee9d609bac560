"""Directories of models: written by training, loaded for the split that they were trained on, or left empty."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.retriever import Retriever

Load = Callable[[Path], Retriever]
"""Reads a retriever from its directory."""

ITEMS = "items.parquet"
"""Of a model: its items, in order."""


def write_model(
    workspace: Workspace, name: str, encoder: Any, prepared: Prepared, description: Mapping[str, Any]
) -> None:
    """Write models/<name>: SavedModel, titles, feature encoding and training.json; all appear at once."""
    from bakeoff.models.base.export import Catalogue, ServingModule, export

    users = prepared.warm_users
    catalogue = Catalogue(
        item_ids=prepared.item_ids.to_pylist(),
        user_ids=prepared.user_ids(users).to_pylist(),
        queries=prepared.queries(prepared.known(), users),
        encoding=prepared.encoding,
    )
    with replaced(workspace.model(name)) as folder:
        export(ServingModule(encoder, catalogue), str(folder / "saved_model"))
        pq.write_table(prepared.items.select(["item_id", "title"]), folder / ITEMS)
        write_json(folder / "features.json", prepared.encoding.model_dump())
        write_json(folder / "training.json", description)


def load_fitting(workspace: Workspace, model: str, items: pa.Table, load: Load | None = None) -> Retriever:
    """The retriever of models/<model>, read by `load` or as training exported it.

    Args:
        workspace: where models lie.
        model: name of the model.
        items: the split's catalogue, of which `item_id` is looked at.
        load: reads the directory of a model.

    Raises:
        BakeoffError: there is no such model, it lacks a file, or its catalogue is not that of the split.
    """
    retriever = (load or _load_exported)(workspace.model(model))
    if load is None or (workspace.model(model) / ITEMS).exists():
        refuse_other_catalogue(workspace, model, len(retriever.item_embeddings), items)
    else:
        _refuse_other_number(workspace, model, len(retriever.item_embeddings), items)
    return retriever


def refuse_other_catalogue(workspace: Workspace, model: str, num_items: int, items: pa.Table) -> None:
    """A model that was trained on another split would be asked for items that it takes for others.

    Args:
        workspace: where models lie.
        model: name of the model.
        num_items: that its export knows.
        items: the split's catalogue, of which `item_id` is looked at.

    Raises:
        BakeoffError: another number of items, or other ones, or in another order; or it does not say which.
    """
    _refuse_other_number(workspace, model, num_items, items)
    items_file = workspace.model(model) / ITEMS
    try:
        theirs, ours = (
            table["item_id"].cast(pa.string()).to_numpy()
            for table in (pq.read_table(items_file, columns=["item_id"]), items)
        )
    except (OSError, ValueError, KeyError) as error:
        raise BakeoffError(
            f"{items_file}, which says of which items {model} knows, can't be read ({type(error).__name__}: {error}). Run "
            f"`bakeoff train {model}` again."
        ) from None
    differ = (theirs != ours).nonzero()[0] if len(theirs) == len(ours) else [0]
    if len(differ):
        first = differ[0]
        raise BakeoffError(
            f"{workspace.model(model)} has other items than the split's catalogue, item {theirs[first]!r} where that "
            f"has {ours[first]!r}: {_again(model)}"
        )


def _refuse_other_number(workspace: Workspace, model: str, num_items: int, items: pa.Table) -> None:
    if num_items != len(items):
        raise BakeoffError(
            f"{workspace.model(model)} knows {num_items} items and the split's catalogue has {len(items)}: "
            f"{_again(model)}"
        )


def _again(model: str) -> str:
    return f"the model was trained on another split. Run `bakeoff train {model}` again."


def _load_exported(path: Path) -> Retriever:
    # Imports TensorFlow, which takes seconds: what is wrong with the split is told before that.
    from bakeoff.models.base.loading import load_retriever

    return load_retriever(path)


def skip_training(workspace: Workspace, model: str, reason: str) -> None:
    """Leave models/<model> with nothing but a training.json that says why."""
    with replaced(workspace.model(model)) as folder:
        write_json(folder / "training.json", {"model": model, "skipped": reason})
    print(f"{model} is skipped: {reason}")


def skip_evaluation(workspace: Workspace, model: str, reason: str) -> None:
    """Leave artifacts/evaluation/<model> with nothing but a metrics.json that says why."""
    with replaced(workspace.evaluation(model)) as folder:
        write_json(folder / "metrics.json", {"skipped": reason})
    print(f"{model} is skipped: {reason}")


def why_skipped(workspace: Workspace, model: str) -> str | None:
    """Why training skipped this model; None where it did not, or has not run yet."""
    path = workspace.model(model) / "training.json"
    if not path.exists():
        return None
    try:
        reason = json.loads(path.read_text(encoding="utf-8")).get("skipped")
    except ValueError as error:
        raise BakeoffError(f"{path} can't be read as JSON: {error}. Run `dvc repro --force train_{model}`.") from None
    return None if reason is None else str(reason)


def refuse_skipped(workspace: Workspace, model: str) -> None:
    """Refuse to ask a model that was skipped.

    Raises:
        BakeoffError: says why it was, and what can be asked instead.
    """
    reason = why_skipped(workspace, model)
    if reason is not None:
        raise BakeoffError(f"{model} was not trained on this data: {reason} Ask another model with --model.")
