"""Exported models, loaded for one split."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.models.base.retriever import Retriever

Load = Callable[[Path], Retriever]
"""Reads a retriever from its directory."""

LISTED = "items.parquet"
"""Of an exported model: its items, in order."""


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
    if load is None or (workspace.model(model) / LISTED).exists():
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
    listed = workspace.model(model) / LISTED
    try:
        theirs, ours = (
            table["item_id"].cast(pa.string()).to_numpy()
            for table in (pq.read_table(listed, columns=["item_id"]), items)
        )
    except (OSError, ValueError, KeyError) as error:
        raise BakeoffError(
            f"{listed}, which says of which items {model} knows, can't be read ({type(error).__name__}: {error}). Run "
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
