"""The flow: one task per DVC stage, in the order of DVC's DAG, independent ones side by side."""

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from secrets import token_urlsafe
from threading import Event
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import flow_run
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

from child import ChildError, Log
from dvc_stages import Dag, Outcome, only_run, read_dag, run_stage, unchanged_stages
from last_version import publish_changes
from logs import structured_log
from placement import Placement, read_placement, run_placed
from publish import Row, publish_comparison, publish_metrics, publish_timings, publish_validation

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Future = PrefectFuture[State[float]]
# More stages than cores, so that none of them waits for a core's other stage to load its libraries.
SIDE_BY_SIDE: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=2 + (os.cpu_count() or 2))


class PipelineError(Exception):
    """Stages failed: which, with the last lines that each printed, and which were not run for it."""


# DVC is the cache. There are no retries: a deterministic stage fails again.
@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE)
def run(
    stage: str, workspace: Path, timeout: float, stop: Event, unchanged: bool, placement: Placement | None
) -> State[float]:
    """One stage; the state's name tells whether it ran, was unchanged or came from the cache, its data the seconds."""
    if unchanged:
        return Completed(name=Outcome.UNCHANGED, data=0.0)
    begun = time.monotonic()
    limits: dict[str, Any] = {"log": get_run_logger().info, "timeout": timeout, "stop": stop}
    try:
        if placement is not None and stage in placement.pools:
            outcome = run_placed(stage, workspace, placement, **limits)
        else:
            outcome = run_stage(stage, workspace, **limits)
    except ChildError as error:
        return Failed(message=f"{stage} {error.reason}", data=error)
    return Completed(name=outcome, data=time.monotonic() - begun)


@flow(task_runner=SIDE_BY_SIDE)
def pipeline(workspace: DirectoryPath = Path(), stage_timeout_seconds: Seconds = 3600) -> State[None]:
    """Bring every stage up to date and publish the comparison, the metrics and the validation verdict.

    Args:
        workspace: Directory of dvc.yaml.
        stage_timeout_seconds: A stage that takes longer is ended, and fails.
    """
    log = get_run_logger().info
    with structured_log(workspace, str(flow_run.name)), only_run(workspace, log):
        try:  # here: DVC reads no DAG with a dvc.lock that was cut off, which only_run repairs
            dag = read_dag(workspace)
            placement = read_placement(workspace, dag)
        except ChildError as error:
            return Failed(message=error.reason, data=error)
        states = run_dag(dag, workspace, stage_timeout_seconds, placement)
        publish_run(workspace, states, log)
    return summarise(states)


def publish_run(workspace: Path, states: Mapping[str, State[float]], log: Log) -> None:
    """What people see of a run: the verdict on the data always, the comparison where every stage is up to date."""
    publish_validation(workspace)
    publish_timings(timings(states))
    if all(state.is_completed() for state in states.values()):
        publish_comparison(workspace)
        publish_metrics(workspace)
        publish_changes(workspace, log=log)


def timings(states: Mapping[str, State[float]]) -> list[Row]:
    """One row per stage: how it ended, and its seconds where it did."""
    return [
        {
            "stage": stage,
            "outcome": state.name,
            "seconds": round(seconds, 1) if isinstance(seconds, float) else None,
        }
        for stage, state in states.items()
        for seconds in [state.result(raise_on_failure=False) if state.is_completed() else None]
    ]


def run_dag(
    dag: Dag, workspace: Path, timeout: float, placement: Placement | None = None
) -> Mapping[str, State[float]]:
    """Bring these stages up to date, here or where they are placed; how each ended.

    Called within a flow that holds `only_run`.
    """
    stop = Event()
    try:
        unchanged = unchanged_stages(dag, workspace)
    except ChildError:  # whatever it is, the stage that it concerns will say so
        unchanged = frozenset()

    def submit(stage: str, upstream: list[Future]) -> Future:
        settings = (stage, workspace, timeout, stop, stage in unchanged, placement)
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
    told = [outcome for outcome in Outcome if outcome is not Outcome.PLACED or outcome in names]
    counts = ", ".join(f"{names.count(outcome)} {outcome.lower()}" for outcome in told)
    return Completed(message=f"{len(names)} stages: {counts}.")


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


def end_command(final: State[Any]) -> None:
    """End a flow's command: the message, or status 1 and what went wrong."""
    if not final.is_completed():
        sys.exit(f"error: {final.result(raise_on_failure=False)}")
    print(final.message)


def main() -> None:
    """Read the command line and run the flow, on the server of PREFECT_API_URL or on a temporary one."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", default=".", help="directory of dvc.yaml (default: this one)")
    parser.add_argument(
        "--stage-timeout-seconds", type=float, default=3600, help="a stage that takes longer is ended (default: 3600)"
    )
    arguments = parser.parse_args()
    with private_server():
        final = pipeline(arguments.workspace, arguments.stage_timeout_seconds, return_state=True)
    end_command(final)


if __name__ == "__main__":
    main()
