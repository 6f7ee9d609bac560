"""Who answers the questions of an evaluation: this process, or, where Spark is the engine, its executors."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from bakeoff.errors import BakeoffError
from bakeoff.evaluation.asking import Answers, Asker
from bakeoff.evaluation.ranking import TopLists
from bakeoff.models.retriever import Retriever
from bakeoff.params import Params
from bakeoff.spark import spark_session
from bakeoff.stages.prepared import load_held_out, load_prepared
from bakeoff.stages.questions import USERS_PER_PORTION, Questions
from bakeoff.stages.retrievers import load_fitting
from bakeoff.stages.scratch import scratch_directory
from bakeoff.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PORTIONS_PER_CORE = 3
"""So that a core that is done early finds more to do."""

Answering = Callable[[str], Iterator[Answers]]
"""Name of a question → answers about all of its users, portion by portion."""


def answering(
    questions: Questions, workspace: Workspace, model: str, retriever: Retriever, on_block: Callable[[int], None]
) -> AbstractContextManager[Answering]:
    """Who answers; `engine` in the parameters decides, and the answers are the same.

    Args:
        questions: what is asked.
        workspace: on Spark, all executors see it under this path.
        model: name of the model, which executors read for themselves.
        retriever: the same model in this process.
        on_block: told of numbers of users as they have been answered.
    """
    if questions.params.engine.name == "spark":
        return _on_spark(questions, workspace, model, on_block)
    return nullcontext(partial(_here, questions, _asker(questions.params, retriever, on_block)))


def _here(questions: Questions, asker: Asker, name: str) -> Iterator[Answers]:
    for users in questions.portions(name):
        yield questions.ask(asker, name, users)


def _asker(params: Params, retriever: Retriever, on_block: Callable[[int], None] | None = None) -> Asker:
    return Asker(retriever, params.evaluate.list_length, params.evaluate.users_per_block, on_block)


@contextmanager
def _on_spark(
    questions: Questions, workspace: Workspace, model: str, on_block: Callable[[int], None]
) -> Iterator[Answering]:
    engine = questions.params.engine
    with (
        scratch_directory(engine) as scratch,
        spark_session(engine, scratch, "engine.name", "duckdb") as session,
    ):
        job = _Job(workspace.root.resolve(), model, questions.params.model_dump_json(), scratch.resolve())
        yield partial(_there, session, questions, job, on_block)


@dataclass(frozen=True)
class _Job:
    """What an executor is told."""

    root: Path
    model: str
    params: str
    scratch: Path

    def path(self, name: str, number: int) -> Path:
        """Where the answers about a portion lie until they are read."""
        return self.scratch / f"{name}-{number}.npz"


def _there(
    session: "SparkSession", questions: Questions, job: _Job, on_block: Callable[[int], None], name: str
) -> Iterator[Answers]:
    """Executors write their lists to scratch, since Spark would bring those of all users to this process at once."""
    context = session.sparkContext
    at_most = math.ceil(len(questions.about(name)) / (PORTIONS_PER_CORE * context.defaultParallelism))
    size = max(1, min(at_most, USERS_PER_PORTION))
    portions = questions.portions(name, size)
    tasks = context.parallelize(range(len(portions)), len(portions))
    try:
        complaints = tasks.map(partial(_answer, job, name, size)).collect()
    except Exception as error:  # noqa: BLE001  # of the JVM, of executors: all mean that nothing was answered
        raise BakeoffError(
            f"Spark could not rank with {job.model} ({str(error).splitlines()[0]}). Executors must see {job.root} and "
            "engine.scratch under these paths, and have this environment."
        ) from None
    for complaint in filter(None, complaints):
        raise BakeoffError(complaint)
    for number, portion in enumerate(portions):
        path = job.path(name, number)
        with np.load(path) as found:
            lists = TopLists(found["items"], found["scores"])
            yield questions.answered(name, portion, lists, found["fallback"])
        path.unlink()
        on_block(len(portion))


def _answer(job: _Job, name: str, size: int, number: int) -> str | None:
    """Answer about a portion of this size, on an executor; a complaint, if there is one."""
    try:
        questions, asker = _loaded(job)
        found = questions.ask(asker, name, questions.portions(name, size)[number])
    except BakeoffError as error:
        return str(error)
    path = job.path(name, number)
    beside = path.with_suffix(f".{uuid4().hex}")  # Spark may have two do the same
    with beside.open("wb") as file:
        np.savez(file, items=found.lists.items, scores=found.lists.scores, fallback=found.fallback)
    beside.replace(path)
    return None


@lru_cache(maxsize=1)
def _loaded(job: _Job) -> tuple[Questions, Asker]:
    """Split and model, once in each process of an executor."""
    workspace, params = Workspace(job.root), Params.model_validate_json(job.params)
    prepared = load_prepared(workspace)
    questions = Questions(prepared, load_held_out(workspace, prepared), params)
    return questions, _asker(params, load_fitting(workspace, job.model, prepared.items))
