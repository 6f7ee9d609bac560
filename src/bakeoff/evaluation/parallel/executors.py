"""Who answers the questions of an evaluation: this process, several processes, or the executors of Spark."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bakeoff.core.errors import BakeoffError
from bakeoff.core.processes import process_pool
from bakeoff.core.threads import num_cores
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.scratch import scratch_directory
from bakeoff.data.engine.settings import EngineSettings, engine_settings
from bakeoff.data.engine.spark_session import spark_session
from bakeoff.evaluation.parallel.eval_queries import TEST, USERS_PER_PORTION, Questions
from bakeoff.evaluation.parallel.user_batch import Portion, measured
from bakeoff.evaluation.parallel.worker_tasks import Job, answer, tell_items
from bakeoff.evaluation.protocol import Asker
from bakeoff.experiments.model_loading import Load, load_fitting

PORTIONS_PER_CORE = 3
"""So that a core that is done early finds more to do."""

USERS_AT_ONCE = 1 << 14
"""In a portion, at most: of each several processes hold one, with 200 MB of lists and what is computed of them."""

MOST_PROCESSES = 8
"""That start without being asked for: each takes a gigabyte and more. On more cores each has several threads."""

FEWER = "Run it again, or with fewer: BAKEOFF_PROCESSES says how many there are, and 1 starts none."

OnBlock = Callable[[int], None]
"""Told of numbers of users as they have been answered."""

Run = Callable[[Callable[[int], str | None], int], Iterator[str | None]]
"""Calls a function elsewhere for the numbers up to another, and gives what it returns, in their order."""


Crew = Callable[[Path], AbstractContextManager[tuple[Run, int]]]
"""Given scratch, brings together whoever runs functions, and says how many at once."""


class Answering(Protocol):
    """A model that answers."""

    at_once: int
    """Portions that are measured at the same time."""

    def portions(self, name: str) -> Iterator[Portion]:
        """The answers about all users of a question, portion by portion."""

    def item_embeddings(self) -> NDArray[np.float32]:
        """[num_items, dim]."""


def answering(
    questions: Questions, workspace: Workspace, model: str, load: Load | None, on_block: OnBlock
) -> AbstractContextManager[Answering]:
    """Who answers; the settings of the engine decide, and the answers are the same.

    Args:
        questions: what is asked.
        workspace: on Spark, all executors see it under this path.
        model: name of the model.
        load: reads it; as training exported it if None. Other processes find it by its name.
        on_block: told of the progress.

    Raises:
        BakeoffError: there is no such model or it is not of this split, or it can't be asked.
    """
    engine = engine_settings()
    if engine.engine == "spark":
        crew = partial(_executors, engine, workspace.root.resolve(), model)
    elif (count := num_processes(questions)) > 1:
        crew = partial(_processes, count, model)
    else:
        return nullcontext(_Here(questions, workspace, model, load, on_block))
    return _elsewhere(questions, workspace, model, load, on_block, crew)


def num_processes(questions: Questions) -> int:
    """BAKEOFF_PROCESSES; where that is unset, one per core, as far as each finds a portion of test users to rank."""
    portions = math.ceil(len(questions.about(TEST)) / USERS_PER_PORTION)
    return engine_settings().processes or max(1, min(num_cores(), portions, MOST_PROCESSES))


class _Here:
    """This process, with all cores."""

    at_once = 1

    def __init__(
        self, questions: Questions, workspace: Workspace, model: str, load: Load | None, on_block: OnBlock
    ) -> None:
        self._questions = questions
        retriever = load_fitting(workspace, model, questions.prepared.items, load)
        self._asker = Asker.of(retriever, questions.params.evaluate, on_block)

    def portions(self, name: str) -> Iterator[Portion]:
        for users in self._questions.portions(name):
            yield measured(self._questions, self._asker, name, users)

    def item_embeddings(self) -> NDArray[np.float32]:
        return self._asker.retriever.item_embeddings


class _Elsewhere:
    """Processes that read split and model themselves, and write what they answer to scratch."""

    def __init__(self, questions: Questions, job: Job, run: Run, at_once: int, on_block: OnBlock) -> None:
        self.at_once = at_once
        self._questions, self._job, self._run, self._on_block = questions, job, run, on_block

    def portions(self, name: str) -> Iterator[Portion]:
        users = len(self._questions.about(name))
        at_least = max(PORTIONS_PER_CORE * self.at_once, math.ceil(users / USERS_AT_ONCE))
        count = len(self._questions.portions(name, at_least))
        for number, complaint in enumerate(self._run(partial(answer, self._job, name, at_least), count)):
            _complain(complaint)
            path = self._job.portion(name, number)
            portion = Portion.read(path)
            path.unlink()
            yield portion
            self._on_block(len(portion))

    def item_embeddings(self) -> NDArray[np.float32]:
        for complaint in self._run(partial(tell_items, self._job), 1):
            _complain(complaint)
        found: NDArray[np.float32] = np.load(self._job.items)
        return found


def _complain(complaint: str | None) -> None:
    if complaint is not None:
        raise BakeoffError(complaint)


@contextmanager
def _elsewhere(
    questions: Questions, workspace: Workspace, model: str, load: Load | None, on_block: OnBlock, crew: Crew
) -> Iterator[Answering]:
    with scratch_directory(engine_settings()) as scratch, crew(scratch) as (run, at_once):
        root, params = workspace.root.resolve(), questions.params.model_dump_json()
        yield _Elsewhere(questions, Job(root, model, load, params, scratch.resolve()), run, at_once, on_block)


@contextmanager
def _processes(count: int, model: str, _scratch: Path) -> Iterator[tuple[Run, int]]:
    threads = max(1, num_cores() // count)
    with process_pool(count, threads, f"ranks with {model}", FEWER) as pool:
        yield lambda task, numbers: pool.results(task, range(numbers)), count


@contextmanager
def _executors(engine: EngineSettings, root: Path, model: str, scratch: Path) -> Iterator[tuple[Run, int]]:
    with spark_session(engine, scratch, "BAKEOFF_ENGINE", "duckdb") as session:
        context = session.sparkContext

        def run(task: Callable[[int], str | None], numbers: int) -> Iterator[str | None]:
            # All of them write before the first is read: Spark has no order in which tasks end.
            try:
                return iter(context.parallelize(range(numbers), numbers).map(task).collect())
            except Exception as error:  # noqa: BLE001  # of the JVM, of executors: all mean that nothing was answered
                raise BakeoffError(
                    f"Spark could not rank with {model} ({str(error).splitlines()[0]}). Executors must see {root} "
                    "and BAKEOFF_SCRATCH under these paths, and have this environment."
                ) from None

        yield run, context.defaultParallelism
