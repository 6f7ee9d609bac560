"""Trained models in a workspace: written by training, loaded for the split that they were trained on, or skipped."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.loading import extras_of
from bakeoff.models.base.retriever import Retriever, TrainedRetriever
from bakeoff.models.base.storage import load_trained, read_titles, write_skipped, write_trained

Load = Callable[[Path], Retriever]
"""Reads a retriever from its directory."""


def write_model(
    workspace: Workspace,
    model: str,
    retriever: TrainedRetriever,
    prepared: Prepared,
    description: Mapping[str, Any],
) -> None:
    """Write models/<model>/trained, whose files all appear at once, and artifacts/training/<model>.json."""
    with replaced(workspace.trained(model)) as folder:
        write_trained(folder, model, retriever, description["settings"], prepared)
    write_json(workspace.training(model), description)


def skip_training(workspace: Workspace, model: str, reason: str) -> None:
    """Write why a model can't be trained on this data; the other models are compared without it."""
    with replaced(workspace.trained(model)) as folder:
        write_skipped(folder, model, reason)
    write_json(workspace.training(model), {"model": model, "skipped": reason})
    print(f"{model} is skipped: {reason}")


def skip_evaluation(workspace: Workspace, model: str, reason: str) -> None:
    """Write artifacts/evaluation/<model> with nothing but a metrics.json that gives the reason."""
    with replaced(workspace.evaluation(model)) as folder:
        write_json(folder / "metrics.json", {"skipped": reason})
    print(f"{model} is skipped: {reason}")


def why_skipped(workspace: Workspace, model: str) -> str | None:
    """Why training skipped this model; None where it did not, or has not run yet."""
    path = workspace.training(model)
    if not path.exists():
        return None
    try:
        reason = json.loads(path.read_text(encoding="utf-8")).get("skipped")
    except ValueError as error:
        raise BakeoffError(f"{path} can't be read as JSON: {error}. Run `bakeoff train {model}` again.") from None
    return None if reason is None else str(reason)


def refuse_skipped(workspace: Workspace, model: str) -> None:
    """Refuse to use a model that was skipped.

    Raises:
        BakeoffError: gives the reason, and the alternative.
    """
    reason = why_skipped(workspace, model)
    if reason is not None:
        raise BakeoffError(f"{model} was not trained on this data: {reason} Ask another model with --model.")


def load_fitting(workspace: Workspace, model: str, items: pa.Table, load: Load | None = None) -> Retriever:
    """The retriever of models/<model>/trained.

    Args:
        workspace: that holds the models.
        model: name of the model.
        items: the split's catalogue, of which `item_id` is used.
        load: reads the directory in place of `load_trained`.

    Raises:
        BakeoffError: there is no such model, it lacks a file, or its catalogue is not that of the split.
    """
    folder = workspace.trained(model)
    retriever = (load or load_trained)(folder)
    _refuse_other_number(folder, model, len(retriever.item_embeddings), items)
    if load is None:
        _refuse_other_items(folder, model, items, folder)
    return retriever


def refuse_other_catalogue(workspace: Workspace, model: str, num_items: int, items: pa.Table) -> None:
    """Refuse an export of a model that was trained on another split: it would take items for other ones.

    Args:
        workspace: that holds the models.
        model: name of the model.
        num_items: number of items of the export.
        items: the split's catalogue, of which `item_id` is used.

    Raises:
        BakeoffError: another number of items, other items or another order; or the export doesn't list its items.
    """
    folder = workspace.model(model)
    _refuse_other_number(folder, model, num_items, items)
    _refuse_other_items(folder, model, items, extras_of(folder))


def _refuse_other_items(folder: Path, model: str, items: pa.Table, listed_in: Path) -> None:
    theirs = read_titles(listed_in)["item_id"].astype(str).to_numpy()
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
