"""`bakeoff compare REV_A [REV_B]`: what changed between two Git revisions, or between one and the workspace.

No DVC stage: what it says depends on the history in Git, which is no dependency that DVC could watch.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.files import write_text
from bakeoff.core.parameters import read_yaml
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.experiments.params import CompareParams
from bakeoff.ops.git import check_repository, commit_of
from bakeoff.ops.registry.files import dvc_files, text_at
from bakeoff.ops.registry.history import production, read_events
from bakeoff.ops.revisions import revision_page, revisions
from bakeoff.ops.revisions.revisions import ProjectVersion
from bakeoff.report.accuracy import Statistics

METRICS = "reports/metrics.json"


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
    first = version_at(workspace.root, last_version(workspace.root) if before is None else before)
    second = version_at(workspace.root, after)
    statistics = Statistics(compare.confidence, compare.resamples, seed)
    found = revisions.compare(first, second, compare.primary_metric, statistics)
    for ending, text in revision_page.pages(found).items():
        write_text(workspace.reports / f"revisions.{ending}", text)
    said = f"{revision_page.revisions_headline(found)}. {revision_page.remarks(found)[0]}"
    print(f"{revision_page.title(found)}: {said}")
    print(f"Report: {workspace.reports / 'revisions.html'}")


def last_version(root: Path) -> str:
    """The tag that put in production what is there; HEAD where nothing is."""
    standing = production(read_events(root))
    return "HEAD" if standing is None else standing.tag


def version_at(root: Path, revision: str | None) -> ProjectVersion:
    """What a revision left, or the workspace has: small files as Git has them, per-user metrics through DVC.

    DVC looks into the workspace, then its cache, then its remote.

    Raises:
        BakeoffError: there is no such revision, it has no figures, or a file can't be read.
    """
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    commit = None if revision is None else commit_of(root, revision)
    name, read = revision or "workspace", partial(text_at, root, commit)
    if read(METRICS) is None:
        raise BakeoffError(
            f"There is no {METRICS} at {name}: nothing was compared yet, which `bakeoff run` does, or the figures were "
            f"not committed. `git log --oneline -- {METRICS}` lists the revisions that have them."
        )

    def parsed(path: str) -> Any:
        with reading(f"{path} of {name}", "it must be JSON", ValueError):
            return json.loads(read(path) or "{}")

    params = read_yaml((read("params.yaml") or "{}").encode("utf-8", "replace"), f"params.yaml of {name}")
    found = ProjectVersion(
        name=name,
        commit=(commit or "")[:7],
        metrics=parsed(METRICS),
        params=params if isinstance(params, Mapping) else {},
        data_hash=read_data_hash(read("data.dvc") or ""),
        split=parsed("reports/split.json"),
        validation=parsed("reports/validation.json"),
        unread=f"neither DVC's cache nor its remote holds its per-user metrics of {name}. `dvc fetch` may bring them.",
    )
    users = {}
    with dvc_files(root, commit, "artifacts/evaluation", name) as files:
        for model in found.models:
            try:
                with files.open(f"artifacts/evaluation/{model}/users.parquet") as file:
                    users[model] = pd.read_parquet(file)
            except (DvcException, DataIndexDirError, OSError, ValueError):
                continue  # `unread` says why
    return replace(found, users=users)
