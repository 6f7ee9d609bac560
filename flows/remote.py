"""Stages that run in other work pools: the flow `stage`, which a worker runs there, and its caller here.

The Prefect variable `bakeoff_placement` maps stages to work pools, as in {"train@softmax": "gpu-pool"}. Each pool has a
deployment `stage/POOL`. The revision travels by Git's remote, inputs and results by DVC's (docs/placement.md).
"""

import asyncio
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any
from uuid import UUID, uuid4

from dvc.repo import Repo
from prefect import flow, get_client, get_run_logger
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import State, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runner.storage import GitRepository
from prefect.runtime import flow_run
from prefect.states import Cancelling, Completed, Failed
from prefect.variables import Variable

from bakeoff.core.errors import BakeoffError
from bakeoff.core.subprocesses import ChildError, Log, read_output, run_child
from bakeoff.core.workspace import check_packages
from bakeoff.flows.dvc_stages import Dag, Outcome, copy_settings, run_stage, take_from_cache
from bakeoff.flows.publish import publish_validation
from bakeoff.ops.git import NETWORK_SECONDS, git
from bakeoff.ops.registry.history import REMOTE

VARIABLE = "bakeoff_placement"
CLONES = Path(".dvc/tmp/stages")
"""Below the worker's directory, a clone for each run: on one disk with its DVC cache."""
PARENTS = "parents.dvc"
"""The models that a warm start starts from, where there are any."""
START = "BAKEOFF_HOME=DIRECTORY prefect worker start --pool {}"

_POLL_SECONDS = 2.0
_GRACE_SECONDS = 600.0
"""Beyond a stage's time limit, for Git and DVC on the worker."""


@flow(name="stage", flow_run_name="{stage}")
def run_remote_stage(stage: str, revision: str, timeout_seconds: float) -> State[None]:
    """Run one stage of a revision in a clone of its own, and push the result to DVC's remote.

    The worker's directory is a clone of the project: its `origin`, its .dvc/config.local and its cache are used.

    Args:
        stage: Its name in the DAG.
        revision: Hash of a commit that `origin` has.
        timeout_seconds: A stage that takes longer is ended, and fails.
    """
    home, log = Path.cwd(), get_run_logger().info
    remove_clones(home)
    try:
        origin = git(home, "remote", "get-url", REMOTE)
        source = GitRepository(origin, name=str(flow_run.id), commit_sha=revision)
        source.set_base_path(home / CLONES)
        asyncio.run(source.pull_code())
        root = source.destination
        check_packages(root)
        copy_settings(home, root, share_cache=True)
        if (root / PARENTS).exists():  # DVC knows parents.json as what training depends on, not the files it names
            run_child(["dvc", "pull", PARENTS], root, log=log, timeout=timeout_seconds)
        try:
            run_stage(stage, root, log=log, timeout=timeout_seconds, options=["--pull"])
        finally:
            publish_validation(root)
        run_child(["dvc", "push", "--run-cache", stage], root, log=log, timeout=timeout_seconds)
    except (BakeoffError, RuntimeError, CalledProcessError) as error:
        return Failed(message=str(error))
    finally:
        shutil.rmtree(home / CLONES / str(flow_run.id), ignore_errors=True)
        (home / CLONES / f"{flow_run.id}.lock").unlink(missing_ok=True)  # Prefect's
    return Completed()


def remove_clones(home: Path) -> None:
    """Make the directory of clones, and remove those of runs that have ended without doing so."""
    (home / CLONES).mkdir(parents=True, exist_ok=True)
    with get_client(sync_client=True) as client:
        for clone in (path for path in (home / CLONES).iterdir() if path.is_dir()):
            with suppress(ObjectNotFound):
                state = client.read_flow_run(UUID(clone.name)).state
                if state is not None and not state.is_final():
                    continue
            shutil.rmtree(clone, ignore_errors=True)


def read_placement(workspace: Path, dag: Dag) -> Mapping[str, str]:
    """Work pool of each stage that does not run here.

    Raises:
        BakeoffError: the variable names a stage or a pool that does not exist, or that can't take or give the work now.
    """
    placement: Any = Variable.get(VARIABLE, default={})
    if not isinstance(placement, dict) or not all(isinstance(pool, str) for pool in placement.values()):
        raise BakeoffError(f'The Prefect variable {VARIABLE} is {placement!r}, not {{"STAGE": "WORK POOL"}}.')
    for stage in placement:
        if stage not in dag:
            near = [name for name in sorted(dag) if name.startswith(f"{stage}@")] or get_close_matches(stage, dag, 1, 0)
            raise BakeoffError(
                f"The Prefect variable {VARIABLE} names {stage!r}, which is not a stage of dvc.yaml: did you mean "
                f"{near[0]!r}? `dvc stage list` lists all."
            )
        read_inputs(workspace, stage)
    for pool in sorted(set(placement.values())):
        check_pool(pool)
    return placement


def check_pool(pool: str) -> None:
    """Refuse a pool that does not exist, has no worker, is paused, or has no deployment of the flow `stage`.

    Raises:
        BakeoffError: names the command that helps.
    """
    with get_client(sync_client=True) as client:
        pools = {each.name: each.status for each in client.read_work_pools()}
        flow_filter = FlowFilter(name=FlowFilterName(any_=["stage"]))
        deployed = [each.name for each in client.read_deployments(flow_filter=flow_filter)]
        unknown = f"does not exist, and the server at {client.api_url} has {', '.join(sorted(pools)) or 'none'}"
    status = pools.get(pool)
    deploy = f"prefect --no-prompt deploy flows/remote.py:run_remote_stage --name {pool} --pool {pool}"
    for applies, problem in (
        (status is None, f"{unknown}: `prefect work-pool create --type process {pool}`"),
        (pool not in deployed, f"has no deployment of stages: `{deploy}`"),
        (status is WorkPoolStatus.PAUSED, f"is paused: `prefect work-pool resume {pool}`"),
        (status is not WorkPoolStatus.READY, f"has no worker online: `{START.format(pool)}`"),
    ):
        if applies:
            raise BakeoffError(f"The Prefect variable {VARIABLE}: the work pool {pool!r} {problem}.")


def read_inputs(workspace: Path, stage: str) -> tuple[list[str], list[str]]:
    """Dependencies of a stage, and the outputs in DVC's cache that hold them; paths from the workspace's root.

    Raises:
        BakeoffError: the stage writes files that DVC's cache does not take, so its result would not travel.
    """
    with Repo(str(workspace)) as repo:
        [found] = [each for each in repo.index.stages if each.path_in_repo == "dvc.yaml" and each.name == stage]
        loose = [str(out) for out in found.outs if not out.use_cache]
        if loose:
            raise BakeoffError(
                f"The Prefect variable {VARIABLE} places {stage}, which writes files that DVC's cache does not take "
                f"({', '.join(loose)}: `cache: false`), so they would not come back: leave it out, and it runs here."
            )
        root = Path(repo.root_dir)
        inputs = [Path(dep.fs_path) for dep in found.deps]
        outs = [Path(out.fs_path) for out in repo.index.outs if out.use_cache]
        kept = {out for out in outs if any(out.is_relative_to(dep) or dep.is_relative_to(out) for dep in inputs)}
        return [str(path.relative_to(root)) for path in inputs], sorted(str(path.relative_to(root)) for path in kept)


def run_remotely(stage: str, workspace: Path, pool: str, *, log: Log, timeout: float, stop: Event) -> Outcome:
    """Bring one stage up to date with a worker of another pool, its upstream stages being so here.

    DVC's caches come first, so that no result is made twice, such as that of a run whose caller was killed.

    Args:
        stage: Its name in the DAG.
        workspace: Directory of dvc.yaml; `only_run` is held in it.
        pool: Has a deployment of `stage`.
        log: Gets what happens; the stage's own lines are in the log of the run on the pool.
        timeout: Seconds that the stage may run.
        stop: Cancels the run when set.

    Raises:
        ChildError: the run failed, was lost or was stopped, or its result is not found here.
    """
    known = take_from_cache(stage, workspace, log=log, timeout=timeout, stop=stop)
    if known is not None:
        return known
    inputs, kept = read_inputs(workspace, stage)
    kept += [PARENTS] if (workspace / PARENTS).exists() else []
    if kept:
        run_child(["dvc", "--wait-for-lock", "push", *kept], workspace, log=log, timeout=timeout, stop=stop)
    revision, ref = snapshot(workspace, inputs), f"refs/bakeoff/stages/{uuid4()}"
    push = partial(git, workspace, "push", "--quiet", "--no-verify", REMOTE, timeout=NETWORK_SECONDS)
    push(f"{revision}:{ref}")
    try:
        parameters = {"stage": stage, "revision": revision, "timeout_seconds": timeout}
        run: Any = run_deployment(f"stage/{pool}", parameters=parameters, flow_run_name=stage, timeout=0)
        log(f"{stage} runs in the work pool {pool}, as the flow run {run.id}.")
        state = wait_for_end(run.id, pool, timeout, stop)
    finally:
        with suppress(ChildError):
            push(f":{ref}")
    if not state.is_completed():
        reason, *tail = (state.message or "").splitlines()
        raise ChildError(f"ended as {state.name} in the work pool {pool}: {reason}", [line.strip() for line in tail])
    if take_from_cache(stage, workspace, log=log, timeout=timeout, stop=stop) is None:
        raise ChildError(
            f"ran in the work pool {pool}, and its result is not found here, so its inputs differed there: `dvc remote "
            "list` must name the same place on both machines, and no input may be a file that Git ignores"
        )
    return Outcome.REMOTE


def snapshot(workspace: Path, inputs: Iterable[str]) -> str:
    """Commit what a stage needs on top of HEAD, on no branch; the workspace and its index stay as they are.

    Returns:
        the commit's hash. It has the changes of tracked files, files with DVC's hashes, and inputs that Git does not
        know yet; other untracked files do not leave this machine.
    """
    with TemporaryDirectory(prefix="bakeoff-index-") as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        read_output(["git", "read-tree", "HEAD"], workspace, index)
        read_output(["git", "add", "--update"], workspace, index)
        wanted = ["ls-files", "-z", "--others", "--exclude-standard", "--", "dvc.lock", ":(glob)*.dvc", *inputs]
        new = [name for name in read_output(["git", *wanted], workspace, index).split("\0") if name]
        if new:
            read_output(["git", "add", "--", *new], workspace, index)
        tree = read_output(["git", "write-tree"], workspace, index)
    return git(workspace, "commit-tree", tree, "-p", "HEAD", "-m", "Inputs of a stage")


def wait_for_end(id: UUID, pool: str, timeout: float, stop: Event) -> State[Any]:
    """Final state of a run in a pool; however this function is left, the run has ended or is cancelled.

    It waits for a worker as long as the pool has one. The time limit holds from the moment in which a worker takes the
    run, since one that dies before it starts the run leaves it Pending; it begins anew when the run starts.

    Raises:
        ChildError: the pool's workers went away before one took it, it takes too long, or `stop` was set.
    """
    has_run, since = False, None
    with get_client(sync_client=True) as client:
        try:
            while True:
                state = client.read_flow_run(id).state
                if state is not None and state.is_final():
                    return state
                now = time.monotonic()
                if not has_run and state is not None and state.is_running():
                    has_run, since = True, now
                elif not has_run:
                    since = None if state is None or state.is_scheduled() else since or now
                    if client.read_work_pool(pool).status is not WorkPoolStatus.READY:
                        raise ChildError(f"was not begun: the work pool {pool} has no worker: `{START.format(pool)}`")
                if since is not None and now - since > timeout + _GRACE_SECONDS:
                    raise ChildError(f"took longer than {timeout:g} s in the work pool {pool}, or its machine is gone")
                if stop.wait(_POLL_SECONDS):
                    raise ChildError("was stopped")
        finally:
            last = client.read_flow_run(id).state
            if last is None or not last.is_final():
                client.set_flow_run_state(id, Cancelling(message="The run that needed it has ended."))
