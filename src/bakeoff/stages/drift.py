"""`bakeoff drift`: whether the validated data still look like those of the version in production.

No DVC stage: what it says depends on the history in Git, which is no dependency that DVC could watch.
"""

from pathlib import Path

import pandas as pd

from bakeoff.drift.findings import Drift, Outcome
from bakeoff.drift.snapshot import Snapshot, days
from bakeoff.errors import BakeoffError
from bakeoff.params import Params
from bakeoff.registry.git import check_repository, commit_of
from bakeoff.report import drift_sheet
from bakeoff.stages.files import replaced, write_json
from bakeoff.stages.revisions import last_version
from bakeoff.workspace import Workspace

TABLES = ("interactions", "users", "items")
NO_EVIDENCE = "no evidence"


class _NoReferenceError(Exception):
    """Why there is no reference."""


def run(params: Params, workspace: Workspace, since: str | None = None) -> None:
    """Set artifacts/validated beside that of a revision, and write drift.json, .md, .html and .svg.

    Args:
        params: `data` says which columns are features, `drift` how far they may differ.
        workspace: inside a Git repository; with validated tables.
        since: a Git revision; None: the version in production, or the last commit where no tag names one.

    Raises:
        BakeoffError: nothing was validated yet, there is no such revision, or too many rows are missing; in the last
            case the files are written before.
    """
    now = _in_workspace(workspace)
    try:
        name, commit = _revision(workspace.root, since)
        before = _at_revision(workspace.root, name, commit)
    except _NoReferenceError as error:
        _write_no_evidence(workspace.drift, str(error))
        print(f"Drift: no evidence. {error}")
        return
    from bakeoff.drift.judging import judge  # Great Expectations takes seconds to load

    drift = judge(before, now, params.data, params.drift, name, commit[:7])
    _write(workspace.drift, drift, (days(before), days(now)))
    told = f"{drift_sheet.headline(drift)}. {drift_sheet.statement(drift)}"
    if drift.outcome is Outcome.STOP:
        raise BakeoffError(f"{told} The picture: {workspace.drift / 'drift.html'}")
    print(told)
    print(f"Report: {workspace.drift / 'drift.html'}")


def _in_workspace(workspace: Workspace) -> Snapshot:
    tables = {}
    for name in TABLES:
        path = workspace.validated / f"{name}.parquet"
        try:
            tables[name] = pd.read_parquet(path)
        except FileNotFoundError:
            raise BakeoffError(f"{path} does not exist: run `dvc repro validate` first.") from None
        except (OSError, ValueError) as error:
            raise BakeoffError(f"{path} can't be read ({error}): delete it and run `dvc repro validate`.") from None
    return Snapshot(**tables)


def _revision(root: Path, since: str | None) -> tuple[str, str]:
    """Name and commit of the reference."""
    try:
        check_repository(root)
    except BakeoffError:
        if since is not None:
            raise
        raise _NoReferenceError("There is no commit yet, and so no version to compare with.") from None
    name = last_version(root) if since is None else since
    return name, commit_of(root, name)


def _at_revision(root: Path, name: str, commit: str) -> Snapshot:
    """The validated tables of a revision, from DVC's cache or its remote."""
    from dvc.api import DVCFileSystem  # takes seconds to load
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    tables = {}
    try:
        files = DVCFileSystem(str(root), rev=commit)
        for table in TABLES:
            path = f"artifacts/validated/{table}.parquet"
            # Spark leaves a directory of parts, which sort as the rows do.
            parts = sorted(files.find(path)) if files.isdir(path) else [path]
            frames = []
            for part in parts:
                with files.open(part) as file:
                    frames.append(pd.read_parquet(file))
            tables[table] = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    except (DvcException, DataIndexDirError, OSError, ValueError):  # their words hold paths, which no output does
        raise _NoReferenceError(
            f"The validated data of {name} can't be read: nothing was run there, or neither DVC's cache nor its remote "
            "holds them whole. `dvc fetch --all-tags` may bring them."
        ) from None
    return Snapshot(**tables)


def _write(directory: Path, drift: Drift, events: drift_sheet.Events) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with replaced(directory) as new:
        write_json(new / "drift.json", drift.as_json())
        _text(new / "drift.md", drift_sheet.markdown(drift))
        _text(new / "drift.html", drift_sheet.html(drift, events))
        _text(new / "drift.svg", drift_sheet.picture(drift, events))


def _write_no_evidence(directory: Path, reason: str) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with replaced(directory) as new:
        write_json(new / "drift.json", {"outcome": NO_EVIDENCE, "reason": reason})
        _text(new / "drift.md", drift_sheet.no_evidence_markdown(reason))
        _text(new / "drift.html", drift_sheet.no_evidence_html(reason))


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
