"""`bakeoff tune`: settings are searched for on validation; the best are proposed as a diff of params.yaml."""

import fcntl
import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import write_json, write_text
from bakeoff.core.workspace import Workspace
from bakeoff.data.prepared.tables import load_prepared
from bakeoff.experiments.fingerprint import fingerprint
from bakeoff.experiments.selection import SELECTION_METRIC
from bakeoff.experiments.tuning.params_patch import unified_diff, with_chosen
from bakeoff.experiments.tuning.progress import outcome, shown
from bakeoff.experiments.tuning.scheduler import conduct
from bakeoff.experiments.tuning.space import Space, space_of, standing_values
from bakeoff.experiments.tuning.study import Study
from bakeoff.experiments.tuning.trial_log import record
from bakeoff.experiments.tuning.tune_objective import make_objective
from bakeoff.experiments.tuning.workers import Worker
from bakeoff.models import specs
from bakeoff.params import Params, load_params, parse_params

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def run(
    params: Params, workspace: Workspace, model: str, *, trials: int, timeout: float, jobs: int = 1, apply: bool = False
) -> None:
    """Search until there were `trials` trials or `timeout` seconds are spent, what earlier runs did included.

    Reads artifacts/split but for its test part. The study lies in .bakeoff/tuning, the record in tuning/<model>.json,
    pinned for DVC by tuning/<model>.json.dvc.

    Args:
        params: the values that stand: they are the first trial.
        workspace: of the project.
        model: whose settings are searched.
        trials: in total.
        timeout: wall time in total, in seconds.
        jobs: processes that try settings at the same time.
        apply: whether to write the best values into params.yaml.

    Raises:
        BakeoffError: there is nothing to search or no split, another run is at it, or no trial ran to its end.
        SystemExit: with status 130 after Ctrl-C; the study can be gone on with.
    """
    specs.check_model(model)
    space = space_of(params, model)
    path = workspace.root / ".bakeoff/tuning" / f"{model}-{_identity(params, workspace, model, space)[:12]}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.with_suffix(".lock")):
        max_epochs = getattr(getattr(params, model), "max_epochs", 0)
        study = Study(path, space, params.seed, max_epochs)
        _begin(study, params, model, space, trials, jobs)
        threads = max(1, (os.cpu_count() or 1) // jobs)
        start_worker = partial(Worker, partial(make_objective, workspace, params, model), threads)
        try:
            with _terminated_as_interrupted(), shown(study, model, trials) as told:
                conduct(study, start_worker, trials=trials, timeout=timeout, jobs=jobs, told=told)
        except KeyboardInterrupt:
            done = len(study.tried())
            print(f"{model}: interrupted after {done} of {trials} trials; the same command goes on from there.")
            raise SystemExit(INTERRUPTED) from None
        _finish(study, params, workspace, model, timeout, apply)


def _identity(params: Params, workspace: Workspace, model: str, space: Space) -> str:
    """Trials of one study are of the same data, code, space and settings that are not searched."""
    prepared = load_prepared(workspace)
    fixed = getattr(params, model).model_dump(mode="json")
    for name in space:
        *parents, last = name.split(".")
        section = fixed
        for parent in parents:
            section = section[parent]
        del section[last]
    searches = {name: asdict(search) for name, search in space.items()}
    decisive = {"seed": params.seed, "fixed": fixed, "space": searches}
    return fingerprint(prepared, f"bakeoff.stages.train_{model}", decisive)


def _begin(study: Study, params: Params, model: str, space: Space, trials: int, jobs: int) -> None:
    study.try_first(standing_values(params, model, space))
    study.worked_on_by(jobs)
    done = len(study.tried())
    if done:
        print(f"{model}: {done} of {trials} trials are done, in {study.seconds:.0f} s; going on.", flush=True)
    print(f"{model}: searching {', '.join(space)} by validation {SELECTION_METRIC}", flush=True)


def _finish(study: Study, params: Params, workspace: Workspace, model: str, timeout: float, apply: bool) -> None:
    best, tried = study.best(), study.tried()
    if best is None:
        reasons = {trial.reason for trial in tried if trial.reason}
        why = f" ({'; '.join(sorted(reasons))})" if reasons else ": raise --timeout"
        raise BakeoffError(f"None of {len(tried)} trials of {model} ran to its end in {study.seconds:.0f} s{why}.")
    path = workspace.tuning(model)
    kept = record(
        study, model=model, metric=SELECTION_METRIC, dataset=params.data.dataset, seed=params.seed, timeout=timeout
    )
    write_json(path, kept)
    _pin(path, f"Trials of `bakeoff tune {model}`")
    print(f"{model}: best of {len(tried)} trials is trial {best.number}, {outcome(best)}, after {study.seconds:.0f} s")
    print(f"  {path} is the record; commit it with {path.name}.dvc")
    before = workspace.params.read_text(encoding="utf-8")
    after = with_chosen(before, model, best.values)
    if before == after:
        print("  params.yaml has these values already.")
    elif apply:
        load_params(workspace.params)
        parse_params(_parsed(after))
        write_text(workspace.params, after)
        print(f"{unified_diff(before, after)}\n  params.yaml has these values now: review the change and commit it.")
    else:
        print(f"{unified_diff(before, after)}\n  --apply writes this into params.yaml.")


def _parsed(text: str) -> dict[str, object]:
    from ruamel.yaml import YAML

    values: dict[str, object] = YAML(typ="safe").load(text)
    return values


def _pin(path: Path, description: str) -> None:
    """Put a record under DVC: Git keeps the file itself, DVC its hash, and no pipeline ever makes it anew."""
    content = path.read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    lines = [
        f"desc: {description}; Git keeps the record, and nothing runs the search but that command.",
        "outs:",
        f"- md5: {digest}",
        f"  size: {len(content)}",
        "  hash: md5",
        f"  path: {path.name}",
        "  cache: false",
    ]
    write_text(path.with_name(f"{path.name}.dvc"), "\n".join(lines) + "\n")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else works on this study meanwhile.

    Raises:
        BakeoffError: someone does.
    """
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BakeoffError(
                "Another `bakeoff tune` works on this study: wait for its end, or give it more processes with --jobs."
            ) from None
        yield


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A polite kill ends the study as Ctrl-C does, and no process of it stays behind."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
