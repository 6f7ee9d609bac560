"""This project's contenders under the protocol of peers/worker.py: `build` of their training stages, nothing else.

What is timed is what a stage calls the refit: building the trainer and running as many epochs as validation chose.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.data import Data
from peers.lists import Scorer

from bakeoff.core.histories import Histories
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import Prepared, load_prepared
from bakeoff.experiments.runner import SELECTION_METRIC, validation_scores, warm_users
from bakeoff.models.base.encoder import EncoderRetriever
from bakeoff.models.base.trainer import choose_epoch, refit, seed_everything, silent
from bakeoff.params import Params, parse_params


@dataclass(frozen=True)
class Task:
    """A contender and what it learns from."""

    model: str
    params: Params
    prepared: Prepared

    def trainer(self, histories: Histories) -> Any:
        """A fresh trainer, as the stage builds it."""
        seed_everything(self.params.seed)
        build = importlib.import_module(f"bakeoff.stages.train_{self.model}").build
        return build(self.prepared, self.prepared.queries(histories, warm_users(self.prepared)), self.params)


def prepare(data: Data, setting: Mapping[str, Any]) -> Task:
    """Read the split; `workspace` says where it lies, `params` is all of params.yaml, `model` the contender."""
    return Task(
        setting["model"],
        parse_params(setting["params"], "the benchmark's settings"),
        load_prepared(Workspace(Path(setting["workspace"]))),
    )


def select(task: Task, setting: Mapping[str, Any], seed: int, threads: int) -> dict[str, Any]:
    """The epoch that validation chooses."""
    max_epochs = getattr(task.params, task.model).max_epochs
    validate = validation_scores(task.prepared, np.flatnonzero(task.prepared.valid.lengths))
    chosen = choose_epoch(task.trainer(task.prepared.train), validate, SELECTION_METRIC, max_epochs, silent)
    best = chosen.curve[chosen.epoch - 1]
    return {"epochs": chosen.epoch, "of": max_epochs, "valid": {SELECTION_METRIC: best[f"valid_{SELECTION_METRIC}"]}}


def train(task: Task, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """Refit on train and validation for `epochs`."""
    known = task.prepared.known()
    trainer = task.trainer(known)
    refit(trainer, setting["epochs"], silent)
    retriever = EncoderRetriever(trainer.encoder())

    def scores(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return retriever.embed_queries(task.prepared.queries(known, rows)) @ retriever.item_embeddings.T

    yield scores
