"""What other processes do, of this machine or on Spark's executors: answer about portions of users, into files.

Spark would bring the lists of all users to the stage's own process at once, and a pipe would copy them twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import numpy as np

from bakeoff.core.errors import BakeoffError
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.evaluation.parallel.eval_queries import Questions
from bakeoff.evaluation.parallel.user_batch import measured
from bakeoff.evaluation.protocol import Asker
from bakeoff.models.base.model_files import Load, load_fitting
from bakeoff.params import Params


@dataclass(frozen=True)
class Job:
    """What such a process is told.

    Attributes:
        root: of the workspace.
        model: its name.
        load: reads the model; as training exported it if None.
        params: of the project, as JSON.
        scratch: directory that it and the stage's own process see under this path.
    """

    root: Path
    model: str
    load: Load | None
    params: str
    scratch: Path

    def portion(self, name: str, number: int) -> Path:
        """Where the answers about a portion lie until they are read."""
        return self.scratch / f"{name}-{number}.npz"

    @property
    def items(self) -> Path:
        """Where the item embeddings lie, once they were asked for."""
        return self.scratch / "items.npy"


def answer(job: Job, name: str, at_least: int, number: int) -> str | None:
    """Answer about one of `at_least` portions; a complaint, if there is one."""
    try:
        questions, asker = _loaded(job)
        portion = measured(questions, asker, name, questions.portions(name, at_least)[number])
    except BakeoffError as error:
        return str(error)
    _at_once(job.portion(name, number), portion.save)
    return None


def tell_items(job: Job, _number: int) -> str | None:
    """Write the item embeddings; a complaint, if there is one."""
    try:
        _, asker = _loaded(job)
    except BakeoffError as error:
        return str(error)
    _at_once(job.items, lambda path: np.save(path, asker.retriever.item_embeddings, allow_pickle=False))
    return None


def _at_once(path: Path, write: Callable[[Path], None]) -> None:
    beside = path.with_name(f"{uuid4().hex}{path.suffix}")  # Spark may have two do the same
    write(beside)
    beside.replace(path)


@lru_cache(maxsize=1)
def _loaded(job: Job) -> tuple[Questions, Asker]:
    """Split and model, once in each process."""
    workspace, params = Workspace(job.root), Params.model_validate_json(job.params)
    prepared = load_prepared(workspace)
    questions = Questions(prepared, load_held_out(workspace, prepared), params)
    retriever = load_fitting(workspace, job.model, prepared.items, job.load)
    return questions, Asker.of(retriever, params.evaluate)
