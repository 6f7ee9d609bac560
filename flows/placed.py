"""One stage on another machine: the flow that a worker runs, and the command that tells a work pool of it.

`python flows/placed.py POOL`, once for each pool that `placement` in params.yaml names. docs/placement.md has the rest.
"""

import logging
import os
import sys
from argparse import ArgumentParser
from importlib.metadata import distributions
from pathlib import Path
from platform import node
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from prefect import flow, get_client, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.utilities.callables import parameter_schema
from ruamel.yaml import YAML

from child import ChildError, Log, run_child
from clones import clone, forget_failed, forget_sent, has_unsent, keep_failed, keep_unsent
from dvc_stages import DVC, RUNNING, found_no_room, run_stage
from failed_checks import send_checks
from placed_run import FLOW, HEARTBEAT_SECONDS, START, greeting
from shipment import explained

LOCK = "requirements.lock"
DEPLOYMENTS = Path(__file__).resolve().parents[1] / "prefect.yaml"
"""Whose `pull` says where a worker finds the project."""


@flow(name=FLOW)
def placed(
    stage: str, repository: str, ref: str, revision: str, files: dict[str, str], timeout_seconds: float
) -> State[None]:
    """Run one stage of a revision, and give its result to DVC's remote. Other flows ask for this; people need not.

    Args:
        stage: Its name in the DAG.
        repository: Git repository that has the revision.
        ref: Reference that leads to it there.
        revision: Hash of the commit.
        files: Texts that the revision lacks, by path: dvc.lock of the run that asks, above all.
        timeout_seconds: A stage that takes longer is ended, and fails.
    """
    log = get_run_logger().info
    log(f"{greeting(stage, revision)}{node()}.")
    forget_failed(Path(), stage)
    try:
        with clone(Path(), str(flow_run.id), repository, ref, revision, files, log) as root:
            check_environment(root / LOCK)
            run_here(stage, root, log, timeout_seconds)
    except ChildError as error:
        return Failed(message=error.reason, data=error)
    finally:
        _flush()  # whoever waits for this run's end finds all of its lines then
    return Completed()


def run_here(stage: str, root: Path, log: Log, timeout: float) -> None:
    """Fetch the stage's inputs, run it, and send what it made, with the note by which others find it cached.

    Of a stage that fails, the reports of its checks are sent, and the clone is kept where the disk has room.
    """
    # The clone's code goes first: the environment may have the project installed from the worker's own directory.
    variables = {
        "PYTHONPATH": os.pathsep.join([str(root / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "DVC_SITE_CACHE_DIR": str(root / ".dvc/tmp/site"),  # goes with the clone
    }
    # Whoever asks has looked in the run cache; without it, inputs alone are fetched. But for what was made here before.
    options = ["--pull", *([] if has_unsent(root) else ["--no-run-cache"])]
    said: list[str] = []

    def watch(line: str) -> None:
        said.append(line)
        log(line)

    try:
        run_stage(stage, root, log=watch, timeout=timeout, options=options, variables=variables)
    except ChildError as error:
        if RUNNING.format(stage) in said:
            send_checks(root, log)
            if not found_no_room(error):
                kept = keep_failed(root, stage)
                log(f"What {stage} left lies on {node()} in {kept}, until it is placed there again.")
            raise
        raise explained(error, "the inputs could not be fetched by the worker from DVC's remote") from None
    push = [*DVC, "push", "--run-cache", stage]
    try:
        run_child(push, root, log=log, timeout=timeout, secrets=variables)
    except ChildError as error:
        keep_unsent(root)
        raise explained(error, "the result could not be sent from the worker to DVC's remote") from None
    forget_sent(root)


def check_environment(lock: Path) -> None:
    """Refuse to run with other packages than the revision pins. A revision without a lock pins none.

    Args:
        lock: The revision's requirements.lock.

    Raises:
        ChildError: names packages that differ.
    """
    if not lock.exists():
        return
    there = {canonicalize_name(each.name): each.version for each in distributions()}
    pins = [line.rstrip("\\ ") for line in lock.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
    wrong = []
    for pin in map(Requirement, pins):
        version = there.get(canonicalize_name(pin.name))
        applies = pin.marker is None or pin.marker.evaluate()
        if applies and (version is None or not pin.specifier.contains(version, prereleases=True)):
            wrong.append(f"{pin.name} {version or 'is missing'}, not {pin.specifier}")
    if wrong:
        raise ChildError(
            f"the worker's environment ({sys.prefix}) is not the one that the revision's {LOCK} pins: "
            f"{'; '.join(wrong[:3])}{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}. On the worker: check "
            "the revision out in BAKEOFF_HOME, `make .venv/.ready`, and start the worker again"
        )


def deploy(pool: str) -> None:
    """Tell a work pool how a stage is run: afterwards, `placement` in params.yaml may name the pool.

    Raises:
        ChildError: the server has no such pool.
    """
    with get_client(sync_client=True) as client:
        try:
            kind = client.read_work_pool(pool).type
        except ObjectNotFound:
            raise ChildError(
                f"{client.api_url} has no work pool {pool!r}: `prefect work-pool create --type process {pool}`"
            ) from None
        variables: dict[str, Any] = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}}
        if kind == "process":
            variables["stream_output"] = False  # a run whose output goes through its worker ends with the worker
        client.create_deployment(
            flow_id=client.create_flow(placed),
            name=pool,
            description="One stage of the pipeline, when a run elsewhere asks for it.",
            entrypoint=f"flows/placed.py:{placed.fn.__name__}",
            work_pool_name=pool,
            pull_steps=YAML(typ="safe").load(DEPLOYMENTS)["pull"],
            job_variables=variables,
            parameter_openapi_schema=parameter_schema(placed).model_dump_for_openapi(),
            enforce_parameter_schema=True,
        )


def _flush() -> None:
    for handler in logging.getLogger("prefect.flow_runs").handlers:
        if isinstance(handler, APILogHandler):
            handler.flush()


def main() -> None:
    """Deploy the flow to a pool of the server in PREFECT_API_URL."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("pool", help="a work pool of the Prefect server")
    pool = parser.parse_args().pool
    try:
        deploy(pool)
    except ChildError as error:
        sys.exit(f"error: {error}")
    print(f"{FLOW}/{pool} is deployed. Workers: {START.format(pool)}")


if __name__ == "__main__":
    main()
