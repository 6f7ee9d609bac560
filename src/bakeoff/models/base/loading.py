"""Exported models: where their files are, how they are loaded, and the raw features that they take."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.data.features.encoding import TableEncoding
from bakeoff.data.features.value_sets import components

EXTRAS = "assets.extra"
"""Directory of a SavedModel with the items, features and users that a server reads."""


def saved_model_of(folder: Path) -> Path:
    """The SavedModel of a directory: the directory itself, or `saved_model` in it.

    The registry hands out the former, `models/<name>` is the latter.
    """
    inner = folder / "saved_model"
    return inner if inner.is_dir() else folder


def extras_of(folder: Path) -> Path:
    """Where items.parquet, features.json and the users of an export are."""
    return saved_model_of(folder) / EXTRAS


def graph_bytes(folder: Path) -> int:
    """Size of the graph and its variables, without the EXTRAS."""
    saved_model = saved_model_of(folder)
    files = (file for file in saved_model.rglob("*") if EXTRAS not in file.relative_to(saved_model).parts)
    return sum(file.stat().st_size for file in files if file.is_file())


def _name_of(folder: Path) -> str:
    """The model's name, by its directory."""
    return folder.absolute().parent.name if folder.name == "saved_model" else folder.name


def load_serving(folder: Path) -> Any:
    """The SavedModel of a directory; its functions are those of ServingModule.

    Raises:
        BakeoffError: there is no such model, or it lacks a file.
    """
    from bakeoff.models.base.tensorflow import tf

    saved_model = saved_model_of(folder)
    if not (saved_model / "saved_model.pb").exists():
        raise BakeoffError(
            f"{folder} holds no exported model (saved_model.pb is missing): "
            f"run `bakeoff export {_name_of(folder)}`, or `dvc checkout {saved_model}` if it was exported before."
        )
    try:
        return tf.saved_model.load(str(saved_model))
    except (OSError, tf.errors.OpError, ValueError, LookupError) as error:
        raise BakeoffError(
            f"{saved_model} can't be loaded, a file is missing or damaged: run `dvc checkout --force {saved_model}` "
            f"or `bakeoff export {_name_of(folder)}`. TensorFlow says: {first_line(error)}"
        ) from None


def raw_table(encoding: TableEncoding, users: pd.DataFrame) -> pd.DataFrame:
    """The columns that a model takes, in its order; dense ones as numbers, NaN where they are none.

    A column that the current data no longer have is unknown for everyone.
    """
    there = users.reindex(columns=[*encoding.dense, *encoding.categorical, *encoding.vector])
    return there.assign(**{name: pd.to_numeric(there[name], errors="coerce") for name in encoding.dense})


def raw_features(encoding: TableEncoding, users: pd.DataFrame) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Raw values in the order in which a model takes them, as text [n, K], "" where unknown, and dense.

    Those are numbers, NaN where unknown, then the components of vectors, 0 where unknown, [n, D].
    """
    there = raw_table(encoding, users)
    text = there[list(encoding.categorical)]
    vectors = [components(there[name], size) for name, size in encoding.vector.items()]
    dense = np.concatenate([there[list(encoding.dense)].to_numpy(np.float32), *vectors], axis=1)
    return dense, text.astype("str").where(text.notna(), "").to_numpy(np.str_)
