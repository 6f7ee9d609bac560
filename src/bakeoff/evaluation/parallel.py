"""Evaluation of a model by this process, by several processes, or by Spark's executors; the results are the same.

Other processes load the split and the model themselves, and write the batches they measure to scratch files: Spark
would send the lists of all users to the stage's process at once, and a pipe would copy them twice.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.core.processes import num_cores, process_pool
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.settings import EngineSettings, scratch_directory, spark_session
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.evaluation.ranking.protocol import TEST, USERS_PER_BATCH, EvalQueries, OnBlock
from bakeoff.evaluation.results import SECONDS, Evaluator, UserBatch
from bakeoff.models.base.retriever import Retriever

BATCHES_PER_CORE = 3
"""So that a core that is done early finds more work."""

USERS_PER_PROCESS = 1 << 14
"""Users in a batch, at most, where several processes hold one each, with 200 MB of lists and metrics."""

MAX_PROCESSES = 8
"""Number of processes that start by default: each takes a gigabyte or more. On more cores each has several threads."""

ITEMS = "items.npy"
"""File of the item embeddings in the scratch directory."""

_FEWER = "Run it again, or with fewer: BAKEOFF_PROCESSES says how many there are, and 1 starts none."

LoadModel = Callable[[pa.Table], Retriever]
"""Loads the model, given the split's items. Other processes pickle it."""

Run = Callable[[Callable[[int], str | None], int], Iterator[str | None]]
"""Calls a function in other processes for all numbers below a limit; returns its results in order."""

Executors = Callable[[Path], AbstractContextManager[tuple[Run, int]]]
"""Given a scratch directory, starts executors and returns how to run functions in them, and how many run at once."""


@contextmanager
def evaluator(
    queries: EvalQueries, workspace: Workspace, engine: EngineSettings, model: str, load: LoadModel, on_users: OnBlock
) -> Iterator[Evaluator]:
    """Start whatever evaluates: `engine` decides.

    Args:
        queries: all queries.
        workspace: holds the split; on Spark, all executors see it under this path.
        engine: Spark or not, and the number of processes.
        model: name of the model, for messages.
        load: loads the model.
        on_users: called with numbers of users as they have been ranked.

    Raises:
        BakeoffError: the model can't be loaded, is not of this split, or can't be queried.
    """
    executors: Executors
    if engine.engine == "spark":
        executors = partial(_spark_executors, engine, workspace.root.resolve(), model)
    elif (count := num_processes(queries, engine)) > 1:
        executors = partial(_processes, count, model)
    else:
        yield _InProcess(queries, load(queries.prepared.items), on_users)
        return
    with scratch_directory(engine) as scratch, executors(scratch) as (run, concurrency):
        asked = (queries.params, queries.seed, queries.sampled_candidates)
        job = _Job(scratch.resolve(), workspace.root.resolve(), asked, load)
        yield _Distributed(queries, job, run, concurrency, on_users)


def num_processes(queries: EvalQueries, engine: EngineSettings) -> int:
    """BAKEOFF_PROCESSES; where that is unset, one per core, if each finds a batch of test users to rank."""
    batches = math.ceil(len(queries.users(TEST)) / USERS_PER_BATCH)
    return engine.processes or max(1, min(num_cores(), batches, MAX_PROCESSES))


@dataclass(frozen=True)
class _InProcess:
    """This process, with all cores."""

    queries: EvalQueries
    retriever: Retriever
    on_users: OnBlock

    def batches(self, name: str) -> Iterator[UserBatch]:
        for users in self.queries.batches(name):
            yield UserBatch.measure(self.queries, self.retriever, name, users, self.on_users)

    def item_embeddings(self) -> NDArray[np.float32]:
        return self.retriever.item_embeddings


@dataclass(frozen=True)
class _Job:
    """What another process needs to know; its scratch directory identifies it.

    Attributes:
        scratch: directory that it and the stage's process see under this path.
        root: of the workspace.
        asked: what EvalQueries take besides the split: what is measured, the seed, and how many sampled candidates.
        load: loads the model.
    """

    scratch: Path
    root: Path = field(compare=False)
    asked: tuple[EvaluateParams, int, int] = field(compare=False)
    load: LoadModel = field(compare=False)

    def batch(self, name: str, number: int) -> Path:
        """File of a measured batch until it is read."""
        return self.scratch / f"{name}-{number}.npz"


@dataclass(frozen=True)
class _Distributed:
    """Processes that load split and model themselves."""

    queries: EvalQueries
    job: _Job
    run: Run
    concurrency: int
    on_users: OnBlock

    def batches(self, name: str) -> Iterator[UserBatch]:
        wanted = max(BATCHES_PER_CORE * self.concurrency, math.ceil(len(self.queries.users(name)) / USERS_PER_PROCESS))
        count = len(self.queries.batches(name, wanted))
        for number, _ in enumerate(self._run(partial(_measure, self.job, name, wanted), count)):
            path = self.job.batch(name, number)
            batch = UserBatch.read(path)
            path.unlink()
            yield replace(batch, **{what: getattr(batch, what) / self.concurrency for what in SECONDS})
            self.on_users(len(batch.users))

    def item_embeddings(self) -> NDArray[np.float32]:
        list(self._run(partial(_save_items, self.job), 1))
        return np.asarray(np.load(self.job.scratch / ITEMS))

    def _run(self, task: Callable[[int], None], count: int) -> Iterator[None]:
        for error in self.run(partial(_error_of, task), count):
            if error is not None:
                raise BakeoffError(error)
            yield


def _error_of(task: Callable[[int], None], number: int) -> str | None:
    """Run a task; the message of its error, which Spark would wrap in a trace of the JVM."""
    try:
        task(number)
    except BakeoffError as error:
        return str(error)
    return None


def _measure(job: _Job, name: str, at_least: int, number: int) -> None:
    """Measure one of at least so many batches, in another process."""
    queries, retriever = _loaded(job)
    batch = UserBatch.measure(queries, retriever, name, queries.batches(name, at_least)[number])
    _save(job.batch(name, number), batch.save)


def _save_items(job: _Job, _number: int) -> None:
    """Write the item embeddings, in another process."""
    _, retriever = _loaded(job)
    _save(job.scratch / ITEMS, lambda path: np.save(path, retriever.item_embeddings, allow_pickle=False))


def _save(path: Path, write: Callable[[Path], None]) -> None:
    part = path.with_name(f"{uuid4().hex}{path.suffix}")  # Spark may run the same task twice
    write(part)
    part.replace(path)


@lru_cache(maxsize=1)
def _loaded(job: _Job) -> tuple[EvalQueries, Retriever]:
    """Split and model, once in each process."""
    prepared = load_prepared(workspace := Workspace(job.root))
    queries = EvalQueries(prepared, load_held_out(workspace, prepared), *job.asked)
    return queries, job.load(prepared.items)


@contextmanager
def _processes(count: int, model: str, _scratch: Path) -> Iterator[tuple[Run, int]]:
    threads = max(1, num_cores() // count)
    with process_pool(count, threads, f"ranks with {model}", _FEWER) as pool:
        yield lambda task, numbers: pool.results(task, range(numbers)), count


@contextmanager
def _spark_executors(engine: EngineSettings, root: Path, model: str, scratch: Path) -> Iterator[tuple[Run, int]]:
    with spark_session(engine, scratch, "BAKEOFF_ENGINE", "duckdb") as session:
        context = session.sparkContext

        def run(task: Callable[[int], str | None], numbers: int) -> Iterator[str | None]:
            # All batches are written before the first is read: Spark does not say in which order tasks end.
            try:
                return iter(context.parallelize(range(numbers), numbers).map(task).collect())
            except Exception as error:  # noqa: BLE001  # of the JVM, of executors: all mean that nothing was ranked
                raise BakeoffError(
                    f"Spark could not rank with {model} ({first_line(error)}). Executors must see {root} "
                    "and BAKEOFF_SCRATCH under these paths, and have this environment."
                ) from None

        yield run, context.defaultParallelism
