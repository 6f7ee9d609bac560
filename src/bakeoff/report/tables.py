"""The report's figures as tables of text, shared by the page and by Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bakeoff.evaluation.stats.tests import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference, Estimate
from bakeoff.report.exposure import Exposure
from bakeoff.report.models import look, model_label
from bakeoff.report.new_users import NewUserFigure, step_label
from bakeoff.report.slices import Slice
from bakeoff.report.verdict import Standing


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
    """A heading per model, a term where the glossary explains it."""
    return [Column(model_label(name), name if look(name).meaning else "") for name in models]


def metric_table(estimates: Sequence[Estimate]) -> Table:
    """Metrics × models: mean with its interval, the highest mean of a row marked."""
    models = list(dict.fromkeys(estimate.model for estimate in estimates))
    rows = []
    for metric in dict.fromkeys(estimate.metric for estimate in estimates):
        row = [estimate for estimate in estimates if estimate.metric == metric]
        best = _highest(row)
        rows.append([Cell(formats.metric_label(metric)), *(_estimate(e, e.mean == best) for e in row)])
    return Table("Mean over warm test users, with its interval", [Column("Metric"), *model_columns(models)], rows)


def cutoff_table(estimates: Sequence[Estimate], cutoff: int) -> Table:
    """Models × metrics at one cutoff: mean with its interval, the highest mean of a column marked."""
    shown = [estimate for estimate in estimates if estimate.metric.endswith(f"@{cutoff}")]
    columns = {
        metric: {e.model: e for e in shown if e.metric == metric} for metric in dict.fromkeys(e.metric for e in shown)
    }
    rows = _by_model(columns)
    headings = [Column("Model"), *(Column(formats.metric_label(metric)) for metric in columns)]
    return Table("Mean over warm test users, with its interval", headings, rows)


def standing_table(standings: Sequence[Standing], metric: str, confidence: float) -> Table:
    """Every model beside the best baseline, which stands in the first row."""
    baseline, mean = standings[0].baseline, standings[0].baseline_mean
    label = model_label(baseline)
    rows = [[Cell(label, "the best baseline"), Cell(formats.decimal(mean)), *[Cell(formats.NO_VALUE)] * 3]]
    rows += [
        [
            Cell(model_label(s.model)),
            Cell(formats.decimal(s.mean)),
            Cell(formats.signed(s.difference), f"{formats.signed(s.low)} to {formats.signed(s.high)}"),
            Cell(formats.p_figure(s.p)),
            Cell(_stands(s.verdict(confidence)), strong=s.verdict(confidence) is not Verdict.NO_EVIDENCE),
        ]
        for s in standings
    ]
    columns = [Column("Model"), Column(formats.metric_label(metric)), Column(f"− {label}")]
    columns += [Column("p, Holm", "holm"), Column("Says")]
    return Table(
        f"{formats.metric_label(metric)} of each model beside that of {label}, the best baseline", columns, rows
    )


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
            Cell(model_label(e.model)),
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
    """Models × spans of time on one metric, with events and users, and the paired difference softmax − MF."""
    rows = [
        [Cell("Test events"), *(Cell(formats.count(part.num_events)) for part in slices)],
        [Cell("Users"), *(Cell(formats.count(part.num_users)) for part in slices)],
        *_by_model({part.name: {e.model: e for e in part.estimates} for part in slices}),
        *_paired_rows([part.difference for part in slices]),
    ]
    caption = f"{formats.metric_label(metric)} on the test events of each span, with whole lists"
    return Table(caption, [Column("Since last event"), *(Column(part.name) for part in slices)], rows)


def new_user_table(figures: Sequence[NewUserFigure], differences: dict[str, Difference], metric: str) -> Table:
    """Models × steps on one metric, a fallback said as such, and the paired difference softmax − MF."""
    steps = list(dict.fromkeys(figure.first for figure in figures))
    fallbacks = {(figure.first, figure.model): _fallback(figure) for figure in figures}
    estimates = {step: {f.model: f.estimate(metric) for f in figures if f.first == step} for step in steps}
    rows = [
        *_by_model(estimates, fallbacks),
        *_paired_rows([differences[step] for step in steps]),
    ]
    columns = [Column("Told"), *(Column(step_label(step)) for step in steps)]
    caption = f"{formats.metric_label(metric)} on new users, by the first interactions that the model is told"
    return Table(caption, columns, rows)


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


def _highest(estimates: Sequence[Estimate]) -> float | None:
    """The highest mean; None where all are the same, so that none stands out."""
    means = [estimate.mean for estimate in estimates]
    return max(means) if len(set(means)) > 1 else None


def _estimate(estimate: Estimate, best: bool) -> Cell:
    interval = f"{formats.decimal(estimate.low)} to {formats.decimal(estimate.high)}"
    return Cell(formats.decimal(estimate.mean), interval, strong=best)


def _difference(difference: Difference) -> Cell:
    interval = f"{formats.signed(difference.low)} to {formats.signed(difference.high)}"
    return Cell(formats.signed(difference.mean), interval)


def _by_model(
    columns: Mapping[str, Mapping[str, Estimate]], notes: Mapping[tuple[str, str], str] | None = None
) -> list[list[Cell]]:
    """A row per model with an estimate per column, the highest of a column marked; notes by (column, model)."""
    best = {column: _highest([*models.values()]) for column, models in columns.items()}
    rows = []
    for model in next(iter(columns.values())):
        row = [Cell(model_label(model))]
        for column, models in columns.items():
            cell = _estimate(models[model], models[model].mean == best[column])
            note = (notes or {}).get((column, model), "")
            row.append(Cell(cell.text, f"{cell.detail}{note}", cell.strong))
        rows.append(row)
    return rows


def _paired_rows(differences: Sequence[Difference]) -> list[list[Cell]]:
    return [
        [Cell("Softmax DNN − MF"), *(_difference(difference) for difference in differences)],
        [Cell("p, Holm"), *(Cell(formats.p_figure(difference.p_holm)) for difference in differences)],
    ]


def _stands(verdict: Verdict) -> str:
    return {Verdict.BETTER: "better", Verdict.WORSE: "worse", Verdict.NO_EVIDENCE: "no evidence"}[verdict]


def _fallback(figure: NewUserFigure) -> str:
    if figure.fallback_share == 0:
        return ""
    return (
        ", its fallback"
        if figure.fallback_share == 1
        else f", fallback for {formats.percent(figure.fallback_share, 0)}"
    )
