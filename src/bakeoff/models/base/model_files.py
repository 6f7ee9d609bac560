"""Where a workspace keeps models: written by training, loaded for the split that they were trained on, or skipped."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.retriever import Retriever, TrainedRetriever
from bakeoff.models.base.storage import ITEMS, load_trained, read_titles, write_skipped, write_trained

Load = Callable[[Path], Retriever]
"""Reads a retriever from its directory."""


def write_model(
    workspace: Workspace,
    name: str,
    retriever: TrainedRetriever,
    prepared: Prepared,
    description: Mapping[str, Any],
) -> None:
    """Write models/<name>/trained and artifacts/training/<name>.json.

    Args:
        workspace: where files are.
        name: of the model.
        retriever: the model.
        prepared: the split that it was trained on.
        description: how it was trained; `settings` is kept with the model, too.
    """
    with replaced(workspace.trained(name)) as folder:
        write_trained(folder, name, retriever, description["settings"], prepared)
        write_json(workspace.training(name), description)  # here: a kill leaves both whole, or neither


def skip_training(workspace: Workspace, model: str, reason: str) -> None:
    """Write why the model was not trained, in place of the model and of how it was trained."""
    with replaced(workspace.trained(model)) as folder:
        write_skipped(folder, model, reason)
        write_json(workspace.training(model), {"model": model, "skipped": reason})
    print(f"{model} is skipped: {reason}")


def load_fitting(workspace: Workspace, model: str, items: pa.Table, load: Load | None = None) -> Retriever:
    """The retriever of models/<model>, which was trained on this catalogue.

    Args:
        workspace: where models are.
        model: name of the model.
        items: the split's catalogue, of which `item_id` is looked at.
        load: reads the directory of a trained model; `load_trained` if None.

    Raises:
        BakeoffError: there is no such model, it lacks a file, or its catalogue is not that of the split.
    """
    folder = workspace.trained(model)
    retriever = (load or load_trained)(folder)
    if load is None or (folder / ITEMS).exists():
        refuse_other_catalogue(folder, model, len(retriever.item_embeddings), items)
    else:
        _refuse_other_number(folder, model, len(retriever.item_embeddings), items)
    return retriever


def refuse_other_catalogue(folder: Path, model: str, num_items: int, items: pa.Table) -> None:
    """A model that was trained on another split would take the items of this one for others.

    Args:
        folder: with the model's items.parquet.
        model: name of the model.
        num_items: of the model.
        items: the split's catalogue, of which `item_id` is looked at.

    Raises:
        BakeoffError: another number of items, or other ones, or in another order; or it does not say which.
    """
    _refuse_other_number(folder, model, num_items, items)
    theirs = read_titles(folder, ids_only=True)["item_id"].astype(str).to_numpy()
    ours = items["item_id"].cast(pa.string()).to_numpy()
    differ = (theirs != ours).nonzero()[0] if len(theirs) == len(ours) else [0]
    if len(differ):
        first = differ[0]
        raise BakeoffError(
            f"{folder} has other items than the split's catalogue, item {theirs[first]!r} where that has "
            f"{ours[first]!r}: {_again(model)}"
        )


def _refuse_other_number(folder: Path, model: str, num_items: int, items: pa.Table) -> None:
    if num_items != len(items):
        raise BakeoffError(
            f"{folder} knows {num_items} items and the split's catalogue has {len(items)}: {_again(model)}"
        )


def _again(model: str) -> str:
    return f"the model was trained on another split. Run `bakeoff train {model}` again."


def why_skipped(workspace: Workspace, model: str) -> str | None:
    """Why training skipped this model; None where it did not, or has not run yet.

    Raises:
        BakeoffError: the description of the training can't be read.
    """
    path = workspace.training(model)
    if not path.exists():
        return None
    try:
        reason = json.loads(path.read_text(encoding="utf-8")).get("skipped")
    except ValueError as error:
        raise BakeoffError(f"{path} can't be read as JSON: {error}. Run `bakeoff train {model}` again.") from None
    return None if reason is None else str(reason)


def refuse_skipped(workspace: Workspace, model: str) -> None:
    """Refuse to ask a model that was skipped.

    Raises:
        BakeoffError: says why it was, and what can be asked instead.
    """
    reason = why_skipped(workspace, model)
    if reason is not None:
        raise BakeoffError(f"{model} was not trained on this data: {reason} Ask another model with --model.")
