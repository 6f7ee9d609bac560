"""What a run read, trained and searched, as tables of text."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bakeoff.report import formats
from bakeoff.report.models import model_label
from bakeoff.report.render.figure import Cell, Column, Heading, Row, Table, table_of
from bakeoff.report.training import TrainingFigure
from bakeoff.report.tuning import SettingSearch


def training_table(figures: Sequence[TrainingFigure]) -> Table:
    """What training took."""
    columns: list[Heading] = ["Model", "Wall time", "CPU time", "Peak memory", "Parameters", "Dimension"]
    columns += [Column("Epochs", "epoch"), "Ranking all users"]
    rows: list[Row] = [
        [
            model_label(f.model),
            formats.seconds(f.wall_seconds),
            formats.seconds(f.cpu_seconds),
            formats.megabytes(f.peak_memory_bytes),
            formats.count(f.num_parameters),
            str(f.dim),
            formats.NO_VALUE if f.selected_epoch is None else f"{f.selected_epoch} of {f.last_epoch}",
            formats.seconds(f.ranking_seconds),
        ]
        for f in figures
    ]
    return table_of("Cost of training, on the machine that made this report", columns, rows)


def curve_table(curves: pd.DataFrame) -> Table:
    """Every epoch of every model that has epochs: loss and validation figures, the chosen epoch in bold."""
    measured = [column for column in curves.columns if column.startswith("valid_")]
    columns: list[Heading] = ["Model", Column("Epoch", "epoch"), "Loss"]
    columns += [f"{formats.metric_label(name.removeprefix('valid_'))}, validation" for name in measured]
    rows: list[Row] = [
        [
            model_label(point["model"]),
            Cell(f"{point['epoch']}{' (chosen)' if point['chosen'] else ''}", strong=bool(point["chosen"])),
            formats.decimal(point["loss"]),
            *(formats.decimal(point[name]) for name in measured),
        ]
        for point in curves.to_dict("records")
    ]
    return table_of("Every epoch on validation", columns, rows)


def search_table(searches: Sequence[SettingSearch]) -> Table:
    """Effort and outcome of each search. Wall time is in bare seconds: it comes from the record, not from this run."""
    best = f"Best {formats.metric_label(searches[0].metric)}, validation"
    columns: list[Heading] = ["Model", Column("Trials", "trial"), "Wall seconds", "Processes"]
    columns += [Column(best, "validation"), Column("Epoch", "epoch")]
    rows: list[Row] = []
    for s in searches:
        unfinished = [f"{formats.count(n)} {word}" for n, word in ((s.pruned, "pruned"), (s.failed, "failed")) if n]
        rows.append(
            [
                model_label(s.model),
                Cell(formats.count(s.trials), ", ".join(unfinished)),
                formats.count(round(s.wall_seconds)),
                formats.count(s.jobs),
                formats.decimal(s.best),
                formats.NO_VALUE if s.epoch is None else str(s.epoch),
            ]
        )
    return table_of("Search for settings, judged on validation", columns, rows)


def setting_table(searches: Sequence[SettingSearch]) -> Table:
    """Setting and value in the best trial of each model."""
    rows: list[Row] = [[model_label(s.model), name, value] for s in searches for name, value in s.params.items()]
    return table_of("Best settings that were found", ["Model", Column("Setting", prose=True), "Value"], rows)


def validation_table(validation: Mapping[str, Any]) -> Table:
    """Rows, valid rows and quarantined rows per table."""
    rows: list[Row] = [
        [
            name,
            *(formats.count(table[key]) for key in ("rows", "valid", "quarantined")),
            formats.percent(table["share"], 2),
        ]
        for name, table in validation["tables"].items()
    ]
    columns: list[Heading] = ["Table", "Rows", "Valid", Column("Quarantined", "quarantine"), "Share"]
    return table_of("Rows that were read, passed and were quarantined", columns, rows)


def reason_table(validation: Mapping[str, Any]) -> Table:
    """Quarantined rows by reason; empty if there are none."""
    rows: list[Row] = [
        [name, reason, formats.count(number)]
        for name, table in validation["tables"].items()
        for reason, number in sorted(table["reasons"].items(), key=lambda item: (-item[1], item[0]))
    ]
    return table_of("Rows in quarantine by reason", ["Table", Column("Reason", prose=True), "Rows"], rows)


def expectation_table(validation: Mapping[str, Any]) -> Table:
    """Every expectation with what it found."""
    rows: list[Row] = [
        [
            name,
            found["expectation"],
            found["severity"],
            Cell("met" if found["success"] else "not met", strong=not found["success"]),
            formats.count(found["unexpected"]),
        ]
        for name, table in validation["tables"].items()
        for found in table["expectations"]
    ]
    prose = [Column(label, prose=True) for label in ("Expectation", "Severity", "Outcome")]
    return table_of("What was expected of the data", ["Table", *prose, "Bad rows"], rows)


def name_table(caption: str, heading: str, values: Mapping[str, str], value: str = "Value") -> Table:
    """Names and their values, such as parameters."""
    return table_of(caption, [heading, Column(value, prose=True)], values.items())
