"""The night: new data and commits, the pipeline, the decision on what may go into production, and delivery.

It works in a clone of its own (nightly_clone.py). Every step looks at what is there already, so a run resumes the one
before it where that was cut off, and a run that finds nothing new ends within seconds. Promotion is a run of its own
(promote.py).
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.tasks import exponential_backoff
from pydantic import DirectoryPath, Field

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import ChildError, run_child, succeeds
from bakeoff.core.workspace import check_packages
from bakeoff.flows import nightly_clone as clones
from bakeoff.flows.dvc_stages import CORE, Dag, copy_settings, needed_for, only_run, read_dag, unchanged_stages
from bakeoff.flows.pipeline import Seconds, failed, run_command, run_dag, summarise
from bakeoff.flows.promote import DECISION, STEP_SECONDS, request_promotion
from bakeoff.flows.publish import in_words, publish_file, publish_night, publish_run, read_json, read_secret
from bakeoff.flows.remote import read_placement
from bakeoff.ops.git import check_identity, git

UNCHANGED = "Unchanged"
"""State of a night that found nothing to do."""
PENDING = Path(".dvc/tmp/promotion")
"""In the clone, the commit whose promotion is still to be requested; the last decision says whether there is one."""
WANTED = (*CORE, "export")
"""Stages that the decision on production and the delivery need, with all before them."""
CHECKED_FIRST = "validate"
"""The stage after which the data are compared with those in production, before anything is trained on them."""


def may_help(task: Any, run: Any, state: State[Any]) -> bool:
    """Whether another try may help: after a command that failed, not where a person has to act first."""
    return isinstance(state.result(raise_on_failure=False), ChildError)


def is_unreachable(task: Any, run: Any, state: State[Any]) -> bool:
    """Whether the database could not be reached: `bakeoff fetch` ends with status 75 then."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ChildError) and error.status == os.EX_TEMPFAIL


# What crosses a network is tried again: about four minutes in all.
CROSSING: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 5,
    "retry_delay_seconds": [5, 15, 30, 60, 120],
    "retry_condition_fn": may_help,
}

open_clone = task(name="clone", **CROSSING)(clones.open_nightly)
push_data = task(name="push data", **CROSSING)(clones.push_data)
push_history = task(name="push history", **CROSSING)(clones.push_history)


@task(name="update", **CROSSING)
def update(clone: Path) -> None:
    """Rebase onto the remote's new commits, and restore data and outputs as recorded."""
    clones.update(clone, get_run_logger().info)
    check_packages(clone)
    clones.restore(clone, get_run_logger().info, STEP_SECONDS)


@task(
    name="fetch",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=exponential_backoff(15),  # 15, 30 and 60 s
    retry_condition_fn=is_unreachable,
)
def fetch(clone: Path, options: list[str]) -> None:
    """Take in new data, and record them as a new version."""
    url = read_secret("BAKEOFF_DATABASE_URL", "bakeoff-database") if "--query" in options else None
    bakeoff(clone, "fetch", *options, variables={"BAKEOFF_DATABASE_URL": url} if url else None)


@task(name="drift", cache_policy=NO_CACHE)
def drift(clone: Path) -> None:
    """Compare the data with those of the version in production; too few rows end the run here."""
    try:
        bakeoff(clone, "drift")
    finally:
        publish_file(clone / "reports/drift/drift.md", "drift", "The data compared with those in production")


@task(name="parents", cache_policy=NO_CACHE)
def parents(clone: Path) -> None:
    """Copy in the models in production that training starts from, if params.yaml asks for a warm start."""
    bakeoff(clone, "parents")


@task(name="decide", cache_policy=NO_CACHE)
def decide(clone: Path) -> Mapping[str, Any]:
    """Compare the challenger with the champion."""
    bakeoff(clone, "decide")
    publish_file(clone / "reports/decision/decision.md", "decision", "Challenger and champion")
    return read_json(clone / DECISION)


def bakeoff(clone: Path, *arguments: str, variables: dict[str, str] | None = None) -> None:
    """Run a command of the clone's own code."""
    try:
        log = get_run_logger().info
        run_child(["bakeoff", *arguments], clone, log=log, timeout=STEP_SECONDS, variables=variables)
    except ChildError as error:
        raise ChildError(f"`bakeoff {arguments[0]}` {error.reason}", error.tail, error.status) from None


@flow
def nightly(
    workspace: DirectoryPath = Path(),
    clone: Path | None = None,
    inbox: DirectoryPath | None = None,
    queries: DirectoryPath | None = None,
    append: bool = False,
    approval: bool = True,
    approval_timeout_seconds: int = 12 * 3600,
    stage_timeout_seconds: Seconds = 3600,
    keep_versions: Annotated[int, Field(ge=1)] = 10,
) -> State[None]:
    """Take in new data and commits, run the pipeline, decide, deliver, and ask for a promotion if one is due.

    Args:
        workspace: A checkout of the project. Nothing in it is changed; its Git remote, its settings and its DVC cache
            serve the clone.
        clone: Directory in which the night works; made by it, and used by nothing else. Default: .bakeoff/nightly.
        inbox: Directory into which deliveries are dropped; not with `queries`.
        queries: Directory with interactions.sql, and perhaps users.sql and items.sql, for a database.
        append: Whether the queries bring new rows only, or all; only with `queries`.
        approval: Whether a person must agree to every promotion, or to the first one only.
        approval_timeout_seconds: After which nobody has agreed.
        stage_timeout_seconds: A stage that takes longer is ended, and fails.
        keep_versions: Versions that stay in the clone's DVC cache, besides all that were promoted. All stay without a
            DVC remote.
    """
    began, log = time.monotonic(), get_run_logger().info
    clone = (clone or workspace / ".bakeoff/nightly").resolve()
    options = ["--inbox", str(inbox.resolve())] if inbox else []
    options += ["--query", str(queries.resolve())] if queries else []
    options += ["--append"] if append else []  # `fetch` refuses what does not go together
    try:
        check_identity(workspace)
        open_clone(workspace, clone)
        with only_run(clone, log):
            copy_settings(workspace, clone, share_cache=False)
            clones.check_nightly(clone, log)
            final = take_steps(clone, options, stage_timeout_seconds, keep_versions)
        pending = clone / PENDING
        if final.is_completed() and pending.exists():
            commit = pending.read_text()
            request = request_promotion(commit, workspace, approval, approval_timeout_seconds)
            if pending.exists() and pending.read_text() == commit:  # a later night may have decided anew meanwhile
                pending.unlink()
            final = Completed(message=f"{final.message} {request}")
    except BakeoffError as error:
        final = failed(error)
    if final.name != UNCHANGED:
        publish_night(clone, str(final.name), time.monotonic() - began)
    return final


def take_steps(clone: Path, options: list[str], stage_timeout: float, keep_versions: int) -> State[None]:
    """The steps in the clone; see `nightly`. Called by the holder of `only_run`.

    Args:
        clone: In which nobody else has worked.
        options: Of `bakeoff fetch`.
        stage_timeout: Seconds that a stage may take.
        keep_versions: Versions that stay in the clone's DVC cache.

    Raises:
        BakeoffError: a step failed that is not a stage.
    """
    log = get_run_logger().info
    update(clone)
    drop_lost_request(clone)
    fetch(clone, options)
    stale = stale_stages(clone)
    if not stale and not is_undelivered(clone):
        clones.end_work(clone)
        return Completed(name=UNCHANGED, message="Nothing new: no data, no commits, nothing left to deliver.")
    # A promotion alone trains nothing again.
    if any(stage.startswith("train@") for stage in stale):
        parents(clone)
    final = summarise(run_stages(clone, stage_timeout))
    if not final.is_completed():
        return final
    words = in_words(decision := decide(clone))
    push_data(clone, log, STEP_SECONDS)
    made = clones.commit(clone, f"Nightly run: {words}", str(flow_run.name))
    if decision["outcome"] == "promote":
        (clone / PENDING).write_text(git(clone, "rev-parse", "HEAD"))
    else:  # an older night's request, which has not been answered yet
        (clone / PENDING).unlink(missing_ok=True)
    push_history(clone, log)
    removed = clones.remove_old_versions(clone, keep_versions, log, STEP_SECONDS)
    return Completed(message=" ".join(filter(None, [final.message, words, made and f"Commit {made}.", removed])))


def drop_lost_request(clone: Path) -> None:
    """Drop the request to promote a commit that is no longer in the clone's history, and never gets to the remote.

    It was rebased, so that this night decides anew and requests the new commit, or a person has dropped it.
    """
    pending = clone / PENDING
    if pending.exists() and not succeeds(clone, "git", "merge-base", "--is-ancestor", pending.read_text(), "HEAD"):
        pending.unlink()


def stale_stages(clone: Path) -> frozenset[str]:
    """Stages that this night has to run."""
    dag = needed_for(WANTED, read_dag(clone))
    return frozenset(dag) - unchanged_stages(dag, clone)


def is_undelivered(clone: Path) -> bool:
    """Whether anything is not committed or not sent."""
    return bool(clones.changes(clone)) or clones.num_unsent(clone) > 0


def run_stages(clone: Path, timeout: float) -> dict[str, State[float]]:
    """The pipeline, with a look at the data before anything is trained on them."""
    whole = read_dag(clone)
    dag, placement = needed_for(WANTED, whole), read_placement(clone, whole)
    first = {CHECKED_FIRST: frozenset[str]()}
    states = dict(run_dag(first, clone, timeout, placement))
    if states[CHECKED_FIRST].is_completed():
        drift(clone)
        rest: Dag = {stage: before - first.keys() for stage, before in dag.items() if stage not in first}
        states |= run_dag(rest, clone, timeout, placement)
    publish_run(clone, states, get_run_logger().info)
    return states


if __name__ == "__main__":
    run_command(nightly)
