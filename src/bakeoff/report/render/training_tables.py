"""What training and the search for settings took and found, as tables of text."""

import math
from collections.abc import Callable, Sequence

import pandas as pd

from bakeoff.report import formats
from bakeoff.report.models import model_label
from bakeoff.report.render.tables import Cell, Column, Table
from bakeoff.report.training import TrainingFigure
from bakeoff.report.tuning import Search


def training_table(figures: Sequence[TrainingFigure]) -> Table:
    """What training took."""
    columns = [
        Column("Model"),
        Column("Wall time"),
        Column("CPU time"),
        Column("Peak memory"),
        Column("Parameters"),
        Column("Dimension"),
        Column("Epochs", "epoch"),
        Column("Ranking all users"),
    ]
    rows = [
        [
            Cell(model_label(f.model)),
            Cell(_or_dash(f.wall_seconds, formats.seconds)),
            Cell(_or_dash(f.cpu_seconds, formats.seconds)),
            Cell(_or_dash(f.peak_memory_bytes, formats.megabytes)),
            Cell(formats.count(f.num_parameters)),
            Cell(str(f.dim)),
            Cell(formats.NO_VALUE if f.selected_epoch is None else f"{f.selected_epoch} of {f.last_epoch}"),
            Cell(_or_dash(f.ranking_seconds, formats.seconds)),
        ]
        for f in figures
    ]
    return Table("Cost of training, on the machine that made this report", columns, rows)


def curve_table(curves: pd.DataFrame) -> Table:
    """Every epoch of every contender: loss and validation figures, the chosen one marked."""
    measured = [column for column in curves.columns if column.startswith("valid_")]
    columns = [Column("Model"), Column("Epoch", "epoch"), Column("Loss")]
    columns += [Column(f"{formats.metric_label(name.removeprefix('valid_'))}, validation") for name in measured]
    rows = [
        [
            Cell(model_label(point["model"])),
            Cell(f"{point['epoch']}{' (chosen)' if point['chosen'] else ''}", strong=bool(point["chosen"])),
            Cell(formats.decimal(point["loss"])),
            *(Cell(formats.decimal(point[name])) for name in measured),
        ]
        for point in curves.to_dict("records")
    ]
    return Table("Every epoch on validation", columns, rows)


def search_table(searches: Sequence[Search]) -> Table:
    """Effort and outcome of each search. Wall time is bare seconds: it is of the record, not of this run."""
    columns = [
        Column("Model"),
        Column("Trials", "trial"),
        Column("Wall seconds"),
        Column("Processes"),
        Column(f"Best {formats.metric_label(searches[0].metric)}, validation", "validation"),
        Column("Epoch", "epoch"),
    ]
    rows = [
        [
            Cell(model_label(s.model)),
            Cell(formats.count(s.trials), _unfinished(s)),
            Cell(formats.count(round(s.wall_seconds))),
            Cell(formats.count(s.jobs)),
            Cell(formats.decimal(s.best)),
            Cell(formats.NO_VALUE if s.epoch is None else str(s.epoch)),
        ]
        for s in searches
    ]
    return Table("Search for settings, judged on validation", columns, rows)


def setting_table(searches: Sequence[Search]) -> Table:
    """Setting and value in the best trial of each model."""
    rows = [
        [Cell(model_label(search.model)), Cell(name), Cell(value)]
        for search in searches
        for name, value in search.params.items()
    ]
    return Table(
        "Best settings that were found", [Column("Model"), Column("Setting", prose=True), Column("Value")], rows
    )


def _unfinished(search: Search) -> str:
    parts = [(search.pruned, "pruned"), (search.failed, "failed")]
    return ", ".join(f"{formats.count(number)} {word}" for number, word in parts if number)


def _or_dash(value: float, form: Callable[[float], str]) -> str:
    return formats.NO_VALUE if math.isnan(value) else form(value)
