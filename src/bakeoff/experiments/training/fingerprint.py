"""A hash of everything that determines a training: whether a checkpoint or a study may be continued."""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bakeoff
from bakeoff.data.prepared.tables import Prepared
from bakeoff.models.base.specs import ModelSpec

RUNNER = "bakeoff.experiments.training.shipped"
"""The module that trains every model."""

ROWS_AT_ONCE = 1 << 16
"""Users or items that are in memory at once."""

_PACKAGE = Path(bakeoff.__file__).parent


def fingerprint(prepared: Prepared, spec: ModelSpec, decisive: Mapping[str, Any]) -> str:
    """Hash of the split, of the code that trains the model and of whatever else determines the outcome.

    Args:
        prepared: the split.
        spec: of the model; the module of its builder and everything that it imports is hashed.
        decisive: settings, seed and the like, as JSON values.

    Returns:
        64 hexadecimal digits.
    """
    builder = str(spec.trainer or spec.fit).partition(":")[0]
    digest = hashlib.sha256(json.dumps([builder, decisive], sort_keys=True).encode())
    for path in sorted(code_of(RUNNER) | code_of(builder)):
        digest.update(str(path.relative_to(_PACKAGE)).encode())
        digest.update(path.read_bytes())
    origin = find_spec(builder)
    if not builder.startswith(f"{bakeoff.__name__}.") and origin is not None and origin.origin is not None:
        digest.update(Path(origin.origin).read_bytes())
    digest.update(prepared.encoding.model_dump_json().encode())
    for table in (prepared.users, prepared.items):
        digest.update(" ".join(table.column_names).encode())
        for batch in table.to_batches(ROWS_AT_ONCE):
            digest.update(pd.util.hash_pandas_object(batch.to_pandas(), index=False).to_numpy().tobytes())
    for histories in (prepared.train, prepared.valid):
        for array in (histories.offsets, histories.items, histories.timestamps):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def code_of(module: str) -> set[Path]:
    """Files of this package that a module imports, directly or not, and its own.

    `bakeoff.params` is left out: it imports the settings of everything, and the values in force are hashed anyway.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = _file_of(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting += _imported(path)
    return found


def _file_of(module: str) -> Path | None:
    package, *parts = module.split(".")
    if package != bakeoff.__name__ or parts == ["params"]:
        return None
    stem = _PACKAGE.joinpath(*parts)
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def _imported(path: Path) -> Iterator[str]:
    """Modules that a file names in its imports; `from a import b` may mean a.b."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
