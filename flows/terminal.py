"""`bakeoff run`: a line with a bar per stage while Prefect runs the pipeline; the whole log goes to a file."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bakeoff.core.errors import BakeoffError
from bakeoff.flows.dvc_stages import Outcome, needed_for, outdated_stages, read_dag, unchanged_stages

LOG = Path(".bakeoff/run.log")
"""Of the last run."""
TARGETS = {False: ["compare"], True: []}
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


def bring_up_to_date(evidence: bool, minutes: int) -> None:
    """Run the flow `pipeline` in this directory unless every stage is up to date.

    Args:
        evidence: whether to run every stage, those too that judge the textbook's claims.
        minutes: that the comparison takes at most, roughly; said where the softmax DNN has to be trained.

    Raises:
        BakeoffError: a stage failed, or DVC can't read the workspace.
    """
    workspace, console = Path(), Console(stderr=True, highlight=False)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(import_module, "bakeoff.flows.pipeline")  # Prefect loads while DVC looks
        dag = needed_for(TARGETS[evidence], read_dag(workspace))
        unchanged = unchanged_stages(dag, workspace)
        if unchanged == dag.keys():
            console.print("Every stage is up to date." if evidence else "The comparison is up to date.")
            return
        if "train@softmax" in dag.keys() - unchanged:
            console.print(f"The comparison takes up to about {minutes} min on two cores.")
        pipeline: Any = loading.result()
    with _shown(pipeline.run, console), pipeline.private_server():
        final = pipeline.pipeline(evidence=evidence, return_state=True)
    if not final.is_completed():
        raise BakeoffError(f"{final.result(raise_on_failure=False)}\nThe whole log: {LOG.resolve()}")
    console.print(final.message)


def check_lock(evidence: bool) -> None:
    """See that dvc.lock fits the parameters, the code and the version of the data; needs neither data nor outputs.

    Raises:
        BakeoffError: names the stages that would run.
    """
    if outdated := outdated_stages(TARGETS[evidence], Path()):
        command = "bakeoff run --evidence" if evidence else "bakeoff run"
        raise BakeoffError(
            f"dvc.lock is not up to date: {', '.join(outdated)} would run. Run `{command}` and commit it."
        )
    print("dvc.lock is up to date.")


@contextmanager
def _shown(stage: Any, console: Console) -> Iterator[None]:
    """Show how the runs of a Prefect task begin and end; what Prefect would print goes to LOG."""
    LOG.parent.mkdir(exist_ok=True)
    root, log = logging.getLogger(), logging.FileHandler(LOG, mode="w", encoding="utf-8")
    log.setFormatter(next((handler.formatter for handler in root.handlers), None))
    root.handlers = [log]  # to the end of the process, and with it of Prefect's temporary server
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn()
    bars: dict[str, Any] = {}
    starts: dict[str, float] = {}
    console.print(f"Log: {LOG}")
    with Progress(*columns, TextColumn("{task.fields[outcome]}"), console=console) as progress:
        starting = progress.add_task("Prefect starts", total=None, outcome="")

        def begun(_task: Any, run: Any, _state: Any) -> None:
            progress.update(starting, visible=False)
            starts[run.name] = time.monotonic()
            bars[run.name] = progress.add_task(run.name, total=None, outcome="")

        def ended(_task: Any, run: Any, state: Any) -> None:
            bar = bars[run.name]
            if state.name == Outcome.UNCHANGED:
                progress.remove_task(bar)
                return
            progress.update(bar, total=1, completed=1, outcome=state.name.lower())
            if not console.is_terminal:
                console.print(f"{run.name}: {state.name.lower()}, {time.monotonic() - starts[run.name]:.0f} s")

        stage.on_running(begun)
        stage.on_completion(ended)
        stage.on_failure(ended)
        yield
