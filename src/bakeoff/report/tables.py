"""The report's figures as tables of text, shared by the page and by Markdown."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from bakeoff.evaluation.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference, Estimate
from bakeoff.report.exposure import Exposure
from bakeoff.report.new_users import NewUserFigure, step_label
from bakeoff.report.slices import Slice
from bakeoff.report.training import TrainingFigure


@dataclass(frozen=True)
class Cell:
    """Text of a cell; `detail` stands smaller below it (in Markdown: in brackets), `strong` stands out."""

    text: str
    detail: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Column:
    """Heading of a column; `term` is the glossary's anchor, if it is a term; `prose`: text, not figures."""

    label: str
    term: str = ""
    prose: bool = False


@dataclass(frozen=True)
class Table:
    """A caption, headings and rows; the first cell of a row is its heading."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def model_columns(models: Sequence[str]) -> list[Column]:
    """A heading per model."""
    return [Column(formats.model_label(name), name) for name in models]


def metric_table(estimates: Sequence[Estimate]) -> Table:
    """Metrics × models: mean with its interval, the highest mean of a row marked."""
    models = list(dict.fromkeys(estimate.model for estimate in estimates))
    rows = []
    for metric in dict.fromkeys(estimate.metric for estimate in estimates):
        row = [estimate for estimate in estimates if estimate.metric == metric]
        best = max(estimate.mean for estimate in row)
        rows.append([Cell(formats.metric_label(metric)), *(_estimate(e, e.mean == best) for e in row)])
    return Table("Mean over warm test users, with its interval", [Column("Metric"), *model_columns(models)], rows)


def difference_table(differences: Sequence[Difference]) -> Table:
    """Paired differences softmax − MF: interval, adjusted p, effect size, wins, detectable difference."""
    columns = [
        Column("Metric"),
        Column("Difference"),
        Column("p", "p-value"),
        Column("p, Holm", "holm"),
        Column("Effect size d", "effect"),
        Column("Win / tie / loss"),
        Column("Detectable", "detectable"),
        Column("Says"),
    ]
    rows = [
        [
            Cell(formats.metric_label(d.metric)),
            _difference(d),
            Cell(formats.p_figure(d.p)),
            Cell(formats.p_figure(d.p_holm)),
            Cell(formats.signed(d.effect, 2)),
            Cell(win_tie_loss(d)),
            Cell(formats.decimal(d.detectable)),
            Cell(says(d.verdict), strong=d.verdict is not Verdict.NO_EVIDENCE),
        ]
        for d in differences
    ]
    return Table("Softmax DNN − MF on the same users", columns, rows)


def exposure_table(exposures: Sequence[Exposure], k: int) -> Table:
    """Popularity and coverage of the lists of length k."""
    columns = [
        Column(f"Lists of {k}"),
        Column("ARP", "arp"),
        Column("Popularity lift", "lift"),
        Column("Coverage", "coverage"),
        Column("Gini", "gini"),
        Column("Long-tail share", "long-tail"),
    ]
    rows = [
        [
            Cell(formats.model_label(e.model)),
            Cell(formats.decimal(e.arp, 1)),
            Cell(formats.signed_percent(e.lift)),
            Cell(formats.percent(e.coverage)),
            Cell(formats.decimal(e.gini, 3)),
            Cell(formats.percent(e.long_tail)),
        ]
        for e in exposures
        if e.k == k
    ]
    return Table(f"Popularity and coverage of the first {k}", columns, rows)


def slice_table(slices: Sequence[Slice], metric: str) -> Table:
    """Spans of time × models on one metric, and the paired difference softmax − MF."""
    models = [estimate.model for estimate in slices[0].estimates]
    columns = [Column("Gap"), Column("Events"), Column("Users"), *model_columns(models)]
    columns += [Column("Softmax DNN − MF"), Column("p, Holm", "holm")]
    rows = [
        [
            Cell(part.name),
            Cell(formats.count(part.num_events)),
            Cell(formats.count(part.num_users)),
            *(_estimate(estimate, best=False) for estimate in part.estimates),
            _difference(part.difference),
            Cell(formats.p_figure(part.difference.p_holm)),
        ]
        for part in slices
    ]
    caption = f"{formats.metric_label(metric)} on the test events of each span, with whole lists"
    return Table(caption, columns, rows)


def new_user_table(figures: Sequence[NewUserFigure], differences: dict[str, Difference], metric: str) -> Table:
    """Steps × models on one metric, a fallback said as such, and the paired difference softmax − MF."""
    models = list(dict.fromkeys(figure.model for figure in figures))
    rows = []
    for first in dict.fromkeys(figure.first for figure in figures):
        row = [figure for figure in figures if figure.first == first]
        difference = differences[first]
        rows.append(
            [
                Cell(step_label(first)),
                *(_new_user_cell(figure, metric) for figure in row),
                _difference(difference),
                Cell(formats.p_figure(difference.p_holm)),
            ]
        )
    columns = [Column("Told"), *model_columns(models), Column("Softmax DNN − MF"), Column("p, Holm", "holm")]
    caption = f"{formats.metric_label(metric)} on new users, by the first interactions that the model is told"
    return Table(caption, columns, rows)


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
            Cell(formats.model_label(f.model)),
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
            Cell(formats.model_label(point["model"])),
            Cell(f"{point['epoch']}{' (chosen)' if point['chosen'] else ''}", strong=bool(point["chosen"])),
            Cell(formats.decimal(point["loss"])),
            *(Cell(formats.decimal(point[name])) for name in measured),
        ]
        for point in curves.to_dict("records")
    ]
    return Table("Every epoch on validation", columns, rows)


def frame_table(caption: str, frame: pd.DataFrame, columns: Sequence[str]) -> Table:
    """A data frame whose values are already text."""
    rows = [[Cell(str(value)) for value in row] for row in frame.itertuples(index=False)]
    return Table(caption, [Column(label) for label in columns], rows)


def win_tie_loss(difference: Difference) -> str:
    """Users on whom softmax is ahead / level / behind."""
    return f"{difference.wins} / {difference.ties} / {difference.losses}"


def says(verdict: Verdict) -> str:
    """The outcome in a word or two, for a table."""
    return {Verdict.BETTER: "softmax better", Verdict.WORSE: "MF better", Verdict.NO_EVIDENCE: "no evidence"}[verdict]


def _estimate(estimate: Estimate, best: bool) -> Cell:
    interval = f"{formats.decimal(estimate.low)} to {formats.decimal(estimate.high)}"
    return Cell(formats.decimal(estimate.mean), interval, strong=best)


def _difference(difference: Difference) -> Cell:
    interval = f"{formats.signed(difference.low)} to {formats.signed(difference.high)}"
    return Cell(formats.signed(difference.mean), interval)


def _new_user_cell(figure: NewUserFigure, metric: str) -> Cell:
    cell = _estimate(figure.estimate(metric), best=False)
    if figure.fallback_share == 0:
        return cell
    share = (
        "its fallback" if figure.fallback_share == 1 else f"fallback for {formats.percent(figure.fallback_share, 0)}"
    )
    return Cell(cell.text, f"{cell.detail}, {share}")


def _or_dash(value: float, form: Callable[[float], str]) -> str:
    return formats.NO_VALUE if math.isnan(value) else form(value)
