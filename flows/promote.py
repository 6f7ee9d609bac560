"""Promotion: a person agrees, then the model of one commit goes into production.

A run of its own, so that nights go on while it waits. It works in a temporary clone of that commit, and holds no lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prefect import flow, get_run_logger, pause_flow_run, suspend_flow_run
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.exceptions import FlowPauseTimeout, ObjectNotFound
from prefect.input import RunInput
from prefect.runtime import deployment
from prefect.states import Completed
from pydantic import DirectoryPath

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import Log, run_child
from bakeoff.core.workspace import Workspace
from bakeoff.flows.nightly_clone import make_clone
from bakeoff.flows.pipeline import failed, run_command
from bakeoff.ops.git import check_identity, git
from bakeoff.ops.promotion.promote import read_decision
from bakeoff.ops.registry.history import Version, assignments, production, read_events

STEP_SECONDS = 3600.0
"""After which a step that is not a stage is ended."""
POLL_SECONDS = 5
"""Between looks whether a person has answered, where the run waits in its process."""
DECISION = "reports/decision/decision.json"


class Approval(RunInput):
    """A person's answer in Prefect: may the challenger go into production?"""

    approve: bool = False
    by: str = ""


@flow(flow_run_name="promote {commit}")
def promote(
    commit: str, workspace: DirectoryPath = Path(), approval: bool = True, approval_timeout_seconds: int = 12 * 3600
) -> State[None]:
    """Put the challenger of a commit's decision into production, if a person agrees.

    A deployed run is suspended while it waits and takes no worker's time. The first promotion of a project always waits
    for a person, even without `approval`.

    Args:
        commit: Whose reports/decision says `promote`; on the Git remote.
        workspace: A checkout of the project, for its Git remote and identity.
        approval: Whether a person must agree.
        approval_timeout_seconds: After which nobody has agreed.
    """
    log = get_run_logger().info
    try:
        check_identity(workspace)
        with checked_out(workspace, commit) as clone:
            decision = read_decision(Workspace(clone)) or {"outcome": "nothing"}
            if decision["outcome"] != "promote":
                raise BakeoffError(f"{DECISION} of this commit says {decision['outcome']}, not promote.")
            model = str(decision["challenger"]["model"])
            asks = approval or not assignments(read_events(clone))
        if asks and not is_approved(model, approval_timeout_seconds, log):
            return Completed(name="Not approved", message=f"{model} was not approved: production stays as it is.")
        with checked_out(workspace, commit) as clone:
            run_child(["bakeoff", "promote", "--push"], clone, log=log, timeout=STEP_SECONDS)
            now = production(read_events(clone))
            if now is None or now.version != Version(model, "", git(clone, "rev-parse", "HEAD")):
                return Completed(name="Not promoted", message="Production stays as it is; the log says why.")
    except BakeoffError as error:
        return failed(error)
    return Completed(message=f"{model} is in production.")


@contextmanager
def checked_out(project: Path, commit: str) -> Iterator[Path]:
    """A temporary clone of the project's remote at a commit."""
    with TemporaryDirectory(prefix="bakeoff-promotion-") as folder:
        clone = Path(folder, "clone")
        make_clone(project, clone)
        git(clone, "checkout", "--quiet", "--detach", commit)
        yield clone


def is_approved(model: str, timeout: int, log: Log) -> bool:
    """Wait for a person's answer; without one in time, it is no."""
    log(f"May {model} go into production? `Resume` in Prefect, with or without approval.")
    try:
        if deployment.id is None:
            answer = pause_flow_run(wait_for_input=Approval, timeout=timeout, poll_interval=POLL_SECONDS)
        else:
            answer = suspend_flow_run(wait_for_input=Approval, timeout=timeout)
    except FlowPauseTimeout:
        raise BakeoffError(f"Nobody has answered within {timeout} s: production stays as it is.") from None
    log(f"{'Approved' if answer.approve else 'Not approved'} by {answer.by or 'somebody'}.")
    return bool(answer.approve)


def request_promotion(commit: str, workspace: Path, approval: bool, timeout: int) -> str:
    """Start the promotion's own run, as the deployment `promote/promote`; in this process where that is not deployed.

    Returns:
        what became of it, in a sentence.
    """
    parameters: dict[str, Any] = {"commit": commit, "workspace": str(workspace), "approval": approval}
    parameters["approval_timeout_seconds"] = timeout
    try:
        name = f"promote {commit}"  # Prefect would name the run only when it starts
        run: Any = run_deployment(
            "promote/promote", parameters=parameters, flow_run_name=name, timeout=0, as_subflow=False
        )
    except ObjectNotFound:
        final = promote(**parameters, return_state=True)
        if not final.is_completed():
            raise BakeoffError(f"The promotion ended as {final.name}: {final.message}") from None
        return str(final.message)
    return f"The flow run {run.name} decides on production."


if __name__ == "__main__":
    run_command(promote)
