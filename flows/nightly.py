"""The night: new data, the pipeline, the decision on what goes into production, and what is delivered of it.

Every step looks at what is there already. A run that was cut off anywhere is resumed by the next one, and a run that
finds nothing new says so within seconds.
"""

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow, flow, get_client, get_run_logger, pause_flow_run, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.logging.loggers import flow_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, Running
from pydantic import DirectoryPath

import deliver
from child import ChildError, run_child
from dvc_stages import Dag, is_up_to_date, only_run, read_dag
from history import publish_history
from ingest import Source, take_in
from integrity import mend_cache
from logs import structured_log
from notify import tell
from pipeline import (
    SIDE_BY_SIDE,
    PipelineError,
    Seconds,
    end_command,
    private_server,
    publish_run,
    run_dag,
    summarise,
)
from placement import read_placement
from publish import in_words, publish_decision, publish_drift

STEP_SECONDS = 3600.0
"""After which a step that is no stage is given up."""
POLL_SECONDS = 5
"""Between looks whether a person has answered."""
UNCHANGED = "Unchanged"
"""How a night ends that found nothing to do."""
CHECKED_FIRST = "validate"
"""The stage after which the data are set beside those in production, before anything is trained on them."""
APPROVED = Path(".dvc/tmp/approved")
"""Holds the hash of a model that may go into production and is not there yet."""


class Approval(RunInput):
    """What a person answers, in Prefect, when asked whether the challenger may go into production."""

    approve: bool = False
    by: str = ""


def may_help(task: Any, run: Any, state: State[Any]) -> bool:
    """Whether another try may help: not where a person has to do something first."""
    return not isinstance(state.result(raise_on_failure=False), deliver.DeliveryError)


# What crosses a network is tried again: about four minutes in all.
CROSSING: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 5,
    "retry_delay_seconds": [5, 15, 30, 60, 120],
    "retry_condition_fn": may_help,
}


@task(name="update", **CROSSING)
def take_in_commits(workspace: Path) -> None:
    """Bring this clone up to date with its remote."""
    deliver.update(workspace, get_run_logger().info)


@task(name="check cache", cache_policy=NO_CACHE)
def check_cache(workspace: Path) -> None:
    """Find damage in DVC's cache before anything is made of it or sent on."""
    mend_cache(workspace, get_run_logger().info)


@task(name="drift", cache_policy=NO_CACHE)
def drift(workspace: Path) -> None:
    """Set the data beside those of the version in production; too few rows end the run here."""
    try:
        run_child(["bakeoff", "drift"], workspace, log=get_run_logger().info, timeout=STEP_SECONDS)
    finally:
        publish_drift(workspace)


@task(name="decide", cache_policy=NO_CACHE)
def decide(workspace: Path) -> dict[str, Any]:
    """Set the challenger beside the champion."""
    run_child(["bakeoff", "decide"], workspace, log=get_run_logger().info, timeout=STEP_SECONDS)
    publish_decision(workspace)
    decision: dict[str, Any] = json.loads((workspace / "reports/decision/decision.json").read_text(encoding="utf-8"))
    return decision


@task(name="push data", **CROSSING)
def push_data(workspace: Path) -> None:
    """Send data and models to DVC's remote."""
    deliver.push_data(workspace, get_run_logger().info, STEP_SECONDS)


@task(name="commit", cache_policy=NO_CACHE)
def commit(workspace: Path, message: str, run: str) -> str | None:
    """Commit the results; None where nothing has changed."""
    return deliver.commit(workspace, message, run)


@task(name="promote", cache_policy=NO_CACHE)
def promote(workspace: Path) -> None:
    """Tag the commit as what is in production."""
    run_child(["bakeoff", "promote"], workspace, log=get_run_logger().info, timeout=STEP_SECONDS)


@task(name="push history", **CROSSING)
def push_history(workspace: Path) -> bool:
    """Send the branch and the registry's tags to the remote, all or none."""
    return deliver.push_history(workspace, get_run_logger().info)


@task(name="history", cache_policy=NO_CACHE)
def keep_history(workspace: Path, ended: str, seconds: float) -> None:
    """Add this night to the table of the last ones, however it ended; a table that fails takes no night with it."""
    try:
        publish_history(workspace, ended, seconds)
    except Exception:  # noqa: BLE001 - whatever it is, the night has ended as it has
        get_run_logger().exception("This night is missing in the table of the last ones.")


@task(name="notify", cache_policy=NO_CACHE)
def tell_of_success(told: str) -> None:
    """What the people who look after the pipeline read when a night has ended well."""
    tell(f"Bakeoff: {flow_run.name}", told, get_run_logger())


def tell_of_failure(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """What the person on call reads when a night has not.

    A run fails before its tags are sent or not at all. One that was cancelled or has crashed may have sent them.
    """
    kept = "Production is as it was." if state.is_failed() else "`bakeoff status` says what is in production."
    body = f"{state.message}\n\n{kept} What to do: docs/runbook.md; then run it again: it resumes."
    tell(f"Bakeoff: {flow_run.name} ended as {state.name}", body, flow_run_logger(flow_run, flow))


@flow(
    task_runner=SIDE_BY_SIDE,
    on_failure=[tell_of_failure],
    on_crashed=[tell_of_failure],
    on_cancellation=[tell_of_failure],
)
def nightly(
    workspace: DirectoryPath = Path(),
    inbox: DirectoryPath | None = None,
    queries: DirectoryPath | None = None,
    append: bool = False,
    approval: bool = False,
    approval_timeout_seconds: int = 12 * 3600,
    stage_timeout_seconds: Seconds = 3600,
) -> State[None]:
    """Take in new data and commits, run the pipeline, decide, and deliver what came of it.

    Args:
        workspace: Directory of dvc.yaml, in a Git clone where nobody else works.
        inbox: Directory into which deliveries are dropped.
        queries: Directory with interactions.sql, and perhaps users.sql and items.sql, for a database.
        append: Whether the queries bring new rows only, or all.
        approval: Whether a person must agree, in Prefect, before anything goes into production.
        approval_timeout_seconds: After which nobody has agreed.
        stage_timeout_seconds: A stage that takes longer is ended, and fails.
    """
    log = get_run_logger()
    source = Source(inbox=inbox, queries=queries, append=append)
    patience = approval_timeout_seconds if approval else None
    began = time.monotonic()
    with structured_log(workspace, str(flow_run.name)), only_run(workspace, log.info):
        try:
            final = take_steps(workspace, source, stage_timeout_seconds, patience)
        except ChildError as error:
            final = Failed(message=error.told, data=PipelineError(str(error)))
        if final.name != UNCHANGED:
            keep_history(workspace, str(final.name), time.monotonic() - began)
        return final


def take_steps(workspace: Path, source: Source, stage_timeout: float, patience: int | None) -> State[None]:
    """All steps; see `nightly`.

    Args:
        workspace: Directory of dvc.yaml.
        source: Of new data.
        stage_timeout: Seconds that a stage may take.
        patience: Seconds that a person has to agree to a promotion; None: nobody is asked.

    Raises:
        ChildError: a step failed that is no stage.
    """
    take_in_commits(workspace)
    check_cache(workspace)
    take_in(workspace, source)
    if not has_work(workspace):
        return Completed(name=UNCHANGED, message="Nothing new: no data, no commits, nothing left to deliver.")
    final = summarise(run_stages(workspace, stage_timeout))
    if not final.is_completed():
        return final
    told = finish(workspace, patience)
    tell_of_success(told)
    return Completed(message=f"{final.message} {told}")


def has_work(workspace: Path) -> bool:
    """Whether anything is stale, not committed or not delivered."""
    if (workspace / APPROVED).exists() or not is_up_to_date(workspace):
        return True
    if deliver.git(workspace, "status", "--porcelain", "--", *deliver.RESULTS):
        return True
    return deliver.has_remote(workspace) and bool(deliver.unsent(workspace))


def run_stages(workspace: Path, timeout: float) -> dict[str, State[float]]:
    """The pipeline, with a look at the data before anything is trained on them."""
    dag = read_dag(workspace)
    placement = read_placement(workspace, dag)
    first = {CHECKED_FIRST: frozenset[str]()} if CHECKED_FIRST in dag else {}
    states = dict(run_dag(first, workspace, timeout, placement))
    if all(state.is_completed() for state in states.values()):
        if first:
            drift(workspace)
        rest: Dag = {stage: before - first.keys() for stage, before in dag.items() if stage not in first}
        states |= run_dag(rest, workspace, timeout, placement)
    publish_run(workspace, states, get_run_logger().info)
    return states


def finish(workspace: Path, approval_timeout: int | None) -> str:
    """Decide, deliver, and say what came of it.

    Args:
        workspace: Every stage of it is up to date.
        approval_timeout: Seconds that a person has to agree; None: nobody is asked.
    """
    decision = decide(workspace)
    go = decision["outcome"] == "promote" and is_approved(workspace, decision, approval_timeout)
    told = in_words(decision, go)
    push_data(workspace)
    made = commit(workspace, f"Nightly run: {told}", str(flow_run.name))
    if go:
        promote(workspace)
    push_history(workspace)
    (workspace / APPROVED).unlink(missing_ok=True)
    return f"{told} Commit {made}." if made else told


def is_approved(workspace: Path, decision: dict[str, Any], timeout: int | None) -> bool:
    """Ask a person, if one is to be asked and has not agreed to this very model before."""
    challenger = decision["challenger"]["md5"]
    path = workspace / APPROVED
    if timeout is not None and not (path.exists() and path.read_text(encoding="utf-8") == challenger):
        get_run_logger().info("Waiting for a person: `Resume` in Prefect, with or without approval.")
        try:
            answer = pause_flow_run(wait_for_input=Approval, timeout=timeout, poll_interval=POLL_SECONDS)
        except FlowPauseTimeout:
            go_on()
            get_run_logger().warning("Nobody has answered within %s s: production stays as it is.", timeout)
            return False
        if not answer.approve:
            get_run_logger().info("Not approved (by %s): production stays as it is.", answer.by or "somebody")
            return False
    path.write_text(challenger, encoding="utf-8")
    return True


def go_on() -> None:
    """Tell the server that this run is no longer paused, or it would not let it end."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(str(flow_run.id)), Running(), force=True)


def main() -> None:
    """Read the command line and run the flow, on the server of PREFECT_API_URL or on a temporary one."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", default=".", help="directory of dvc.yaml (default: this one)")
    parser.add_argument("--inbox", help="directory into which deliveries are dropped")
    parser.add_argument("--queries", help="directory with interactions.sql, for the database in BAKEOFF_DATABASE_URL")
    parser.add_argument("--append", action="store_true", help="the queries bring new rows only")
    parser.add_argument("--approval", action="store_true", help="a person must agree before a promotion")
    arguments = parser.parse_args()
    with private_server():
        final = nightly(**vars(arguments), return_state=True)
    end_command(final)


if __name__ == "__main__":
    main()
