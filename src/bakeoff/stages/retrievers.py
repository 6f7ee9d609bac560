"""Exported models, loaded for one split."""

from collections.abc import Callable
from pathlib import Path

from bakeoff.errors import BakeoffError
from bakeoff.models.retriever import Retriever
from bakeoff.workspace import Workspace

Load = Callable[[Path], Retriever]
"""Reads a retriever from its directory."""


def load_fitting(workspace: Workspace, model: str, num_items: int, load: Load | None = None) -> Retriever:
    """The retriever of models/<model>, read by `load` or as training exported it.

    Raises:
        BakeoffError: there is no such model, it lacks a file, or its catalogue is not one of `num_items` items.
    """
    retriever = (load or _load_exported)(workspace.model(model))
    found = len(retriever.item_embeddings)
    if found != num_items:
        raise BakeoffError(
            f"{workspace.model(model)} knows {found} items and the split's catalogue has {num_items}: "
            f"the model was trained on another split. Run `bakeoff train {model}` again."
        )
    return retriever


def _load_exported(path: Path) -> Retriever:
    # Imports TensorFlow, which takes seconds: what is wrong with the split is told before that.
    from bakeoff.models.exported import load_retriever

    return load_retriever(path)
