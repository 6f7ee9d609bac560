"""DVC's stages as an orchestrator needs them: the DAG, and one stage run through DVC."""

import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from graphlib import TopologicalSorter
from pathlib import Path
from threading import Event
from typing import Any

from child import NEVER, ChildError, Log, read_output, run_child
from recovery import keep_lock_files, recover

DVC = ("dvc",)
RUNNING = "Running stage '{}':"
"""What DVC says before it runs a stage's command."""
Dag = Mapping[str, frozenset[str]]
"""Each stage and the stages right before it."""

_NODE = re.compile(r'^"([^"]+)";$', re.MULTILINE)
_EDGE = re.compile(r'^"([^"]+)" -> "([^"]+)";$', re.MULTILINE)

# What DVC tells someone at a keyboard after each stage: of no use in a log, six lines a stage.
_ADVICE = re.compile(
    r"To track the changes with git, run:|\tgit add .*|To enable auto staging, run:"
    r"|\tdvc config core\.autostage true|Use `dvc push` to send your updates to remote storage\."
)


_FULL = re.compile(r"No space left on device|Disk quota exceeded|The disk is full")
_KILLED = re.compile(r"exited with (?:-9|137)$", re.MULTILINE)  # 137 by a shell that waits for what it runs
_POLL_SECONDS = 0.5


class Outcome(StrEnum):
    """What DVC did about a stage."""

    RAN = "Ran"
    UNCHANGED = "Unchanged"
    CACHED = "Cached"
    """Not run: its outputs came from the run cache."""
    PLACED = "Placed"
    """Run on another machine: its outputs came from DVC's remote."""


@contextmanager
def only_run(workspace: Path, log: Log) -> Iterator[None]:
    """Wait until no other run is at work in this workspace, then keep others waiting.

    DVC alone would fail the second one: `is busy, it is being blocked by`. The lock is the system's and goes with the
    process; what else a killed run left behind is cleared away first.
    """
    path = workspace / ".dvc/tmp/pipeline.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as lock:
        waiting = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    log(f"Another run is at work in {workspace.resolve()}: waiting for its end.")
                waiting = True
                time.sleep(_POLL_SECONDS)
        recover(workspace, log)
        yield


def is_up_to_date(workspace: Path) -> bool:
    """Whether DVC would run nothing."""
    try:
        read_output([*DVC, "status", "--quiet", "dvc.yaml"], workspace)
    except ChildError:
        return False
    return True


def read_dag(workspace: Path) -> Dag:
    """Ask DVC for the DAG of the root's dvc.yaml.

    Nodes that stand for data alone (`*.dvc`) are left out, and so are the stages of other files, such as
    studies/dvc.yaml, which have flows of their own.

    Raises:
        ChildError: DVC cannot read the workspace, or there is no stage in it.
    """
    target = ["dvc.yaml"] if (workspace / "dvc.yaml").exists() else []
    dag = parse_dag(read_output([*DVC, "dag", "--dot", *target], workspace))
    if not dag:
        raise ChildError(f"{workspace.resolve()} has no stages: its dvc.yaml is missing or empty")
    return dag


def parse_dag(dot: str) -> Dag:
    """Read what `dvc dag --dot` prints."""
    stages = [node for node in _NODE.findall(dot) if not node.endswith(".dvc")]
    edges = _EDGE.findall(dot)
    return {
        stage: frozenset(before for before, after in edges if after == stage and before in stages) for stage in stages
    }


def unchanged_stages(dag: Dag, workspace: Path) -> frozenset[str]:
    """Stages that DVC would not run, nor any stage before them: one question instead of a DVC per stage.

    Raises:
        ChildError: DVC cannot read the workspace.
    """
    if not dag:
        return frozenset()
    stale = set(json.loads(read_output([*DVC, "status", "--json", *dag], workspace) or "{}"))
    for stage in TopologicalSorter(dag).static_order():
        if stale & dag[stage]:
            stale.add(stage)
    return frozenset(dag) - stale


def run_stage(
    stage: str,
    workspace: Path,
    *,
    log: Log,
    timeout: float,
    stop: Event = NEVER,
    options: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Outcome:
    """Bring one stage up to date through DVC, its upstream stages being so already.

    Only with `--single-item` do two stages run side by side in one workspace; DVC's lock is held for moments
    then, and `--wait-for-lock` waits for it.

    Args:
        stage: Its name in the DAG, such as `split` or `evaluate@mf`.
        workspace: Directory of dvc.yaml.
        log: Gets every line that DVC and the stage print.
        timeout: Seconds after which DVC, the stage and all that it started are ended.
        stop: Ends them too when set.
        options: Further ones of `dvc repro`.
        variables: Further ones of its environment.

    Raises:
        ChildError: the stage failed, took longer than `timeout`, or was stopped.
    """
    signs = {
        RUNNING.format(stage): Outcome.RAN,
        f"Stage '{stage}' is cached - skipping run, checking out outputs": Outcome.CACHED,
    }
    outcome = Outcome.UNCHANGED

    def watch(line: str) -> None:
        nonlocal outcome
        if outcome is Outcome.UNCHANGED:  # DVC's line comes first; a stage may then print what it likes
            outcome = signs.get(line, outcome)
        if not _ADVICE.fullmatch(line):
            log(line)

    command = [*DVC, "--wait-for-lock", "repro", "--single-item", *options, stage]
    try:
        run_child(command, workspace, log=watch, timeout=timeout, stop=stop, secrets=variables)
    except ChildError as error:
        raise ChildError(_explained(error, workspace), error.tail, error.status) from None
    keep_lock_files(workspace)
    return outcome


def take_from_cache(stage: str, workspace: Path, *, log: Log, timeout: float, stop: Event = NEVER) -> Outcome | None:
    """Bring a stage up to date by what it, or this very stage elsewhere, has given: its command is never run.

    Args:
        stage: Its name in the DAG; its upstream stages are up to date.
        workspace: Directory of dvc.yaml; runs in the cache of DVC's default remote count as well.
        log: Gets what DVC says, where the stage is up to date then.
        timeout: As for `run_stage`.
        stop: As for `run_stage`.

    Returns:
        Unchanged or Cached; None where nothing is known of it, and only a run could tell.

    Raises:
        ChildError: DVC can't read the workspace, or not reach the remote.
    """
    said: list[str] = []
    # DVC has no option for this. It runs commands by the shell that SHELL names, and this one runs none.
    refusing = {"SHELL": shutil.which("false") or "/bin/false"}
    settings: dict[str, Any] = {"timeout": timeout, "stop": stop, "options": ["--pull"], "variables": refusing}
    try:
        outcome = run_stage(stage, workspace, log=said.append, **settings)
    except ChildError:
        if RUNNING.format(stage) in said:
            return None
        raise
    for line in said:
        log(line)
    return outcome


def found_no_room(error: ChildError) -> bool:
    """Whether a process failed for want of room on a disk."""
    return any(map(_FULL.search, error.tail))


def _explained(error: ChildError, workspace: Path) -> str:
    """The reason of a failure, with what a person can do where DVC does not say it."""
    said = "\n".join(error.tail)
    if found_no_room(error):
        return (
            f"{error.reason}: the disk is full. Make room for {workspace.resolve()} and DVC's cache (`dvc cache dir` "
            "says where that is) and run again: stages that are done are not repeated"
        )
    if _KILLED.search(said):
        return (
            f"{error.reason}: its process was killed from outside, by the system if memory ran out (`dmesg` says so), "
            "or by a person. Nothing half-written was left; run again"
        )
    return error.reason
