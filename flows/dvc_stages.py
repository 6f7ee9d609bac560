"""DVC as an orchestrator needs it: the DAG, one stage run through DVC, one run at a time, and settings of a clone."""

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from graphlib import TopologicalSorter
from pathlib import Path
from threading import Event
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import locked
from bakeoff.core.subprocesses import NEVER, ChildError, Env, Log, read_output, run_child
from bakeoff.core.workspace import Workspace
from bakeoff.ops.git import ask
from bakeoff.ops.new_workspace import refresh_version

RUNNING = "Running stage '{}':"
"""DVC's line before it runs a stage's command."""
CORE = ("compare",)
"""Stages that, with all before them, lead to a verdict."""
Dag = Mapping[str, frozenset[str]]
"""Each stage and the stages right before it."""

_NODE = re.compile(r'^"([^"]+)";$', re.MULTILINE)
_EDGE = re.compile(r'^"([^"]+)" -> "([^"]+)";$', re.MULTILINE)

# Six lines of advice that DVC prints after each stage, for people at a keyboard.
_ADVICE = re.compile(
    r"To track the changes with git, run:|\tgit add .*|To enable auto staging, run:"
    r"|\tdvc config core\.autostage true|Use `dvc push` to send your updates to remote storage\."
)


_EXPLAINED = {
    re.compile(r"No space left on device|Disk quota exceeded|The disk is full"): (
        "the disk is full. Make room for {} and DVC's cache (`dvc cache dir` says where that is) and run again: stages "
        "that are done are not repeated"
    ),
    re.compile(r"exited with (?:-9|137)$", re.MULTILINE): (  # 137 by a shell that waits for what it runs
        "its process was killed from outside, by the system if memory ran out (`dmesg` says so), or by a person. "
        "Nothing half-written was left; run again"
    ),
}
"""What the last lines of a stage match, and the cause with its fix, where DVC gives none; `{}` is the workspace."""


class Outcome(StrEnum):
    """How a stage was brought up to date."""

    RAN = "Ran"
    UNCHANGED = "Unchanged"
    CACHED = "Cached"
    """Not run: its outputs came from the run cache."""
    REMOTE = "Ran elsewhere"
    """Run by another work pool: its outputs came from DVC's remote."""


def read_dag(workspace: Path, file: str = "dvc.yaml") -> Dag:
    """Ask DVC for the DAG of a dvc.yaml and of the stages that it depends on in other files.

    Nodes of data alone (`*.dvc`) are left out.

    Raises:
        ChildError: DVC can't read the workspace.
        BakeoffError: there is no stage in the file, or no such file.
    """
    target = [file] if (workspace / file).exists() else []
    dag = parse_dag(read_output(["dvc", "dag", "--dot", *target], workspace)) if target or file == "dvc.yaml" else {}
    if not dag:
        raise BakeoffError(f"{workspace.resolve()} has no stages: its {file} is missing or empty.")
    return dag


def parse_dag(dot: str) -> Dag:
    """Read the output of `dvc dag --dot`."""
    stages = [node for node in _NODE.findall(dot) if not node.endswith(".dvc")]
    edges = _EDGE.findall(dot)
    return {
        stage: frozenset(before for before, after in edges if after == stage and before in stages) for stage in stages
    }


def needed_for(targets: Collection[str], dag: Dag) -> Dag:
    """The stages of these names (`export` is every `export@MODEL`) and all before them; all if there is none."""
    waiting, found = [stage for stage in dag if stage.partition("@")[0] in targets], set[str]()
    while waiting:
        stage = waiting.pop()
        waiting += dag[stage] - found
        found.add(stage)
    return {stage: before for stage, before in dag.items() if stage in found} or dag


def unchanged_stages(dag: Dag, workspace: Path) -> frozenset[str]:
    """Stages that DVC would not run, and no stage before them either: one DVC process instead of one per stage.

    Raises:
        ChildError: DVC cannot read the workspace.
    """
    stale = {stage for stage, changes in _status(dag, workspace).items() if changes != ["always changed"]}
    for stage in TopologicalSorter(dag).static_order():
        if stale & dag[stage]:
            stale.add(stage)
    return frozenset(dag) - stale


def outdated_stages(targets: Sequence[str], workspace: Path) -> list[str]:
    """Stages that do not fit dvc.lock, as far as can be said without data and outputs.

    Raises:
        ChildError: DVC can't read the workspace.
    """
    # Status first: `dvc repro --dry` fails where a stage would run whose data are absent.
    status = _status(needed_for(targets, read_dag(workspace)), workspace)
    if changed := [name for name, changes in status.items() if name != "version" and any(map(_is_real, changes))]:
        return changed
    printed = read_output(["dvc", "repro", "--dry", "--allow-missing", *targets], workspace)
    stages = re.findall(f"^{RUNNING.format('(.+)')}$", printed, re.MULTILINE)
    return [stage for stage in stages if stage != "version"]


def _status(dag: Dag, workspace: Path) -> dict[str, list[Any]]:
    """Stage → its changes, as `dvc status --json` prints them, of stages that have any.

    The stage `version` of a workspace without code always runs under `dvc repro`. What it would write is written here,
    so that it has changed only if another version is installed.
    """
    refresh_version(Workspace(workspace))
    return dict(json.loads(read_output(["dvc", "status", "--json", *dag], workspace) or "{}"))


def _is_real(change: str | Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a change that `dvc status` names is more than the absence of files."""
    if isinstance(change, str):
        return change != "always changed"
    return any(state not in ("deleted", "not in cache") for files in change.values() for state in files.values())


def run_stage(
    stage: str,
    workspace: Path,
    *,
    log: Log,
    timeout: float,
    stop: Event = NEVER,
    options: Sequence[str] = (),
    variables: Env = None,
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

    command = ["dvc", "--wait-for-lock", "repro", "--single-item", *options, stage]
    try:
        run_child(command, workspace, log=watch, timeout=timeout, stop=stop, variables=variables)
    except ChildError as error:
        tail = "\n".join(error.tail)
        causes = [f": {cause.format(workspace.resolve())}" for sign, cause in _EXPLAINED.items() if sign.search(tail)]
        raise ChildError(error.reason + "".join(causes[:1]), error.tail, error.status) from None
    return outcome


def take_from_cache(stage: str, workspace: Path, *, log: Log, timeout: float, stop: Event = NEVER) -> Outcome | None:
    """Bring a stage up to date from DVC's caches, here and on the default remote; its command is never run.

    Returns:
        Unchanged or Cached; None if no cache has the result.

    Raises:
        ChildError: DVC can't read the workspace, or can't reach the remote.
    """
    lines: list[str] = []
    # DVC has no option for this. It runs commands with the shell that SHELL names, and this shell runs none.
    refusing = {"SHELL": shutil.which("false") or "/bin/false"}
    try:
        outcome = run_stage(
            stage, workspace, log=lines.append, timeout=timeout, stop=stop, options=["--pull"], variables=refusing
        )
    except ChildError:
        if RUNNING.format(stage) in lines:
            return None
        raise
    for line in lines:
        log(line)
    return outcome


@contextmanager
def only_run(workspace: Path, log: Log) -> Iterator[None]:
    """Wait until no other run works in this workspace, then hold its lock; repair a dvc.lock that was cut off.

    Without it DVC would refuse the second run: `is busy, it is being blocked by`. The lock is the system's, and child
    processes inherit it: it is free when the run and all that it started have ended, however they did. Take it before
    DVC reads the DAG, which a dvc.lock that was cut off prevents.

    Raises:
        BakeoffError: the workspace is not a DVC repository, or a dvc.lock has the conflict markers of a merge.
    """
    if not (workspace / ".dvc").is_dir():
        raise BakeoffError(f"{workspace.resolve()} is not inside of a DVC repository: name the project's directory.")
    path = Workspace(workspace).run_lock
    path.parent.mkdir(exist_ok=True)
    waiting = f"Another run is at work in {workspace.resolve()}: waiting for its end."
    with locked(path, lambda: log(waiting)) as lock:
        os.set_inheritable(lock, True)
        for name in ("dvc.lock", "studies/dvc.lock"):
            repair_lock(workspace, name, log)
        yield


def repair_lock(workspace: Path, name: str, log: Log) -> None:
    """Put back a dvc.lock that was cut off, as a kill in the moment in which DVC writes it does.

    It comes from the last commit, or is removed. No stage runs again for it: DVC's run cache has what newer entries
    recorded.

    Raises:
        BakeoffError: it has the conflict markers of a merge; it stays as it is.
    """
    path = workspace / name
    with locked(workspace / ".dvc/tmp/lock"):  # DVC holds this lock while it writes
        if not path.exists() or is_whole(found := path.read_bytes()):
            return
        if any(line.startswith(b"<<<<<<< ") for line in found.splitlines()):
            raise BakeoffError(
                f"{path.resolve()} has the conflict markers of a merge: `git checkout HEAD -- {name}` takes the file "
                "of your branch, and what the other side ran is found in DVC's run cache or runs again. If the markers "
                "were committed, name a commit before that in place of HEAD."
            )
        committed = os.fsencode(f"{ask(workspace, 'show', f'HEAD:./{name}') or ''}\n")
        if is_whole(committed):
            path.write_bytes(committed)
        else:
            path.unlink()
    source = "as in the last commit" if path.exists() else "removed, and DVC writes it anew"
    log(f"A DVC command was killed while it wrote {name}: it is {source}.")


def is_whole(text: bytes) -> bool:
    """Whether a dvc.lock was written to its end: the last line has ended, it is YAML, and every file has a hash."""
    try:
        stages = YAML(typ="safe").load(text)["stages"].values()
        entries = [entry for stage in stages for kind in ("deps", "outs") for entry in stage.get(kind, [])]
    except (YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        return False
    return text.endswith(b"\n") and all(len(entry) > 1 for entry in entries)


def copy_settings(home: Path, clone: Path, *, share_cache: bool) -> None:
    """Give a clone what Git does not carry: .dvc/config.local, the places of DVC's remotes, and a cache.

    Args:
        home: The workspace that is cloned, or in which the worker runs.
        clone: A remote with a relative path means the same place there as in `home`.
        share_cache: Whether the clone uses the cache of `home`; otherwise its own, which no setting of `home` changes.
    """
    local = home / ".dvc/config.local"
    if local.exists():
        shutil.copy(local, clone / ".dvc/config.local")  # with its mode: it may hold a password
    from dvc.repo import Repo  # takes a second to load

    with Repo(str(home)) as repo:
        urls = {name: str(remote["url"]) for name, remote in repo.config["remote"].items()}
    for name, url in urls.items():
        if "://" not in url:  # DVC reads a relative path as one from its configuration's directory
            read_output(["dvc", "remote", "add", "--force", "--local", name, str(Path(url).resolve())], clone)
    cache = cache_of(home) if share_cache else clone.resolve() / ".dvc/cache"
    read_output(["dvc", "cache", "dir", "--local", str(cache)], clone)


def cache_of(workspace: Path) -> Path:
    """Directory of DVC's cache."""
    return (workspace / read_output(["dvc", "cache", "dir"], workspace)).resolve()
