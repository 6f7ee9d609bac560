"""What changed between two versions, for people: a page, the same in Markdown, and the tables and sentences of both."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import product
from math import isnan
from typing import Any

import pandas as pd

from bakeoff.evaluation.metrics.table import METRICS
from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.ops.revisions.revisions import Change, Revisions
from bakeoff.report import formats
from bakeoff.report.checks import failed_reasons
from bakeoff.report.models import model_label, model_noun
from bakeoff.report.render import figure as charts
from bakeoff.report.render.figure import Cell, Column, Figure, Heading, Row, Table, difference_cell, table_of
from bakeoff.report.render.pages import render_page, render_text
from bakeoff.report.render.tables import P_HOLM, outcome_cell, win_tie_loss
from bakeoff.report.verdict import Result, verdict_headline

LABELS = {entry.name: entry.label for entry in METRICS}
WHOLE_LISTS = {name: LABELS[name] for name in ("popularity_lift", "coverage", "gini", "long_tail_share")}
"""Figures of all lists together, with their labels: they have no value per user, hence no interval."""


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
    moved = [f"{noun} ({formats.signed(gap)})" for noun, gap in gaps.items() if not isnan(gap)]
    one_sided = [noun for noun, gap in gaps.items() if isnan(gap)]
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
    """Each version with the headline of its own verdict, if it has one that can be read."""
    found = []
    for version in revisions.versions:
        # Another version of this program may have written it.
        with suppress(KeyError, TypeError, ValueError):
            result = Result.from_metrics(version.metrics["verdict"])
            failed = [number for number, score in version.metrics.get("checks", {}).items() if score < 0]
            found.append((version.label, verdict_headline(result, failed_reasons(failed))))
    return found


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
