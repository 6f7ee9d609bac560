"""The flows of the DAG: one task per DVC stage, in DVC's order, independent stages at the same time.

`pipeline` runs what the comparison needs or, with `--evidence`, all of dvc.yaml; `study`, or `--study`, the study of
negative sampling in studies/dvc.yaml.
"""

import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import wraps
from graphlib import TopologicalSorter
from pathlib import Path
from secrets import token_urlsafe
from threading import BoundedSemaphore, Event
from typing import Annotated, Any

import httpx
import psutil
import typer
from prefect import Flow, flow, get_run_logger, settings, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.states import Completed, Failed
from pydantic import DirectoryPath, Field

from bakeoff.core.errors import BakeoffError, first_line
from bakeoff.core.processes import num_cores
from bakeoff.core.subprocesses import ChildError
from bakeoff.flows.dvc_stages import CORE, Dag, Outcome, needed_for, only_run, read_dag, run_stage, unchanged_stages
from bakeoff.flows.publish import publish_run
from bakeoff.flows.remote import read_placement, run_remotely

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
MEMORY_OF_STAGE = 3 << 30
"""Bytes to reckon with for each stage that runs here; most need 1 GiB."""
SLOTS = BoundedSemaphore(min(4 * num_cores(), max(num_cores(), psutil.virtual_memory().total // MEMORY_OF_STAGE)))
"""For stages that run here. More than cores: while one stage loads its libraries, another computes, and what takes
longest, such as the networks and `growth`, does not wait for what could as well come later."""


# DVC is the cache. There are no retries: a deterministic stage fails again.
@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE)
def run(stage: str, workspace: Path, timeout: float, stop: Event, unchanged: bool, pool: str | None) -> State[float]:
    """Bring one stage up to date; the state's name is the outcome, its data the seconds."""
    if unchanged:
        return Completed(name=Outcome.UNCHANGED, data=0.0)
    begun, log = time.monotonic(), get_run_logger().info
    try:
        if pool is None:
            with SLOTS:
                outcome = run_stage(stage, workspace, log=log, timeout=timeout, stop=stop)
        else:
            outcome = run_remotely(stage, workspace, pool, log=log, timeout=timeout, stop=stop)
    except ChildError as error:
        name = "Stopped" if stop.is_set() else "Failed"
        return Failed(name=name, message=f"{stage} {error.reason}", data=error)
    return Completed(name=outcome, data=time.monotonic() - begun)


@flow
def pipeline(
    workspace: DirectoryPath = Path(), evidence: bool = False, stage_timeout_seconds: Seconds = 3600
) -> State[None]:
    """Bring the comparison up to date and publish it with the metrics and the validation verdict.

    Args:
        workspace: Directory of dvc.yaml.
        evidence: Whether to run every stage, those too that judge the textbook's claims.
        stage_timeout_seconds: A stage that takes longer is ended, and fails.
    """
    log = get_run_logger().info
    try:
        with only_run(workspace, log):
            whole = read_dag(workspace)
            dag = whole if evidence else needed_for(CORE, whole)
            states = run_dag(dag, workspace, stage_timeout_seconds, read_placement(workspace, whole))
            publish_run(workspace, states, log)
    except BakeoffError as error:
        return failed(error)
    return summarise(states)


@flow
def study(workspace: DirectoryPath = Path(), stage_timeout_seconds: Seconds = 4 * 3600) -> State[None]:
    """Bring the study and the stages that it depends on up to date, all of them here; its page: reports/sampling.html.

    Args:
        workspace: Directory of dvc.yaml.
        stage_timeout_seconds: A stage that takes longer is ended, and fails.
    """
    try:
        with only_run(workspace, get_run_logger().info):
            states = run_dag(read_dag(workspace, "studies/dvc.yaml"), workspace, stage_timeout_seconds, {})
    except BakeoffError as error:
        return failed(error)
    return summarise(states)


def run_dag(dag: Dag, workspace: Path, timeout: float, placement: Mapping[str, str]) -> Mapping[str, State[float]]:
    """Bring stages up to date; how each ended. Called within a flow that holds `only_run`.

    Stages after a failed one are submitted too: Prefect sees the failure among their upstream futures, does not run
    them and shows them as NotReady.

    Args:
        dag: The stages.
        workspace: Directory of dvc.yaml.
        timeout: Seconds that a stage may take.
        placement: Work pool of stages that do not run here.
    """
    stop, futures = Event(), dict[str, PrefectFuture[State[float]]]()
    unchanged = frozenset[str]()
    with suppress(ChildError):  # the stage that it concerns will say so
        unchanged = unchanged_stages(dag, workspace)
    try:
        for stage in TopologicalSorter(dag).static_order():
            arguments = (stage, workspace, timeout, stop, stage in unchanged, placement.get(stage))
            futures[stage] = run.submit(
                *arguments, wait_for=[futures[before] for before in dag[stage]], return_state=False
            )
        wait(list(futures.values()))
    finally:
        stop.set()  # on a cancelled run, ends what still runs; otherwise nothing does
    return {stage: future.state for stage, future in futures.items()}


def summarise(states: Mapping[str, State[float]]) -> State[None]:
    """The flow's final state: Failed unless every stage is Completed; its message says which are not.

    The error of a failed one has the last lines that each failed stage printed, too.
    """
    not_run = [stage for stage, state in states.items() if state.is_pending()]  # which NotReady stages stay
    broken = {each: state for each, state in states.items() if not state.is_completed() and each not in not_run}
    if broken or not_run:
        ending = f"Not run: {', '.join(not_run) or 'none'}."
        short = [state.message or f"{stage}: {state.name}" for stage, state in broken.items()]
        whole = [f"{stage} {state.result(raise_on_failure=False)}" for stage, state in broken.items()]
        return Failed(message=f"{'; '.join(short)}. {ending}", data=BakeoffError("\n".join([*whole, ending])))
    names = [state.name for state in states.values()]
    shown = [outcome for outcome in Outcome if outcome is not Outcome.REMOTE or outcome in names]
    counts = ", ".join(f"{names.count(outcome)} {outcome.lower()}" for outcome in shown)
    return Completed(message=f"{len(names)} stages: {counts}.")


def failed(error: BakeoffError) -> State[None]:
    """The final state after an error that people can act on."""
    return Failed(message=error.summary if isinstance(error, ChildError) else str(error), data=error)


@contextmanager
def private_server() -> Iterator[None]:
    """Where no PREFECT_API_URL is set, start a temporary server, which answers to this process only.

    Its API would otherwise have no password and answer pages of every origin.

    Raises:
        BakeoffError: the server of PREFECT_API_URL can't be used; or somebody has interrupted what runs within, by
            Ctrl-C, and the status is that of shells.
    """
    try:
        with ExitStack() as changed:
            if url := settings.PREFECT_API_URL.value():
                _check_server(url)
            else:
                password = f"bakeoff:{token_urlsafe(32)}"
                names = settings.PREFECT_API_AUTH_STRING, settings.PREFECT_SERVER_API_AUTH_STRING
                own = {**dict.fromkeys(names, password), settings.PREFECT_SERVER_CORS_ALLOWED_ORIGINS: ""}
                changed.enter_context(settings.temporary_settings(own))
                _start_server()
            yield
    except KeyboardInterrupt:  # the server's start included
        error = BakeoffError("Interrupted. Stages that had ended are kept: the same command continues.")
        error.status = 130
        raise error from None


def _check_server(url: str) -> None:
    try:
        with get_client(sync_client=True) as client:
            client.api_version()
    except (httpx.HTTPError, RuntimeError) as error:
        raise BakeoffError(
            f"Prefect's server at {url} can't be used: {first_line(error)}. `make up` starts it, "
            "PREFECT_API_AUTH_STRING is its password; without PREFECT_API_URL and PREFECT_HOME a temporary one starts."
        ) from None


def _start_server() -> None:
    """Start Prefect's temporary server out of reach of Ctrl-C: it has yet to hear from this process how the run ended.

    A terminal interrupts every process of the command at once; what a process blocks, those that it starts block too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        get_client(sync_client=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_command(chosen: Flow[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Run a flow on the server of PREFECT_API_URL or on a temporary one; print its message, or end with status 1.

    Args:
        chosen: The flow; the command line has an option for each of its parameters.
        arguments: Of the command line; by default those of this process.
    """

    @wraps(chosen.fn)
    def command(**parameters: Any) -> None:
        with private_server():
            final: Any = chosen(**parameters, return_state=True)
        if not final.is_completed():
            sys.exit(f"error: {final.result(raise_on_failure=False)}")
        print(final.message)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app(arguments)
    except BakeoffError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status or 1)


if __name__ == "__main__":
    others = [argument for argument in sys.argv[1:] if argument != "--study"]
    run_command(study if "--study" in sys.argv else pipeline, others)
