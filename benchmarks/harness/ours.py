"""This project's contenders under the protocol of peers/worker.py, trained by the experiment runner.

What is timed is what a stage calls the refit: building the trainer and running as many epochs as validation chose,
within which the learning rate of networks decays to 0.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.data import Data
from peers.lists import Scorer

from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.training.runner import Experiment, best_row, run_epochs
from bakeoff.experiments.training.validation import SELECTION_METRIC, validation_scores
from bakeoff.models.base.specs import resolve, spec
from bakeoff.params import parse_params


def prepare(data: Data, setting: Mapping[str, Any]) -> Experiment:
    """Read the split; `workspace` is where it is, `params` is all of params.yaml, `model` the contender."""
    params, model = parse_params(setting["params"], "the benchmark's settings"), setting["model"]
    resolve(str(spec(model).trainer))  # imports TensorFlow, whose seconds are not those of a fit
    prepared = load_prepared(Workspace(Path(setting["workspace"])))
    return Experiment(spec(model), params.section(model), prepared, params.seed)


def select(task: Experiment, setting: Mapping[str, Any], seed: int, threads: int) -> dict[str, Any]:
    """The epoch that validation chooses."""
    validate = validation_scores(task.prepared, np.flatnonzero(task.prepared.valid.lengths))
    trainer = task.trainer(task.queries(task.prepared.train))
    best = best_row(run_epochs(trainer, task.max_epochs, validate=validate).curve)
    return {
        "epochs": int(best["epoch"]),
        "of": task.max_epochs,
        "valid": {SELECTION_METRIC: best.get(f"valid_{SELECTION_METRIC}", math.nan)},
    }


def train(task: Experiment, setting: Mapping[str, Any], seed: int, threads: int) -> Iterator[Scorer]:
    """Refit on train and validation for `epochs`.

    `asked`, where it is there, is the time at which all lists are made, UTC seconds.
    """
    known = task.prepared.known()
    trainer = task.with_epochs(setting["epochs"]).trainer(task.queries(known))
    run_epochs(trainer, setting["epochs"])
    retriever, asked = trainer.retriever(), setting.get("asked")

    def scores(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        queries = task.prepared.queries(known, rows)
        if asked is not None:
            queries = replace(queries, times=np.full(len(rows), asked))
        return retriever.embed_queries(queries) @ retriever.item_embeddings.T

    yield scores
