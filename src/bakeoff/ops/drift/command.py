"""`bakeoff drift`: whether the validated data still look like those of the version in production.

No DVC stage: what it says depends on the history in Git, which is no dependency that DVC could watch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json, write_text
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.engine import Engine, opened
from bakeoff.data.params import DataParams
from bakeoff.ops.drift import drift_page
from bakeoff.ops.drift.distributions import ID, TABLES, Snapshot
from bakeoff.ops.drift.expectations import DriftOutcome, judge
from bakeoff.ops.git import ask, check_repository, commit_of
from bakeoff.ops.params import DriftParams
from bakeoff.ops.registry.files import dvc_files
from bakeoff.ops.revisions.compare import last_version

NO_EVIDENCE = "no evidence"


class _NoReferenceError(Exception):
    """Why there is no reference."""


def run(workspace: Workspace, data: DataParams, limits: DriftParams, since: str | None = None) -> None:
    """Compare artifacts/validated with that of a revision, and write drift.json, .md, .html and .svg.

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
        try:
            now = _snapshot(engine, workspace.validated)
        except BakeoffError as error:
            remedy = "run `dvc repro validate`, and delete the file first if it is damaged"
            raise BakeoffError(f"{error}: {remedy}.") from None
        try:
            name, commit = _revision(workspace.root, since)
            before = _at_revision(engine, workspace.root, name, commit)
        except _NoReferenceError as error:
            as_json = {"outcome": NO_EVIDENCE, "reason": str(error)}
            _write(workspace.drift, as_json, **drift_page.no_evidence(str(error)))
            print(f"Drift: no evidence. {error}")
            return
        drift, events = judge(before, now, data, limits, name, commit[:7]), (before.days, now.days)
        _write(workspace.drift, drift.as_json(), **drift_page.pages(drift, events))
    summary = ". ".join(drift_page.drift_summary(drift))
    if drift.outcome is DriftOutcome.STOP:
        raise BakeoffError(f"{summary} The picture: {workspace.drift / 'drift.html'}")
    print(summary)
    print(f"Report: {workspace.drift / 'drift.html'}")


def _snapshot(engine: Engine, folder: Path) -> Snapshot:
    """The tables of a directory; raises a BakeoffError if one can't be read."""

    def read(table: str, columns: Sequence[str]) -> ir.Table:
        return engine.read(folder / f"{table}.parquet", columns)

    for table in TABLES:
        read(table, [ID[table]])
    return Snapshot(read)


def _revision(root: Path, since: str | None) -> tuple[str, str]:
    """Name and commit of the reference."""
    if since is None and ask(root, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        raise _NoReferenceError("There is no commit yet, and so no version to compare with.")
    check_repository(root)
    name = last_version(root) if since is None else since
    return name, commit_of(root, name)


def _at_revision(engine: Engine, root: Path, name: str, commit: str) -> Snapshot:
    """The validated tables of a revision, brought to the engine's scratch from DVC's cache or its remote."""
    folder = engine.scratch / "reference"
    try:
        with dvc_files(root, commit) as stored:
            stored.get("artifacts/validated", str(folder), recursive=True)
            return _snapshot(engine, folder)
    except BakeoffError:  # its words hold paths, which no output does
        raise _NoReferenceError(
            f"The validated data of {name} can't be read: nothing was run there, or neither DVC's cache nor its remote "
            "holds them whole. `dvc fetch --all-tags` may bring them."
        ) from None


def _write(directory: Path, as_json: Mapping[str, Any], **pages: str) -> None:
    """Replace the directory by drift.json and a file per page, named by its ending."""
    with replaced(directory) as new:
        write_json(new / "drift.json", as_json)
        for ending, text in pages.items():
            write_text(new / f"drift.{ending}", text)
