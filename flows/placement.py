"""Stages that run on other machines: which, on what pools, and one of them from here to there and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Event
from typing import Any

from prefect import get_client
from prefect.exceptions import ObjectNotFound

from bakeoff.core.errors import BakeoffError
from bakeoff.params import load_params
from child import ChildError, Log
from dvc_stages import Dag, Outcome, take_from_cache
from placed_run import FLOW, Patience, run_on
from shipment import Parts, explained, read_parts, repository_url, shipped


@dataclass(frozen=True)
class Placement:
    """What `placement` and `placed` in params.yaml say, checked against dvc.yaml and the Prefect server.

    Attributes:
        pools: work pool of each placed stage.
        parts: inputs of each.
        repository: URL or path from which workers fetch the revision.
        worker_seconds: seconds without a sign of a worker after which nobody is waited for.
    """

    pools: Mapping[str, str]
    parts: Mapping[str, Parts]
    repository: str
    worker_seconds: float


def read_placement(workspace: Path, dag: Dag) -> Placement | None:
    """Where stages run.

    Args:
        workspace: Directory of dvc.yaml.
        dag: All stages of it.

    Returns:
        None where all of them run here, which is the default.

    Raises:
        ChildError: params.yaml is not valid, or names what there is not or what can't be placed.
    """
    path = workspace / "params.yaml"
    if not path.exists():
        return None
    try:
        params = load_params(path)
        if not params.placement:
            return None
        check_stages(params.placement, dag)
        check_pools(params.placement)
        repository = repository_url(workspace, params.placed.git_remote)
    except BakeoffError as error:
        raise ChildError(str(error)) from None
    parts = read_parts(workspace, params.placement)
    return Placement(params.placement, parts, repository, params.placed.worker_seconds)


def check_stages(pools: Mapping[str, str], dag: Dag) -> None:
    """Refuse names that are no stages.

    Raises:
        BakeoffError: names the nearest stage.
    """
    for stage in pools.keys() - dag.keys():
        near = [name for name in sorted(dag) if name.startswith(f"{stage}@")] or get_close_matches(stage, dag, 1, 0)
        raise BakeoffError(
            f"placement in params.yaml names {stage!r}, which is no stage of dvc.yaml: did you mean {near[0]!r}? "
            "`dvc stage list` shows them all."
        )


def check_pools(pools: Mapping[str, str]) -> None:
    """Refuse pools that are not there, take nothing now, or know nothing of placed stages.

    Raises:
        BakeoffError: says which pools there are, or what makes the one that is meant.
    """
    with get_client(sync_client=True) as client:
        known = {pool.name: pool for pool in client.read_work_pools()}
        for stage, pool in sorted(pools.items()):
            if pool not in known:
                raise BakeoffError(
                    f"placement in params.yaml gives {stage} to the work pool {pool!r}, and the Prefect server at "
                    f"{client.api_url} has {', '.join(sorted(known)) or 'none'}: `prefect work-pool create --type "
                    f"process {pool}`, then `python flows/placed.py {pool}`; or set PREFECT_API_URL to the server "
                    "that has it."
                )
            if known[pool].is_paused:
                raise BakeoffError(
                    f"The work pool {pool!r}, to which placement in params.yaml gives {stage}, is paused: "
                    f"`prefect work-pool resume {pool}`."
                )
            try:
                client.read_deployment_by_name(f"{FLOW}/{pool}")
            except ObjectNotFound:
                raise BakeoffError(
                    f"The work pool {pool!r}, to which placement in params.yaml gives {stage}, does not know yet how "
                    f"a stage is run: `python flows/placed.py {pool}` tells it, once."
                ) from None


def run_placed(stage: str, workspace: Path, placement: Placement, *, log: Log, timeout: float, stop: Event) -> Outcome:
    """Bring one stage up to date by a worker of its pool, its upstream stages being so here.

    DVC's caches are asked first, here and on the remote: nobody is given what is known already, such as what a worker
    had finished when the run that wanted it was killed.

    Args:
        stage: Its name in the DAG.
        workspace: Directory of dvc.yaml; `only_run` is held in it.
        placement: What `read_placement` gave.
        log: Gets every line that the worker's run logs.
        timeout: Seconds that it may wait in the pool's queue, and seconds that it may run there.
        stop: Ends the worker's run when set.

    Raises:
        ChildError: what went wrong, and how to go on.
    """
    pool = placement.pools[stage]
    limits: dict[str, Any] = {"log": log, "timeout": timeout, "stop": stop}
    outcome = _known(stage, workspace, **limits)
    if outcome is not None:
        return outcome
    log(f"{stage} is given to the work pool {pool}.")
    with shipped(workspace, placement.repository, placement.parts[stage], **limits) as shipment:
        patience = Patience(placement.worker_seconds, timeout)
        run_on(pool, stage, shipment, workspace, patience, log=log, stop=stop)
    if _known(stage, workspace, **limits) is None:
        raise ChildError(
            f"ran on {pool} and is not found cached here, so its inputs were not the same there: files that Git "
            "ignores and dvc.yaml names as deps, or line endings that Git changes, do that. `dvc status` here, and "
            f"the log of the run on {pool}, tell more. Nothing was run here instead"
        )
    log(f"{stage} is found cached: it ran on {pool}, and a plain `dvc repro` takes that too.")
    return Outcome.PLACED


def _known(stage: str, workspace: Path, *, log: Log, timeout: float, stop: Event) -> Outcome | None:
    try:
        return take_from_cache(stage, workspace, log=log, timeout=timeout, stop=stop)
    except ChildError as error:
        raise explained(error, "could not ask DVC's remote for its result") from None
