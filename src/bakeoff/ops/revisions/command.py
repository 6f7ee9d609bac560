"""`bakeoff compare REV_A [REV_B]`: what changed between two Git revisions, or between one and the workspace.

No DVC stage: what it says depends on the history in Git, which is no dependency that DVC could watch.
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.core.errors import BakeoffError, reading
from bakeoff.core.files import write_text
from bakeoff.core.parameters import read_yaml
from bakeoff.core.workspace import Workspace
from bakeoff.data.fetch.versioning import read_data_hash
from bakeoff.evaluation.metrics.table import METRICS
from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.experiments.params import CompareParams
from bakeoff.ops.git import check_repository, commit_of
from bakeoff.ops.registry.files import dvc_files, text_at
from bakeoff.ops.registry.history import production, read_events
from bakeoff.ops.revisions.revisions import Change, ProjectVersion, Revisions, compare
from bakeoff.report import formats
from bakeoff.report.accuracy import Statistics
from bakeoff.report.models import model_label, model_noun
from bakeoff.report.render import figure as charts
from bakeoff.report.render.figure import Cell, Column, Figure, Heading, Row, Table, difference_cell, table_of
from bakeoff.report.render.pages import render_page, render_text
from bakeoff.report.render.tables import P_HOLM, outcome_cell, win_tie_loss

FIGURES = "reports/metrics.json"
LABELS = {entry.name: entry.label for entry in METRICS}
WHOLE_LISTS = {name: LABELS[name] for name in ("popularity_lift", "coverage", "gini", "long_tail_share")}
"""Figures of all lists together, with their labels: they have no value per user, hence no interval."""


def run(
    params: CompareParams, seed: int, workspace: Workspace, before: str | None = None, after: str | None = None
) -> None:
    """Compare two versions and write reports/revisions.html and reports/revisions.md; nothing else is touched.

    Args:
        params: which metric, and how intervals are made.
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
    statistics = Statistics(params.confidence, params.resamples, seed)
    found = compare(first, second, params.primary_metric, statistics)
    for ending, text in pages(found).items():
        write_text(workspace.reports / f"revisions.{ending}", text)
    said = f"{revisions_headline(found)}. {remarks(found)[0]}"
    print(f"{title(found)}: {said}")
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
    if read(FIGURES) is None:
        raise BakeoffError(
            f"There is no {FIGURES} at {name}: nothing was compared yet, which `bakeoff run` does, or the figures were "
            f"not committed. `git log --oneline -- {FIGURES}` lists the revisions that have them."
        )

    def parsed(path: str) -> Any:
        with reading(f"{path} of {name}", "it must be JSON", ValueError):
            return json.loads(read(path) or "{}")

    params = read_yaml((read("params.yaml") or "{}").encode("utf-8", "replace"), f"params.yaml of {name}")
    found = ProjectVersion(
        name=name,
        commit=(commit or "")[:7],
        metrics=parsed(FIGURES),
        params=params if isinstance(params, Mapping) else {},
        data_hash=read_data_hash(read("data.dvc") or ""),
        split=parsed("reports/split.json"),
        validation=parsed("reports/validation.json"),
        headline=parsed("reports/verdict.json").get("headline", ""),
    )
    users = {}
    with dvc_files(root, commit, "artifacts/evaluation", name) as files:
        for model in found.models:
            path = f"artifacts/evaluation/{model}/users.parquet"
            with suppress(DvcException, DataIndexDirError, OSError, ValueError), files.open(path) as file:
                users[model] = pd.read_parquet(file)  # the page names the models for which this fails
    return replace(found, users=users)


def accuracy_table(revisions: Revisions) -> Table:
    """The primary metric: a row per model."""
    caption = f"{formats.metric_label(revisions.metric)} of every model in both versions; paired by user"
    return _change_table(revisions, caption, {model_label(change.model): change for change in revisions.primary})


def other_table(revisions: Revisions) -> Table:
    """The other accuracy metrics: a row per model and metric."""
    changes = {f"{formats.metric_label(each.metric)}, {model_label(each.model)}": each for each in revisions.others}
    return _change_table(revisions, "Other accuracy metrics in both versions; paired by user", changes)


def list_table(revisions: Revisions) -> Table:
    """Popularity and coverage of all lists together, which have no interval."""
    rows: list[Row] = []
    for model, name in product([change.model for change in revisions.primary], WHOLE_LISTS):
        metric = f"{name}@{revisions.metric.partition('@')[2]}"
        write = formats.decimal if name == "gini" else formats.percent
        means = [write(version.mean(model, metric)) for version in revisions.versions]
        rows.append([f"{WHOLE_LISTS[name]}@{metric.partition('@')[2]}, {model_label(model)}", *means])
    return table_of("Popularity and coverage of the lists in both versions", _columns(revisions, "Figure"), rows)


def parameter_table(revisions: Revisions) -> Table:
    """Parameters that differ; a dash where a version has none."""
    no_value = formats.NO_VALUE
    rows = [[name, *(no_value if each is None else each for each in both)] for name, *both in revisions.settings]
    columns = [Column(version.label, prose=True) for version in revisions.versions]
    return table_of("Parameters that differ; – where a version has no such parameter", ["Parameter", *columns], rows)


def size_table(revisions: Revisions) -> Table:
    """Rows, events and users in both versions, and their drift."""
    rows: list[Row] = []
    for name, *numbers in revisions.sizes:
        before, after = (math.nan if number is None else number for number in numbers)
        rows.append([formats.sentence(name), formats.count(before), formats.count(after), _drift(before, after)])
    columns = [*_columns(revisions, "Number of"), "Drift"]
    return table_of("Sizes of the data and of the split in both versions", columns, rows)


def revision_chart(revisions: Revisions) -> charts.Spec | None:
    """Paired differences on the primary metric with their intervals; None if nothing could be paired."""
    paired = [(change.model, change.difference) for change in revisions.primary if change.difference]
    if not paired:
        return None
    rows = [(model_label(model), d.mean, d.low, d.high) for model, d in paired]
    color = charts.fixed_colors("model", {model_label(model): f"var(--{model})" for model, _ in paired})
    axis = f"← {revisions.before.name} ahead · {revisions.after.name} ahead →"
    return charts.interval_chart(pd.DataFrame(rows, columns=["model", "mean", "low", "high"]), "model", axis, color)


def _columns(revisions: Revisions, first: str) -> list[Heading]:
    return [first, *(version.label for version in revisions.versions)]


def _change_table(revisions: Revisions, caption: str, changes: Mapping[str, Change]) -> Table:
    """Both means, the difference with its interval, its p, for how many users it is which, and what follows."""
    rows: list[Row] = []
    for name, change in changes.items():
        row: Row = [name, formats.decimal(change.before), formats.decimal(change.after)]
        if found := change.difference:
            says = Cell("the same") if change.is_same else outcome_cell(found.verdict)
            rows.append([*row, difference_cell(found), formats.p_figure(found.p_holm), win_tie_loss(found), says])
        else:
            gap = change.after - change.before
            difference = formats.NO_VALUE if math.isnan(gap) else Cell(formats.signed(gap), "of the means")
            rows.append([*row, difference, formats.NO_VALUE, formats.NO_VALUE, "not paired"])
    columns = [*_columns(revisions, "Model"), Column("Difference", "interval"), P_HOLM]
    return table_of(caption, [*columns, "Users better / same / worse", "Says"], rows)


def _drift(before: float, after: float) -> Cell:
    if math.isnan(after - before):
        return Cell(formats.NO_VALUE)
    if before == after:
        return Cell("none")
    change = formats.signed_percent((after - before) / before, 1) if before else ""
    return Cell(formats.signed(after - before, 0), change, strong=True)


def title(revisions: Revisions) -> str:
    """What the page is about."""
    return f"From {revisions.before.label} to {revisions.after.label}"


def revisions_headline(revisions: Revisions) -> str:
    """Which models are better and which are worse on the primary metric, and how means moved that were not paired."""
    metric = formats.metric_label(revisions.metric)
    paired = [change for change in revisions.primary if change.difference]
    if not paired:
        return f"Only the means of {metric} can be compared: nothing could be paired by user"
    gaps = {model_noun(each.model): each.after - each.before for each in revisions.primary if not each.difference}
    moved = [f"{noun} ({formats.signed(gap)})" for noun, gap in gaps.items() if not math.isnan(gap)]
    one_sided = [noun for noun, gap in gaps.items() if math.isnan(gap)]
    parts = [_of_paired(revisions, paired)]
    parts += [f"of {formats.listing(moved)} only the means can be compared"] if moved else []
    parts += [f"{formats.listing(one_sided)} without {metric} in one version"] if one_sided else []
    return "; ".join(parts)


def _of_paired(revisions: Revisions, paired: Sequence[Change]) -> str:
    """What users who are in both versions say; about the models alone that could be paired."""
    metric = formats.metric_label(revisions.metric)
    parts = []
    for verdict, word in ((Verdict.BETTER, "better"), (Verdict.WORSE, "worse")):
        nouns = [model_noun(each.model) for each in paired if each.difference and each.difference.verdict is verdict]
        parts += [f"{formats.listing(nouns)} {word}"] if nouns else []
    if parts:
        return f"{formats.sentence(', '.join(parts))} on {metric}"
    is_all = len(paired) == len(revisions.primary)
    of_models = "" if is_all else f" of {formats.listing([model_noun(change.model) for change in paired])}"
    if all(change.is_same for change in paired):
        return f"Every user{of_models} has the same {metric} in both"
    return f"No evidence of a difference on {metric}{of_models}"


def remarks(revisions: Revisions) -> list[str]:
    """What may have caused the change, data, parameters or neither; then what must be known to read the figures."""
    return render_text("remarks.txt.j2", revisions=revisions).removesuffix("\n").split("\n")


def verdicts(revisions: Revisions) -> list[tuple[str, str]]:
    """Each version with the headline of its own verdict, if it has one."""
    return [(version.label, version.headline) for version in revisions.versions if version.headline]


def pages(revisions: Revisions) -> dict[str, str]:
    """The page, complete in itself, and the same short in Markdown, for a pull request or a log; by their endings."""
    cause, *notes = remarks(revisions)
    shown: dict[str, Any] = {
        "revisions": revisions,
        "title": title(revisions),
        "headline": revisions_headline(revisions),
        "statement": cause,
        "notes": notes,
        "level": formats.level(revisions.confidence),
        "verdicts": verdicts(revisions),
        "accuracy": accuracy_table(revisions),
        "others": other_table(revisions),
        "lists": list_table(revisions),
        "settings": parameter_table(revisions),
        "sizes": size_table(revisions),
    }
    figures, spec = {}, revision_chart(revisions)
    if spec is not None:
        name = f"{formats.metric_label(revisions.metric)}: {revisions.after.name} − {revisions.before.name}"
        text = "Interval chart: a row per model with the mean difference and its interval and a line at zero."
        sentence = f"{shown['headline']}. An interval that contains 0 is no evidence of a change."
        figures["accuracy"] = Figure("accuracy", name, text, sentence, spec, shown["accuracy"], open=True)
    models = [change.model for change in revisions.primary]
    page = render_page("revisions.html.j2", models, figures, **shown)
    return {"html": page, "md": render_text("revisions.md.j2", **shown)}
