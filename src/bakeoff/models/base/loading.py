"""Exported models, loaded again."""

from pathlib import Path
from typing import Any

from bakeoff.core.errors import BakeoffError
from bakeoff.models.base.encoder import EncoderRetriever


def load_serving(path: Path) -> Any:
    """The SavedModel of a `models/<name>` directory; its functions are those of ServingModule.

    Raises:
        BakeoffError: there is no such model, or it lacks a file.
    """
    from bakeoff.models.base.tensorflow import tf

    saved_model = path / "saved_model"
    if not (saved_model / "saved_model.pb").exists():
        raise BakeoffError(
            f"{path} holds no exported model (saved_model/saved_model.pb is missing): "
            f"run `dvc repro train_{path.name}`, or `dvc checkout {path}` if it was trained before."
        )
    try:
        return tf.saved_model.load(str(saved_model))
    except (OSError, tf.errors.OpError, ValueError, LookupError) as error:
        raise BakeoffError(
            f"{saved_model} can't be loaded, a file is missing or damaged: run `dvc checkout --force {path}` "
            f"or `dvc repro train_{path.name}`. TensorFlow says: {str(error).splitlines()[0]}"
        ) from None


def load_retriever(path: Path) -> EncoderRetriever:
    """The retriever of a `models/<name>` directory.

    Raises:
        BakeoffError: there is no such model, or it lacks a file.
    """
    return EncoderRetriever(load_serving(path))
