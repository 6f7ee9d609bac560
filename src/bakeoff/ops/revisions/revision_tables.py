"""Two versions side by side, as tables of text and one chart."""

import math

import altair as alt
import pandas as pd

from bakeoff.evaluation.stats.tests import Verdict
from bakeoff.ops.revisions.revisions import Change, ProjectVersion, Revisions
from bakeoff.report import formats
from bakeoff.report.chart_parts import FEW_TICKS, Spec, color, labels, layered, tooltip
from bakeoff.report.models import model_label
from bakeoff.report.tables import Cell, Column, Table

LIST_LABELS = {
    "popularity_lift": "Popularity lift",
    "coverage": "Coverage",
    "gini": "Gini",
    "long_tail_share": "Long-tail share",
}
NO_CELL = Cell(formats.NO_VALUE)


def label(version: ProjectVersion) -> str:
    """`HEAD (1a2b3c4)`; a hash that was typed as such is not repeated."""
    if not version.commit or version.commit.startswith(version.name) or version.name.startswith(version.commit):
        return version.name
    return f"{version.name} ({version.commit})"


def accuracy_table(revisions: Revisions) -> Table:
    """The primary metric: a row per model."""
    metric = formats.metric_label(revisions.metric)
    columns = [*_columns(revisions, "Model"), Column("Users better / same / worse"), Column("Says")]
    rows = [
        [
            Cell(model_label(change.model)),
            *_figures(change),
            Cell(f"{change.difference.wins} / {change.difference.ties} / {change.difference.losses}")
            if change.difference
            else NO_CELL,
            says(change, revisions.confidence),
        ]
        for change in revisions.primary
    ]
    return Table(f"{metric} of every model in both versions; paired by user", columns, rows)


def other_table(revisions: Revisions) -> Table:
    """The other accuracy metrics: a row per model and metric."""
    columns = [*_columns(revisions, "Metric"), Column("Says")]
    rows = [
        [
            Cell(f"{formats.metric_label(change.metric)}, {model_label(change.model)}"),
            *_figures(change),
            says(change, revisions.confidence),
        ]
        for change in revisions.others
    ]
    return Table("Other accuracy metrics in both versions; paired by user", columns, rows)


def list_table(revisions: Revisions) -> Table:
    """Popularity and coverage of all lists together, which have no interval."""
    rows = []
    for change in revisions.lists:
        name, _, cutoff = change.metric.partition("@")
        write = formats.decimal if name == "gini" else formats.percent
        rows.append(
            [
                Cell(f"{LIST_LABELS[name]}@{cutoff}, {model_label(change.model)}"),
                Cell(write(change.before)),
                Cell(write(change.after)),
            ]
        )
    return Table("Popularity and coverage of the lists in both versions", _columns(revisions, "Figure")[:3], rows)


def setting_table(revisions: Revisions, *, in_both: bool) -> Table:
    """Parameters that differ: those that both versions have, or those that only one has."""
    rows = [
        [Cell(setting.name), *(NO_CELL if v is None else Cell(v) for v in (setting.before, setting.after))]
        for setting in revisions.settings
        if (None not in (setting.before, setting.after)) == in_both
    ]
    columns = [Column("Parameter"), *(Column(label(v), prose=True) for v in (revisions.before, revisions.after))]
    return Table("Parameters with another value" if in_both else "Parameters of one version only", columns, rows)


def size_table(revisions: Revisions) -> Table:
    """Rows, events and users in both versions, and by how much they drifted."""
    rows = []
    for size in revisions.sizes:
        cells = [NO_CELL if number is None else Cell(formats.count(number)) for number in (size.before, size.after)]
        rows.append([Cell(formats.sentence(size.name)), *cells, _drift(size.before, size.after)])
    columns = [*_columns(revisions, "Number of")[:3], Column("Drift")]
    return Table("Sizes of the data and of the split in both versions", columns, rows)


def says(change: Change, confidence: float) -> Cell:
    """What may be said of the second version beside the first."""
    if change.difference is None:
        return Cell("not paired")
    if change.is_same:
        return Cell("the same")
    found = change.verdict(confidence)
    words = {Verdict.BETTER: "better", Verdict.WORSE: "worse", Verdict.NO_EVIDENCE: "no evidence"}
    return Cell(words[found], strong=found is not Verdict.NO_EVIDENCE)


def chart(revisions: Revisions) -> Spec | None:
    """Paired differences on the primary metric with their intervals; None where nothing could be paired."""
    paired = [(change.model, change.difference) for change in revisions.primary if change.difference]
    if not paired:
        return None
    names = pd.Series([model for model, _ in paired])
    table = pd.DataFrame(
        [(model_label(model), d.mean, d.low, d.high) for model, d in paired], columns=["model", "mean", "low", "high"]
    )
    base = alt.Chart().encode(
        y=alt.Y("model:N", sort=labels(names), title=None, axis=alt.Axis(grid=False, ticks=False)),
        color=color(names).copy(deep=True),
        tooltip=tooltip("model", mean="+.4f", low="+.4f", high="+.4f"),
    )
    base.encoding.color.legend = None
    title = f"← {revisions.before.name} ahead · {revisions.after.name} ahead →"
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(strokeDash=[4, 3], stroke="var(--muted)")
    interval = base.mark_rule(strokeWidth=3).encode(x=alt.X("low:Q", title=title, axis=FEW_TICKS), x2="high:Q")
    point = base.mark_point(filled=True, size=70, opacity=1).encode(x="mean:Q")
    return layered(table, [zero.encode(x="zero:Q"), interval, point], height=30 * len(paired))


def _columns(revisions: Revisions, first: str) -> list[Column]:
    versions = [Column(label(version)) for version in (revisions.before, revisions.after)]
    return [Column(first), *versions, Column("Difference", "interval"), Column("p, Holm", "holm")]


def _figures(change: Change) -> list[Cell]:
    """Both means, the difference with its interval, and its p."""
    means = [Cell(formats.decimal(value)) for value in (change.before, change.after)]
    found = change.difference
    if found is None:
        gap = change.after - change.before
        return [*means, NO_CELL if math.isnan(gap) else Cell(formats.signed(gap), "of the means"), NO_CELL]
    interval = f"{formats.signed(found.low)} to {formats.signed(found.high)}"
    return [*means, Cell(formats.signed(found.mean), interval), Cell(formats.p_figure(found.p_holm))]


def _drift(before: int | None, after: int | None) -> Cell:
    if before is None or after is None:
        return NO_CELL
    if before == after:
        return Cell("none")
    change = "" if before == 0 else formats.signed_percent((after - before) / before, 1)
    return Cell(formats.signed(after - before, 0), change, strong=True)
