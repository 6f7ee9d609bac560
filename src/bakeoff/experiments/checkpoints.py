"""A training that is killed is taken up again where it last stood."""

import json
import shutil
import time
import zipfile
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.files import full_disk
from bakeoff.core.workspace import Workspace
from bakeoff.models.base.epochs import Row, Trainer

SECONDS_BETWEEN = 10.0
"""A checkpoint is written this long after the last one at the earliest: short trainings write none."""

_META = "meta"


@dataclass(frozen=True)
class Standing:
    """How far a training has come.

    Attributes:
        selection: curve of the epochs on train that are done.
        refit: curve of the epochs on train and validation that are done; None while the epoch is being chosen.
        selection_seconds: spent so far on the former.
        refit_seconds: spent so far on the latter.
    """

    selection: list[Row] = field(default_factory=list)
    refit: list[Row] | None = None
    selection_seconds: float = 0.0
    refit_seconds: float = 0.0


class Checkpoints:
    """The checkpoint of one model, in `.bakeoff/checkpoints/<model>`: DVC empties models/ before a stage runs."""

    def __init__(self, workspace: Workspace, model: str, fingerprint: str) -> None:
        """A checkpoint with another fingerprint is of another training and not taken up."""
        self._folder = workspace.root / ".bakeoff/checkpoints" / model
        self._path = self._folder / "checkpoint.npz"
        self._model = model
        self._fingerprint = fingerprint
        self._written = time.monotonic()

    def load(self) -> tuple[Standing, dict[str, NDArray[Any]]]:
        """Where the training stood and the state of its trainer; nothing done and no state if there is none to take up.

        A checkpoint that can't be used is removed, and a line says so.
        """
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            meta = json.loads(arrays.pop(_META).tobytes())
            if meta.pop("fingerprint") == self._fingerprint:
                return Standing(**meta), arrays
            reason = "is of other settings, data or code"
        except FileNotFoundError:
            return Standing(), {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
            reason = "is damaged"
        print(f"{self._model}: the checkpoint in {self._folder} {reason}: it is removed and training starts over")
        self.remove()
        return Standing(), {}

    def save(self, standing: Standing, trainer: Trainer) -> None:
        """Write beside, then rename, if the last checkpoint is old enough.

        Training goes on where the disk is full: it may not be when the model is written. A line says so.
        """
        # Read every time: TensorFlow counts what is read, and names in an exported graph tell the count. Trainings that
        # differ in their pace alone must give the same bytes.
        state = trainer.state()
        if time.monotonic() - self._written < SECONDS_BETWEEN:
            return
        meta = json.dumps(asdict(standing) | {"fingerprint": self._fingerprint})
        beside = self._folder / "checkpoint.part.npz"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            np.savez(beside, allow_pickle=False, **state, **{_META: np.frombuffer(meta.encode(), np.uint8)})
            beside.replace(self._path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            told = full_disk(error, self._path)
            if told is None:
                raise
            print(f"{self._model}: without a checkpoint, a training that is killed starts over. {told}", flush=True)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Leave nothing to take up."""
        shutil.rmtree(self._folder, ignore_errors=True)
