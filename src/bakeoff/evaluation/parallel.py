"""Evaluation of a model by this process, by several processes, or by Spark's executors; the results are the same.

Other processes load the split and the model themselves, and send what they measure batch by batch.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.core.processes import num_cores, process_pool
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.settings import EngineSettings, scratch_directory, spark_session
from bakeoff.data.prepared.tables import load_held_out, load_prepared
from bakeoff.evaluation.metrics.params import EvaluateParams
from bakeoff.evaluation.ranking.protocol import TEST, USERS_PER_BATCH, EvalQueries
from bakeoff.evaluation.results import Evaluator, UserBatch
from bakeoff.models.base.retriever import Retriever

BATCHES_PER_CORE = 3
"""So that a core that is done early finds more work."""

USERS_PER_PROCESS = 1 << 14
"""Users in a batch, at most, where several processes measure: some 20 MB of lists and metrics."""

MAX_PROCESSES = 8
"""Number of processes that start by default: each takes a gigabyte or more. On more cores each has several threads."""

_FEWER = "Run it again, or with fewer: BAKEOFF_PROCESSES says how many there are, and 1 starts none."

LoadModel = Callable[[pa.Table], Retriever]
"""Loads the model, given the split's items. Other processes pickle it."""

Measure = Callable[[int], UserBatch]
"""Number of a batch → the batch, measured."""

Run = Callable[[Measure, int], Iterator[UserBatch]]
"""Calls a function in other processes for all numbers below a limit; returns its results in order."""


@contextmanager
def evaluator(
    queries: EvalQueries, workspace: Workspace, engine: EngineSettings, model: str, load: LoadModel
) -> Iterator[Evaluator]:
    """Start whatever evaluates: `engine` decides.

    Args:
        queries: all queries.
        workspace: holds the split; on Spark, all executors see it under this path.
        engine: Spark or not, and the number of processes.
        model: name of the model, for messages.
        load: loads the model.

    Raises:
        BakeoffError: the model can't be loaded, is not of this split, or can't be queried.
    """
    items = queries.prepared.items
    executors: AbstractContextManager[tuple[Run, int]]
    if engine.engine == "spark":
        executors = _spark_executors(engine, workspace.root.resolve(), model)
    elif (count := num_processes(queries, engine)) > 1:
        executors = _processes(count, model)
    else:
        retriever = load(items)
        measure = partial(UserBatch.measure, queries, retriever)
        yield Evaluator(lambda name: (measure(name, users) for users in queries.batches(name)), lambda: retriever)
        return
    asked = (queries.params, queries.seed, queries.sampled_candidates)
    job = _Job(uuid4().hex, workspace.root.resolve(), asked, load)
    with executors as (run, concurrency):

        def batches(name: str) -> Iterator[UserBatch]:
            at_least = math.ceil(len(queries.users(name)) / USERS_PER_PROCESS)
            wanted = max(BATCHES_PER_CORE * concurrency, at_least)
            for batch in run(partial(_measure, job, name, wanted), len(queries.batches(name, wanted))):
                yield replace(batch, ranking_seconds=batch.ranking_seconds / concurrency)

        yield Evaluator(batches, lambda: load(items))


def num_processes(queries: EvalQueries, engine: EngineSettings) -> int:
    """BAKEOFF_PROCESSES; where that is unset, one per core, if each finds a batch of test users to rank."""
    batches = math.ceil(len(queries.users(TEST)) / USERS_PER_BATCH)
    return engine.processes or max(1, min(num_cores(), batches, MAX_PROCESSES))


@dataclass(frozen=True)
class _Job:
    """What another process needs to know.

    Attributes:
        key: unique, so that a process loads split and model once.
        root: of the workspace.
        asked: what EvalQueries take besides the split: what is measured, the seed, and how many sampled candidates.
        load: loads the model.
    """

    key: str
    root: Path = field(compare=False)
    asked: tuple[EvaluateParams, int, int] = field(compare=False)
    load: LoadModel = field(compare=False)


def _measure(job: _Job, name: str, at_least: int, number: int) -> UserBatch:
    """Measure one of at least so many batches, in another process."""
    queries, retriever = _loaded(job)
    return UserBatch.measure(queries, retriever, name, queries.batches(name, at_least)[number])


@lru_cache(maxsize=1)
def _loaded(job: _Job) -> tuple[EvalQueries, Retriever]:
    """Split and model, once in each process."""
    prepared = load_prepared(workspace := Workspace(job.root))
    queries = EvalQueries(prepared, load_held_out(workspace, prepared), *job.asked)
    return queries, job.load(prepared.items)


@contextmanager
def _processes(count: int, model: str) -> Iterator[tuple[Run, int]]:
    with process_pool(count, max(1, num_cores() // count), f"ranks with {model}", _FEWER) as pool:
        yield lambda measure, numbers: pool.results(measure, range(numbers)), count


@contextmanager
def _spark_executors(engine: EngineSettings, root: Path, model: str) -> Iterator[tuple[Run, int]]:
    with scratch_directory(engine) as scratch, spark_session(engine, scratch, "BAKEOFF_ENGINE", "duckdb") as session:
        context = session.sparkContext

        def run(measure: Measure, numbers: int) -> Iterator[UserBatch]:
            from pyspark import StorageLevel

            measured = context.parallelize(range(numbers), numbers).map(partial(_caught, measure))
            measured.persist(StorageLevel.DISK_ONLY)
            try:
                measured.count()  # all at once; then they come here one by one
                for found in measured.toLocalIterator():
                    if isinstance(found, BakeoffError):
                        raise found
                    yield found
            except BakeoffError:
                raise
            except Exception as error:  # noqa: BLE001  # of the JVM, of executors: all mean that nothing was ranked
                raise BakeoffError(
                    f"Spark could not rank with {model} ({first_line(error)}). Executors must see {root} under this "
                    "path, and have this environment."
                ) from None
            finally:
                measured.unpersist()

        yield run, context.defaultParallelism


def _caught(measure: Measure, number: int) -> UserBatch | BakeoffError:
    """A measured batch, or what is wrong: an error that is raised, Spark would wrap in a trace of the JVM."""
    try:
        return measure(number)
    except BakeoffError as error:
        return error
