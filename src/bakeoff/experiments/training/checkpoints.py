"""Checkpoints: a killed training resumes after the last epoch that it saved, unless what determines it has changed."""

import hashlib
import json
import shutil
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bakeoff
from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import written
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared
from bakeoff.experiments.training.runner import Row
from bakeoff.models.base.retriever import Trainer
from bakeoff.models.base.specs import ModelSpec

SECONDS_BETWEEN = 10.0
"""A checkpoint is written this long after the last one at the earliest: short trainings write none."""

_META = "meta"


@dataclass(frozen=True)
class TrainingProgress:
    """The epochs of a training that are done.

    Attributes:
        selection: curve of the epochs on train.
        refit: curve of the epochs on train and validation; empty while the epoch is being chosen.
        selection_seconds: wall time of the former.
        refit_seconds: wall time of the latter.
    """

    selection: list[Row] = field(default_factory=list)
    refit: list[Row] = field(default_factory=list)
    selection_seconds: float = 0.0
    refit_seconds: float = 0.0


class Checkpoints:
    """The checkpoint of one model, in `.bakeoff/checkpoints/<model>`: DVC empties models/ before a stage runs."""

    def __init__(
        self, workspace: Workspace, model: str, fingerprint: str, seconds_between: float | None = None
    ) -> None:
        """Take the training, and how often checkpoints are written if not every SECONDS_BETWEEN.

        Args:
            workspace: where it is.
            model: name of the model.
            fingerprint: of the training; a checkpoint with another one is not used.
            seconds_between: 0: after each epoch.
        """
        self._folder = workspace.root / ".bakeoff/checkpoints" / model
        self._path = self._folder / "checkpoint.npz"
        self._model = model
        self.fingerprint = fingerprint
        self._seconds_between = SECONDS_BETWEEN if seconds_between is None else seconds_between
        self._written = time.monotonic()

    def load(self) -> tuple[TrainingProgress, dict[str, NDArray[Any]]]:
        """The progress of the training and what was saved with it; no progress and no state without a checkpoint.

        A checkpoint that can't be used is removed, and a message says so.
        """
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            meta = json.loads(arrays.pop(_META).tobytes())
            if meta.pop("fingerprint") == self.fingerprint:
                return TrainingProgress(**meta), arrays
            reason = "is of other settings, data or code"
        except FileNotFoundError:
            return TrainingProgress(), {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
            reason = "is damaged"
        print(f"{self._model}: the checkpoint in {self._folder} {reason}: it is removed and training starts over")
        self.remove()
        return TrainingProgress(), {}

    def save(
        self, progress: TrainingProgress, trainer: Trainer, more: Mapping[str, NDArray[Any]] = MappingProxyType({})
    ) -> None:
        """Write a temporary file and rename it, if the last checkpoint is at least `seconds_between` old.

        `more` are arrays that are saved with the trainer's state, under names of their own. If the disk is full,
        training continues and a message says so: there may be room again for the model.
        """
        if time.monotonic() - self._written < self._seconds_between:
            return
        state = trainer.state()
        meta = np.frombuffer(json.dumps(asdict(progress) | {"fingerprint": self.fingerprint}).encode(), np.uint8)
        try:
            with written(self._path) as part, part.open("wb") as file:
                np.savez(file, allow_pickle=False, **state, **more, **{_META: meta})
        except BakeoffError as full:
            print(f"{self._model}: without a checkpoint, a training that is killed starts over. {full}", flush=True)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Delete the checkpoint."""
        shutil.rmtree(self._folder, ignore_errors=True)


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
    own = Path(str(getattr(find_spec(builder), "origin", None)))
    for place in (*map(_PACKAGE.joinpath, CODE), own.parent if "." in builder else own):
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(f"{path.parent.name}/{path.name}".encode() + path.read_bytes())
    digest.update(prepared.encoding.model_dump_json().encode())
    digest.update(b"repeats" if prepared.keeps_repeats else b"")
    for features in (prepared.user_features, prepared.item_features):  # of vectors; raw ones have no hash
        digest.update(np.ascontiguousarray(features.dense).data)
    vectors = prepared.encoding.user.vector | prepared.encoding.item.vector
    for whole in (prepared.users, prepared.items):
        table = whole.select([name for name in whole.column_names if name not in vectors])
        digest.update(" ".join(table.column_names).encode())
        for batch in table.to_batches(ROWS_AT_ONCE):
            digest.update(pd.util.hash_pandas_object(batch.to_pandas(), index=False).to_numpy().tobytes())
    for histories in (prepared.train, prepared.valid, *([] if prepared.dislikes is None else [prepared.dislikes])):
        for array in (histories.offsets, histories.items, histories.timestamps, histories.weights):
            digest.update(b"" if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()
