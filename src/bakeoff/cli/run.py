"""`bakeoff run`: a line with a bar per stage while Prefect runs the pipeline; the whole log goes to a file."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import succeeds
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch import command as fetch
from bakeoff.data.params import DataParams
from bakeoff.flows.dvc_stages import CORE, Outcome, needed_for, outdated_stages, read_dag, unchanged_stages
from bakeoff.report.render.terminal import print_verdict

LOG = Path(".bakeoff/run.log")
"""Of the last run."""
PAGES = {False: "index.html", True: "evidence.html"}
"""What a run leaves in reports, without and with the evidence."""
TARGETS = {False: CORE, True: ()}
"""Stages that a run leads to, without and with the evidence; none: all."""


def expected_minutes(num_events: int, epochs: int) -> int:
    """Minutes that the comparison takes at most on two cores, roughly.

    Fitted to MovieLens 100K and 1M: 80 s for programs that start, 0.1 ms for each event in tables and rankings, and
    26 µs for each event and epoch, in which the two networks train side by side.

    Args:
        num_events: rows of the interactions.
        epochs: most epochs of a network.
    """
    return round((80 + num_events * (1e-4 + 2.6e-5 * epochs)) / 60 + 0.5)


def bring_up_to_date(evidence: bool, data: DataParams, epochs: int) -> None:
    """Fetch the data, run the flow `pipeline` in this directory unless every stage is up to date, print the verdict.

    Data and Prefect's server come side by side; the first stages, which keep one core busy, leave the other to the
    compilation of kernels. The verdict is printed when `compare` has ended, which is before the flow has: it still
    compares with the last version.

    Args:
        evidence: whether to run every stage, those too that judge the textbook's claims.
        data: what to fetch.
        epochs: most epochs of a network, for the expected time.

    Raises:
        BakeoffError: the data can't be had, a stage failed, or DVC can't read the workspace.
    """
    workspace, console = Workspace(), Console(stderr=True, highlight=False)
    with ThreadPoolExecutor(2) as pool:
        fetched = pool.submit(fetch.run, data, workspace)
        if (workspace.reports / PAGES[evidence]).exists():
            fetched.result()
            dag = needed_for(TARGETS[evidence], read_dag(workspace.root))
            if unchanged_stages(dag, workspace.root) == dag.keys():
                console.print("Every stage is up to date." if evidence else "The comparison is up to date.")
                print_verdict(workspace)
                return
        from bakeoff.flows import pipeline  # not before: Prefect takes seconds to load

        _log_to_file()
        console.print(f"Prefect starts. Its log: {LOG}")
        with pipeline.private_server():
            fetched.result()
            pool.submit(succeeds, workspace.root, sys.executable, "-m", "bakeoff.ops.kernels")  # if not, stages do it
            with (workspace.data / "interactions.csv").open("rb") as lines:
                minutes = expected_minutes(sum(1 for _ in lines), epochs)
            console.print(f"The comparison takes up to about {minutes} min on two cores if all of it has to run.")
            lines_of_stages = StageLines(console, None if evidence else lambda: print_verdict(workspace))
            with lines_of_stages.shown(pipeline.run):
                final: Any = pipeline.pipeline(evidence=evidence, return_state=True)
    if not final.is_completed():
        raise BakeoffError(f"{final.result(raise_on_failure=False)}\nThe whole log: {LOG.resolve()}")
    if not lines_of_stages.has_verdict:
        print_verdict(workspace)
    console.print(final.message)


def check_lock(evidence: bool) -> None:
    """See that dvc.lock fits the parameters, the code and the version of the data; needs neither data nor outputs.

    Raises:
        BakeoffError: names stages that would run.
    """
    if outdated := outdated_stages(TARGETS[evidence], Path()):
        stages, command = ", ".join(outdated), "bakeoff run --evidence" if evidence else "bakeoff run"
        raise BakeoffError(
            f"dvc.lock is not up to date: {stages} would run, and what depends on them. Run `{command}` and commit it."
        )
    print("dvc.lock is up to date.")


def _log_to_file() -> None:
    """Have what Prefect would print go to LOG, to the end of the process and of Prefect's temporary server."""
    LOG.parent.mkdir(exist_ok=True)
    root, log = logging.getLogger(), logging.FileHandler(LOG, mode="w", encoding="utf-8")
    log.setFormatter(next((handler.formatter for handler in root.handlers), None))
    root.handlers = [log]


class StageLines:
    """A line with a bar for each stage that runs.

    Attributes:
        has_verdict: whether the verdict was printed.
    """

    def __init__(self, console: Console, print_verdict: Callable[[], None] | None) -> None:
        """Take where to print, and what to call when `compare` has ended."""
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn()
        self._progress = Progress(
            *columns, TextColumn("{task.fields[outcome]}"), console=console, disable=not console.is_terminal
        )
        self._bars: dict[str, tuple[TaskID, float]] = {}
        self._print_verdict = print_verdict
        self.has_verdict = False

    @contextmanager
    def shown(self, stage: Any) -> Iterator[None]:
        """Show how the runs of a Prefect task begin and end."""
        stage.on_running(self._begin)
        stage.on_completion(self._end)
        stage.on_failure(self._end)
        with self._progress:
            yield

    def _begin(self, _task: Any, run: Any, _state: Any) -> None:
        self._bars[run.name] = self._progress.add_task(run.name, total=None, outcome=""), time.monotonic()

    def _end(self, _task: Any, run: Any, state: Any) -> None:
        bar, began = self._bars[run.name]
        if state.name == Outcome.UNCHANGED:
            self._progress.remove_task(bar)
        else:
            self._progress.update(bar, total=1, completed=1, outcome=state.name.lower())
            if not self._progress.console.is_terminal:
                self._progress.console.print(f"{run.name}: {state.name.lower()}, {time.monotonic() - began:.0f} s")
        if run.name == "compare" and state.is_completed() and self._print_verdict:
            self.has_verdict = True
            self._progress.stop()
            self._print_verdict()
