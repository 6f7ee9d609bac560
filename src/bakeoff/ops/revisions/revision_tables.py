"""Two versions compared, as tables of text and one chart."""

import math

import pandas as pd

from bakeoff.evaluation.metrics.table import METRICS
from bakeoff.ops.revisions.revisions import Change, ProjectVersion, Revisions
from bakeoff.report import formats
from bakeoff.report.models import model_label
from bakeoff.report.render.chart_parts import Spec, color, interval_chart
from bakeoff.report.render.figure import Cell, Column, Heading, Row, Table, change_cell, table_of
from bakeoff.report.render.tables import P_HOLM, outcome_cell, win_tie_loss

LABELS = {entry.name: entry.label for entry in METRICS}
"""Names of metrics, for people."""


def label(version: ProjectVersion) -> str:
    """`HEAD (1a2b3c4)`; a hash that was typed as such is not repeated."""
    if not version.commit or version.commit.startswith(version.name) or version.name.startswith(version.commit):
        return version.name
    return f"{version.name} ({version.commit})"


def accuracy_table(revisions: Revisions) -> Table:
    """The primary metric: a row per model."""
    rows: list[Row] = [
        [
            model_label(change.model),
            *_figures(change),
            win_tie_loss(change.difference) if change.difference else formats.NO_VALUE,
            _says(change),
        ]
        for change in revisions.primary
    ]
    caption = f"{formats.metric_label(revisions.metric)} of every model in both versions; paired by user"
    return table_of(caption, [*_columns(revisions, "Model"), "Users better / same / worse", "Says"], rows)


def other_table(revisions: Revisions) -> Table:
    """The other accuracy metrics: a row per model and metric."""
    rows: list[Row] = [
        [f"{formats.metric_label(change.metric)}, {model_label(change.model)}", *_figures(change), _says(change)]
        for change in revisions.others
    ]
    caption = "Other accuracy metrics in both versions; paired by user"
    return table_of(caption, [*_columns(revisions, "Metric"), "Says"], rows)


def list_table(revisions: Revisions) -> Table:
    """Popularity and coverage of all lists together, which have no interval."""
    rows = []
    for change in revisions.lists:
        name, _, cutoff = change.metric.partition("@")
        write = formats.decimal if name == "gini" else formats.percent
        label = f"{LABELS[name]}@{cutoff}, {model_label(change.model)}"
        rows.append([label, write(change.before), write(change.after)])
    columns = _columns(revisions, "Figure")[:3]
    return table_of("Popularity and coverage of the lists in both versions", columns, rows)


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
    rows: list[Row] = [
        [
            formats.sentence(size.name),
            *(formats.NO_VALUE if number is None else formats.count(number) for number in (size.before, size.after)),
            _drift(size.before, size.after),
        ]
        for size in revisions.sizes
    ]
    columns = [*_columns(revisions, "Number of")[:3], "Drift"]
    return table_of("Sizes of the data and of the split in both versions", columns, rows)


def revision_chart(revisions: Revisions) -> Spec | None:
    """Paired differences on the primary metric with their intervals; None if nothing could be paired."""
    paired = [(change.model, change.difference) for change in revisions.primary if change.difference]
    if not paired:
        return None
    rows = [(model_label(model), d.mean, d.low, d.high) for model, d in paired]
    hue = color(pd.Series([model for model, _ in paired])).copy(deep=True)
    hue.legend = None
    axis = f"← {revisions.before.name} ahead · {revisions.after.name} ahead →"
    return interval_chart(pd.DataFrame(rows, columns=["model", "mean", "low", "high"]), "model", axis, hue)


def _says(change: Change) -> Cell:
    """Whether the second version is better or worse than the first."""
    if change.difference is None:
        return Cell("not paired")
    return Cell("the same") if change.is_same else outcome_cell(change.difference.verdict)


def _columns(revisions: Revisions, first: str) -> list[Heading]:
    return [first, label(revisions.before), label(revisions.after), Column("Difference", "interval"), P_HOLM]


def _figures(change: Change) -> list[str | Cell]:
    """Both means, the difference with its interval, and its p."""
    means = [formats.decimal(value) for value in (change.before, change.after)]
    found = change.difference
    if found is not None:
        return [*means, change_cell(found.mean, found.low, found.high), formats.p_figure(found.p_holm)]
    gap = change.after - change.before
    difference = formats.NO_VALUE if math.isnan(gap) else Cell(formats.signed(gap), "of the means")
    return [*means, difference, formats.NO_VALUE]


def _drift(before: int | None, after: int | None) -> Cell:
    if before is None or after is None:
        return Cell(formats.NO_VALUE)
    if before == after:
        return Cell("none")
    change = "" if before == 0 else formats.signed_percent((after - before) / before, 1)
    return Cell(formats.signed(after - before, 0), change, strong=True)
