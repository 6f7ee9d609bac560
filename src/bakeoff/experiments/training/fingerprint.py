"""A hash of everything that determines a training: whether a checkpoint or a study may be continued."""

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bakeoff
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.specs import ModelSpec

CODE = ("core", "data", "evaluation", "experiments/training", "models/base")
"""What training any model can run, as in `dvc.yaml`; a model's own package comes to it."""

ROWS_AT_ONCE = 1 << 16
"""Users or items that are in memory at once."""

_PACKAGE = Path(bakeoff.__file__).parent


def fingerprint(prepared: Prepared, spec: ModelSpec, decisive: Mapping[str, Any]) -> str:
    """Hash of the split, of the code that trains the model and of whatever else determines the outcome.

    Args:
        prepared: the split.
        spec: of the model; the package of its builder is hashed with CODE.
        decisive: settings, seed and the like, as JSON values.

    Returns:
        64 hexadecimal digits.
    """
    builder = str(spec.trainer or spec.fit).partition(":")[0]
    digest = hashlib.sha256(json.dumps([builder, decisive], sort_keys=True).encode())
    for place in (*map(_PACKAGE.joinpath, CODE), _own_code(builder)):
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(f"{path.parent.name}/{path.name}".encode() + path.read_bytes())
    digest.update(prepared.encoding.model_dump_json().encode())
    for table in (prepared.users, prepared.items):
        digest.update(" ".join(table.column_names).encode())
        for batch in table.to_batches(ROWS_AT_ONCE):
            digest.update(pd.util.hash_pandas_object(batch.to_pandas(), index=False).to_numpy().tobytes())
    for histories in (prepared.train, prepared.valid):
        for array in (histories.offsets, histories.items, histories.timestamps):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _own_code(module: str) -> Path:
    """The directory of the package that a module is in, or its file, if it is in none."""
    file = Path(str(getattr(find_spec(module), "origin", None)))
    return file.parent if "." in module else file
