"""The flows of the DAG: one task per DVC stage, in DVC's order, independent stages at the same time.

`pipeline` runs what the comparison needs or, with `--evidence`, all of dvc.yaml; `study`, or `--study`, the study of
negative sampling in studies/dvc.yaml.
"""

import os
import sys
import time
from argparse import ArgumentParser, BooleanOptionalAction, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from graphlib import TopologicalSorter
from inspect import Parameter, signature
from pathlib import Path
from secrets import token_urlsafe
from threading import Event
from typing import Annotated, Any

from prefect import Flow, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_CORS_ALLOWED_ORIGINS,
    temporary_settings,
)
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import DirectoryPath, Field

from bakeoff.core.errors import BakeoffError
from checkout import only_run
from child import ChildError
from dvc_stages import Dag, Outcome, needed_for, read_dag, run_stage, unchanged_stages
from publish import publish_run, publish_sampling
from remote import read_placement, run_remotely

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Future = PrefectFuture[State[float]]
CORE = ("compare",)
"""Stages that, with all before them, lead to a verdict."""
# More stages than cores: while one of them loads its libraries, another computes.
SIDE_BY_SIDE: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=2 + (os.cpu_count() or 2))


class PipelineError(BakeoffError):
    """Failed stages, with the last lines that each printed, and the stages that were not run because of them."""


# DVC is the cache. There are no retries: a deterministic stage fails again.
@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE)
def run(stage: str, workspace: Path, timeout: float, stop: Event, unchanged: bool, pool: str | None) -> State[float]:
    """Bring one stage up to date; the state's name is the outcome, its data the seconds."""
    if unchanged:
        return Completed(name=Outcome.UNCHANGED, data=0.0)
    begun, log = time.monotonic(), get_run_logger().info
    try:
        if pool is None:
            outcome = run_stage(stage, workspace, log=log, timeout=timeout, stop=stop)
        else:
            outcome = run_remotely(stage, workspace, pool, log=log, timeout=timeout, stop=stop)
    except ChildError as error:
        return Failed(message=f"{stage} {error.reason}", data=error)
    return Completed(name=outcome, data=time.monotonic() - begun)


@flow(task_runner=SIDE_BY_SIDE)
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


@flow(task_runner=SIDE_BY_SIDE)
def study(workspace: DirectoryPath = Path(), stage_timeout_seconds: Seconds = 4 * 3600) -> State[None]:
    """Bring the study and the stages that it depends on up to date, all of them here, and publish what it found.

    Args:
        workspace: Directory of dvc.yaml.
        stage_timeout_seconds: A stage that takes longer is ended, and fails.
    """
    try:
        with only_run(workspace, get_run_logger().info):
            states = run_dag(read_dag(workspace, "studies/dvc.yaml"), workspace, stage_timeout_seconds, {})
            publish_sampling(workspace)
    except BakeoffError as error:
        return failed(error)
    return summarise(states)


def run_dag(dag: Dag, workspace: Path, timeout: float, placement: Mapping[str, str]) -> Mapping[str, State[float]]:
    """Bring stages up to date; how each ended. Called within a flow that holds `only_run`.

    Args:
        dag: The stages.
        workspace: Directory of dvc.yaml.
        timeout: Seconds that a stage may take.
        placement: Work pool of stages that do not run here.
    """
    stop = Event()
    try:
        unchanged = unchanged_stages(dag, workspace)
    except ChildError:  # the stage that it concerns will say so
        unchanged = frozenset()

    def submit(stage: str, upstream: list[Future]) -> Future:
        settings = (stage, workspace, timeout, stop, stage in unchanged, placement.get(stage))
        return run.submit(*settings, wait_for=upstream, return_state=False)

    try:
        return run_in_order(dag, submit)
    finally:
        stop.set()  # on a cancelled run, ends what still runs; otherwise nothing does


def run_in_order(dag: Dag, submit: Callable[[str, list[Future]], Future]) -> Mapping[str, State[float]]:
    """Submit each stage when all stages before it have ended, and wait for all.

    Stages after a failed one are submitted too: Prefect sees the failure among their upstream futures, does
    not run them and shows them as NotReady. No worker is ever blocked by a stage that only waits.
    """
    order = TopologicalSorter(dag)
    order.prepare()
    futures: dict[str, Future] = {}
    running: dict[Future, str] = {}
    while order.is_active():
        for stage in sorted(order.get_ready()):
            futures[stage] = submit(stage, [futures[before] for before in dag[stage]])
            running[futures[stage]] = stage
        ended = next(as_completed(list(running)))
        ended.wait()
        order.done(running.pop(ended))
    return {stage: future.state for stage, future in futures.items()}


def summarise(states: Mapping[str, State[float]]) -> State[None]:
    """The flow's final state: Failed unless every stage is Completed; its message says which are not."""
    broken = {
        stage: state
        for stage, state in states.items()
        if not (state.is_completed() or state.is_pending())  # Pending is what NotReady stages stay
    }
    not_run = [stage for stage, state in states.items() if state.is_pending()]
    if broken or not_run:
        ending = f"Not run: {', '.join(not_run) or 'none'}."
        short = [state.message or f"{stage}: {state.name}" for stage, state in broken.items()]
        whole = [f"{stage} {state.result(raise_on_failure=False)}" for stage, state in broken.items()]
        return Failed(message=f"{'; '.join(short)}. {ending}", data=PipelineError("\n".join([*whole, ending])))
    names = [state.name for state in states.values()]
    shown = [outcome for outcome in Outcome if outcome is not Outcome.REMOTE or outcome in names]
    counts = ", ".join(f"{names.count(outcome)} {outcome.lower()}" for outcome in shown)
    return Completed(message=f"{len(names)} stages: {counts}.")


def failed(error: BakeoffError) -> State[None]:
    """The final state after an error that people can act on."""
    return Failed(message=error.summary if isinstance(error, ChildError) else str(error), data=error)


@contextmanager
def private_server() -> Iterator[None]:
    """Let the temporary server, which starts where no PREFECT_API_URL is set, answer to this process only.

    Its API would otherwise have no password and answer pages of every origin.
    """
    if PREFECT_API_URL.value():
        yield
        return
    password = f"bakeoff:{token_urlsafe(32)}"
    with temporary_settings(
        {
            PREFECT_API_AUTH_STRING: password,
            PREFECT_SERVER_API_AUTH_STRING: password,
            PREFECT_SERVER_CORS_ALLOWED_ORIGINS: "",
        }
    ):
        yield


def run_command(chosen: Flow[..., Any], **arguments: Any) -> None:
    """Run a flow on the server of PREFECT_API_URL or on a temporary one; print its message, or end with status 1.

    Args:
        chosen: The flow.
        arguments: Its parameters; if there are none, the command line has an option for each.
    """
    if not arguments:
        parser = ArgumentParser(description=chosen.fn.__doc__, formatter_class=RawDescriptionHelpFormatter)
        for name, parameter in signature(chosen.fn).parameters.items():
            option = "" if parameter.default is Parameter.empty else "--"
            action = BooleanOptionalAction if isinstance(parameter.default, bool) else "store"
            parser.add_argument(f"{option}{name.replace('_', '-') if option else name}", action=action)
        arguments = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    with private_server():
        final: Any = chosen(**arguments, return_state=True)
    if not final.is_completed():
        sys.exit(f"error: {final.result(raise_on_failure=False)}")
    print(final.message)


if __name__ == "__main__":
    wanted = study if "--study" in sys.argv else pipeline
    sys.argv = [argument for argument in sys.argv if argument != "--study"]
    run_command(wanted)
