"""`bakeoff drift`: whether the validated data still look like those of the version in production.

No DVC stage: what it says depends on the history in Git, which is no dependency that DVC could watch.
"""

from collections.abc import Sequence
from pathlib import Path

import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.engine import Engine, opened
from bakeoff.data.params import DataParams
from bakeoff.ops.drift import drift_page as drift_sheet
from bakeoff.ops.drift.findings import Drift, DriftOutcome
from bakeoff.ops.drift.snapshot import ID, TABLES, Snapshot
from bakeoff.ops.git import check_repository, commit_of
from bakeoff.ops.params import DriftParams
from bakeoff.ops.revisions.compare import last_version

NO_EVIDENCE = "no evidence"


class _NoReferenceError(Exception):
    """Why there is no reference."""


def run(workspace: Workspace, data: DataParams, limits: DriftParams, since: str | None = None) -> None:
    """Set artifacts/validated beside that of a revision, and write drift.json, .md, .html and .svg.

    Args:
        workspace: inside a Git repository; with validated tables.
        data: which columns are features.
        limits: how far the data may differ.
        since: a Git revision; None: the version in production, or the last commit where no tag names one.

    Raises:
        BakeoffError: nothing was validated yet, there is no such revision, or too many rows are missing; in the last
            case the files are written before.
    """
    with opened() as engine:
        now = _in_workspace(engine, workspace)
        try:
            name, commit = _revision(workspace.root, since)
            before = _at_revision(engine, workspace.root, name, commit)
        except _NoReferenceError as error:
            _write_no_evidence(workspace.drift, str(error))
            print(f"Drift: no evidence. {error}")
            return
        from bakeoff.ops.drift.expectations import judge  # Great Expectations takes seconds to load

        drift = judge(before, now, data, limits, name, commit[:7])
        _write(workspace.drift, drift, (before.days, now.days))
    told = f"{drift_sheet.drift_headline(drift)}. {drift_sheet.drift_statement(drift)}"
    if drift.outcome is DriftOutcome.STOP:
        raise BakeoffError(f"{told} The picture: {workspace.drift / 'drift.html'}")
    print(told)
    print(f"Report: {workspace.drift / 'drift.html'}")


def _in_workspace(engine: Engine, workspace: Workspace) -> Snapshot:
    for name in TABLES:
        path = workspace.validated / f"{name}.parquet"
        if not path.exists():
            raise BakeoffError(f"{path} does not exist: run `dvc repro validate` first.")
    try:
        return _snapshot(engine, workspace.validated)
    except BakeoffError as error:
        raise BakeoffError(f"{error}: delete it and run `dvc repro validate`.") from None


def _snapshot(engine: Engine, folder: Path) -> Snapshot:
    def read(table: str, columns: Sequence[str]) -> ir.Table:
        return engine.read(folder / f"{table}.parquet", columns)

    for table in TABLES:
        read(table, [ID[table]])
    return Snapshot(read)


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


def _at_revision(engine: Engine, root: Path, name: str, commit: str) -> Snapshot:
    """The validated tables of a revision, brought to the engine's scratch from DVC's cache or its remote."""
    from dvc.api import DVCFileSystem  # takes seconds to load
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    folder = engine.scratch / "reference"
    try:
        DVCFileSystem(str(root), rev=commit).get("artifacts/validated", str(folder), recursive=True)
        return _snapshot(engine, folder)
    except (DvcException, DataIndexDirError, OSError, BakeoffError):  # their words hold paths, which no output does
        raise _NoReferenceError(
            f"The validated data of {name} can't be read: nothing was run there, or neither DVC's cache nor its remote "
            "holds them whole. `dvc fetch --all-tags` may bring them."
        ) from None


def _write(directory: Path, drift: Drift, events: drift_sheet.Events) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with replaced(directory) as new:
        write_json(new / "drift.json", drift.as_json())
        _text(new / "drift.md", drift_sheet.drift_markdown(drift))
        _text(new / "drift.html", drift_sheet.drift_html(drift, events))
        _text(new / "drift.svg", drift_sheet.picture(drift, events))


def _write_no_evidence(directory: Path, reason: str) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with replaced(directory) as new:
        write_json(new / "drift.json", {"outcome": NO_EVIDENCE, "reason": reason})
        _text(new / "drift.md", drift_sheet.no_evidence_markdown(reason))
        _text(new / "drift.html", drift_sheet.no_evidence_html(reason))


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
