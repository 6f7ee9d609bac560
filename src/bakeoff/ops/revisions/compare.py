"""`bakeoff compare REV_A [REV_B]`: what changed between two Git revisions, or between one and the workspace.

No DVC stage: what it says depends on the history in Git, which is no dependency that DVC could watch.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import write_text
from bakeoff.core.workspace import Workspace
from bakeoff.core.yaml_reader import read_yaml
from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.models import specs
from bakeoff.ops.git import check_repository, commit_of
from bakeoff.ops.registry.files import text_at
from bakeoff.ops.registry.history import production, read_events
from bakeoff.ops.revisions import revision_page as revision_sheet
from bakeoff.ops.revisions import revisions
from bakeoff.ops.revisions.revisions import ProjectVersion
from bakeoff.report.accuracy import Statistics
from bakeoff.report.params import CompareParams

WORKSPACE = "workspace"
METRICS = "reports/metrics.json"

Read = Callable[[str], str | None]
"""Text of a file of one version by its path in the workspace; None where there is none."""


def run(
    compare: CompareParams, seed: int, workspace: Workspace, before: str | None = None, after: str | None = None
) -> None:
    """Compare two versions and write reports/revisions.html and reports/revisions.md; nothing else is touched.

    Args:
        compare: which metric, and how intervals are made.
        seed: of their resamples.
        workspace: inside a Git repository.
        before: a Git revision; None: the version in production, or the last commit where no tag names one.
        after: a Git revision; None: the workspace as it is.

    Raises:
        BakeoffError: no Git repository, no such revision, or a version without figures.
    """
    check_repository(workspace.root)
    first = at_revision(workspace.root, last_version(workspace.root) if before is None else before)
    second = in_workspace(workspace) if after is None else at_revision(workspace.root, after)
    statistics = Statistics(compare.confidence, compare.resamples, seed)
    found = revisions.compare(first, second, compare.primary_metric, statistics)
    write_text(workspace.reports / "revisions.md", revision_sheet.revisions_markdown(found))
    write_text(workspace.reports / "revisions.html", revision_sheet.revisions_html(found))
    said = f"{revision_sheet.revisions_headline(found)}. {revision_sheet.revisions_statement(found)}"
    print(f"{revision_sheet.title(found)}: {said}")
    print(f"Report: {workspace.reports / 'revisions.html'}")


def last_version(root: Path) -> str:
    """The tag that put in production what is there; HEAD where nothing is."""
    standing = production(read_events(root))
    return "HEAD" if standing is None else standing.tag


def at_revision(root: Path, revision: str) -> ProjectVersion:
    """What a revision left: small files from Git, per-user metrics through DVC (its cache, then its remote).

    Raises:
        BakeoffError: there is no such revision, or it has no figures.
    """
    commit = commit_of(root, revision)
    read = partial(text_at, root, commit)
    if read(METRICS) is None:
        raise BakeoffError(
            f"There is no {METRICS} at {revision}: nothing had been compared there, or the figures were not committed. "
            f"`git log --oneline -- {METRICS}` lists the revisions that have them."
        )
    users, unread = _users_at(root, commit, revision)
    return _version(read, revision, commit[:7], users, unread)


def in_workspace(workspace: Workspace) -> ProjectVersion:
    """What lies in the workspace.

    Raises:
        BakeoffError: nothing was compared yet, or a file can't be read.
    """

    def read(path: str) -> str | None:
        file = workspace.root / path
        return file.read_text(encoding="utf-8") if file.exists() else None

    if read(METRICS) is None:
        raise BakeoffError(f"{workspace.root / METRICS} does not exist: nothing was compared yet. Run `make run`.")
    users = {name: workspace.evaluation(name) / "users.parquet" for name in specs.names()}
    found = {name: _parquet(path) for name, path in users.items() if path.exists()}
    reason = "its per-user metrics are not in the workspace. Run `dvc checkout` or `dvc repro`."
    return _version(read, WORKSPACE, "", found, {name: reason for name in specs.names() if name not in found})


def _version(
    read: Read, name: str, commit: str, users: Mapping[str, pd.DataFrame], unread: Mapping[str, str]
) -> ProjectVersion:
    metrics = _json(read(METRICS), METRICS, name)
    data_dvc = read("data.dvc")
    return ProjectVersion(
        name=name,
        commit=commit,
        metrics=metrics,
        params=_yaml(read("params.yaml"), name),
        data_hash=None if data_dvc is None else read_data_hash(data_dvc),
        split=_json(read("reports/split.json") or "{}", "reports/split.json", name),
        validation=_json(read("reports/validation.json") or "{}", "reports/validation.json", name),
        users={model: table for model, table in users.items() if model in metrics},
        unread={model: reason for model, reason in unread.items() if model in metrics},
    )


def _users_at(root: Path, commit: str, revision: str) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Per-user metrics by model, and why those of others can't be had."""
    from dvc.api import DVCFileSystem  # takes seconds to load
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    found: dict[str, pd.DataFrame] = {}
    unread: dict[str, str] = {}
    advice = f"neither DVC's cache nor its remote holds its per-user metrics of {revision}. `dvc fetch` may bring them."
    try:
        files = DVCFileSystem(str(root), rev=commit)
    except (DvcException, OSError) as error:
        reason = f"DVC can't read {revision} ({_first_line(error)})."
        return {}, dict.fromkeys(specs.names(), reason)
    for name in specs.names():
        try:
            with files.open(f"artifacts/evaluation/{name}/users.parquet") as file:
                found[name] = pd.read_parquet(file)
        except (DvcException, DataIndexDirError, OSError, ValueError):
            unread[name] = advice
    return found, unread


def _json(text: str | None, path: str, version: str) -> Any:
    try:
        return json.loads(text or "")
    except ValueError as error:
        raise BakeoffError(f"{path} of {version} can't be read as JSON: {error}.") from None


def _yaml(text: str | None, version: str) -> Mapping[str, Any]:
    values = read_yaml((text or "{}").encode("utf-8", "replace"), f"params.yaml of {version}")
    return values if isinstance(values, Mapping) else {}


def _parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise BakeoffError(f"{path} can't be read as Parquet: {error}. Delete it and run `dvc repro`.") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
