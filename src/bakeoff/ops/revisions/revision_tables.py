"""Two versions compared, as tables of text and one chart."""

import math
from collections.abc import Mapping
from itertools import product

import pandas as pd

from bakeoff.evaluation.metrics.table import METRICS
from bakeoff.ops.revisions.revisions import Change, ProjectVersion, Revisions
from bakeoff.report import formats
from bakeoff.report.models import model_label
from bakeoff.report.render.chart_parts import Spec, fixed_colors, interval_chart
from bakeoff.report.render.figure import Cell, Column, Heading, Row, Table, change_cell, table_of
from bakeoff.report.render.tables import P_HOLM, outcome_cell, win_tie_loss

LABELS = {entry.name: entry.label for entry in METRICS}
WHOLE_LISTS = {name: LABELS[name] for name in ("popularity_lift", "coverage", "gini", "long_tail_share")}
"""Figures of all lists together, with their labels: they have no value per user, hence no interval."""


def label(version: ProjectVersion) -> str:
    """`HEAD (1a2b3c4)`; a hash that was typed as such is not repeated."""
    if not version.commit or version.commit.startswith(version.name) or version.name.startswith(version.commit):
        return version.name
    return f"{version.name} ({version.commit})"


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
        means = [write(version.mean(model, metric)) for version in (revisions.before, revisions.after)]
        rows.append([f"{WHOLE_LISTS[name]}@{metric.partition('@')[2]}, {model_label(model)}", *means])
    return table_of("Popularity and coverage of the lists in both versions", _columns(revisions, "Figure"), rows)


def parameter_table(revisions: Revisions, *, in_both: bool) -> Table:
    """Parameters that differ: those that both versions have, or those that only one has."""
    rows = [
        [setting.name, *(formats.NO_VALUE if value is None else value for value in (setting.before, setting.after))]
        for setting in revisions.settings
        if (None not in (setting.before, setting.after)) == in_both
    ]
    columns = [Column(label(version), prose=True) for version in (revisions.before, revisions.after)]
    caption = "Parameters with another value" if in_both else "Parameters of one version only"
    return table_of(caption, ["Parameter", *columns], rows)


def size_table(revisions: Revisions) -> Table:
    """Rows, events and users in both versions, and their drift."""
    rows: list[Row] = []
    for size in revisions.sizes:
        before, after = (math.nan if number is None else number for number in (size.before, size.after))
        rows.append([formats.sentence(size.name), formats.count(before), formats.count(after), _drift(before, after)])
    columns = [*_columns(revisions, "Number of"), "Drift"]
    return table_of("Sizes of the data and of the split in both versions", columns, rows)


def revision_chart(revisions: Revisions) -> Spec | None:
    """Paired differences on the primary metric with their intervals; None if nothing could be paired."""
    paired = [(change.model, change.difference) for change in revisions.primary if change.difference]
    if not paired:
        return None
    rows = [(model_label(model), d.mean, d.low, d.high) for model, d in paired]
    color = fixed_colors("model", {model_label(model): f"var(--{model})" for model, _ in paired})
    axis = f"← {revisions.before.name} ahead · {revisions.after.name} ahead →"
    return interval_chart(pd.DataFrame(rows, columns=["model", "mean", "low", "high"]), "model", axis, color)


def _columns(revisions: Revisions, first: str) -> list[Heading]:
    return [first, label(revisions.before), label(revisions.after)]


def _change_table(revisions: Revisions, caption: str, changes: Mapping[str, Change]) -> Table:
    """Both means, the difference with its interval, its p, for how many users it is which, and what follows."""
    rows: list[Row] = []
    for name, change in changes.items():
        row: Row = [name, formats.decimal(change.before), formats.decimal(change.after)]
        if found := change.difference:
            says = Cell("the same") if change.is_same else outcome_cell(found.verdict)
            interval = change_cell(found.mean, found.low, found.high)
            rows.append([*row, interval, formats.p_figure(found.p_holm), win_tie_loss(found), says])
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
