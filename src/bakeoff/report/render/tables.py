"""The report's figures as tables of text, shared by the page, the cards and Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import Difference, Estimate
from bakeoff.report.exposure import Exposure
from bakeoff.report.models import look, model_label
from bakeoff.report.new_users import NewUserFigure, step_label
from bakeoff.report.render.figure import Cell, Column, Heading, Row, Table, change_cell, mean_cell, table_of
from bakeoff.report.slices import Slice
from bakeoff.report.verdict import BaselineComparison

P_HOLM = Column("p, Holm", "holm")
EXPOSURE = {
    "ARP": "arp",
    "Popularity lift": "lift",
    "Coverage": "coverage",
    "Gini": "gini",
    "Long-tail share": "long-tail",
}
"""Heading → term, of figures of the lists."""
OUTCOMES = {Verdict.BETTER: "better", Verdict.WORSE: "worse", Verdict.NO_EVIDENCE: "no evidence"}
"""How a verdict is written in a table."""


def metric_table(estimates: Sequence[Estimate]) -> Table:
    """Metrics × models: mean with its interval, the highest mean of a row in bold."""
    models = list(dict.fromkeys(estimate.model for estimate in estimates))
    rows: list[Row] = []
    for metric, found in _by(estimates, "metric").items():
        best = _highest(found)
        rows.append([formats.metric_label(metric), *(estimate_with_interval(e, e.mean == best) for e in found)])
    return table_of("Mean over warm test users, with its interval", ["Metric", *_model_columns(models)], rows)


def cutoff_table(estimates: Sequence[Estimate], cutoff: int) -> Table:
    """Models × metrics at one cutoff: mean with its interval, the highest mean of a column in bold."""
    metrics = _by([estimate for estimate in estimates if estimate.metric.endswith(f"@{cutoff}")], "metric")
    headings = ["Model", *map(formats.metric_label, metrics)]
    return table_of("Mean over warm test users, with its interval", headings, _by_model(metrics.values()))


def standing_table(standings: Sequence[BaselineComparison], metric: str, confidence: float) -> Table:
    """Every model compared with the best baseline, which is in the first row."""
    label = model_label(standings[0].baseline)
    first: Row = [
        Cell(label, "the best baseline"),
        formats.decimal(standings[0].baseline_mean),
        *[formats.NO_VALUE] * 3,
    ]
    rows: list[Row] = [
        [
            model_label(s.model),
            formats.decimal(s.mean),
            change_cell(s.difference, s.low, s.high),
            formats.p_figure(s.p),
            outcome_cell(s.verdict(confidence)),
        ]
        for s in standings
    ]
    name = formats.metric_label(metric)
    caption = f"{name} of each model compared with {label}, the best baseline"
    return table_of(caption, ["Model", name, f"− {label}", P_HOLM, "Says"], [first, *rows])


def difference_table(differences: Sequence[Difference]) -> Table:
    """Paired differences softmax − MF: interval, adjusted p, effect size, wins, detectable difference."""
    words = {Verdict.BETTER: "softmax better", Verdict.WORSE: "MF better"}
    columns: list[Heading] = ["Metric", "Difference", Column("p", "p-value"), P_HOLM, Column("Effect size d", "effect")]
    columns += ["Win / tie / loss", Column("Detectable", "detectable"), "Says"]
    rows: list[Row] = [
        [
            formats.metric_label(d.metric),
            change_cell(d.mean, d.low, d.high),
            formats.p_figure(d.p),
            formats.p_figure(d.p_holm),
            formats.signed(d.effect, 2),
            win_tie_loss(d),
            formats.decimal(d.detectable),
            outcome_cell(d.verdict, words),
        ]
        for d in differences
    ]
    return table_of("Softmax DNN − MF on the same users", columns, rows)


def exposure_table(exposures: Sequence[Exposure], k: int) -> Table:
    """Popularity and coverage of the lists of length k."""
    columns: list[Heading] = [f"Lists of {k}", *(Column(label, term) for label, term in EXPOSURE.items())]
    rows: list[Row] = [[model_label(e.model), *exposure_texts(e)] for e in exposures if e.k == k]
    return table_of(f"Popularity and coverage of the first {k}", columns, rows)


def exposure_texts(exposure: Exposure) -> list[str]:
    """The figures under the headings of EXPOSURE."""
    return [
        formats.decimal(exposure.arp, 1),
        formats.signed_percent(exposure.lift),
        formats.percent(exposure.coverage),
        formats.decimal(exposure.gini, 3),
        formats.percent(exposure.long_tail),
    ]


def slice_table(slices: Sequence[Slice], metric: str) -> Table:
    """Models × spans of time on one metric, with events and users, and the paired difference softmax − MF."""
    rows: list[Row] = [
        ["Test events", *(formats.count(part.num_events) for part in slices)],
        ["Users", *(formats.count(part.num_users) for part in slices)],
        *_by_model(part.estimates for part in slices),
        *_paired_rows([part.difference for part in slices]),
    ]
    caption = f"{formats.metric_label(metric)} on the test events of each span, with whole lists"
    return table_of(caption, ["Since last event", *(part.name for part in slices)], rows)


def new_user_table(figures: Sequence[NewUserFigure], differences: Mapping[str, Difference], metric: str) -> Table:
    """Models × numbers of known interactions on one metric, and the paired difference softmax − MF."""
    steps = _by(figures, "first")
    rows: list[Row] = [
        *_by_model(
            [[figure.estimate(metric) for figure in step] for step in steps.values()],
            [[_fallback(figure) for figure in step] for step in steps.values()],
        ),
        *_paired_rows([differences[first] for first in steps]),
    ]
    caption = f"{formats.metric_label(metric)} on new users, by the number of first interactions that the model knows"
    return table_of(caption, ["Known interactions", *map(step_label, steps)], rows)


def profile_table(profile: pd.DataFrame) -> Table:
    """Tenths of the catalogue × sources of list places."""
    wide = profile.pivot_table(index="group", columns="source", values="share", sort=False)
    rows: list[Row] = [
        [str(group), *map(formats.percent, shares)] for group, shares in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    columns: list[Heading] = ["Tenth", *(formats.sentence(model_label(name)) for name in wide.columns)]
    return table_of("Share of list places by tenth of the catalogue", columns, rows)


def histogram_table(bins: pd.DataFrame) -> Table:
    """Users by their difference, from the bins of `charts.binned`."""
    rows: list[Row] = [
        ["0, no difference" if low < 0 < high else f"{start:+.1f} to {end:+.1f}", str(users)]
        for low, high, start, end, users in bins[["low", "high", "from", "to", "users"]].itertuples(index=False)
    ]
    return table_of("Users by difference", ["Difference", "Users"], rows)


def estimate_with_interval(estimate: Estimate, is_best: bool = False) -> Cell:
    """A mean with its interval, in bold if it is the best."""
    return mean_cell(estimate.mean, estimate.low, estimate.high, strong=is_best)


def outcome_cell(verdict: Verdict, words: Mapping[Verdict, str] = OUTCOMES) -> Cell:
    """A verdict in a word or two, in bold where there is evidence."""
    return Cell(words.get(verdict, OUTCOMES[verdict]), strong=verdict is not Verdict.NO_EVIDENCE)


def win_tie_loss(difference: Difference) -> str:
    """Users on whom softmax is ahead / level / behind."""
    return f"{difference.wins} / {difference.ties} / {difference.losses}"


def _by(rows: Iterable[Any], attribute: str) -> dict[str, list[Any]]:
    """The rows by an attribute, in the order in which its values first occur."""
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(getattr(row, attribute), []).append(row)
    return groups


def _model_columns(models: Sequence[str]) -> list[Column]:
    """A heading per model, a term if the glossary explains it."""
    return [Column(model_label(name), name if look(name).meaning else "") for name in models]


def _highest(estimates: Sequence[Estimate]) -> float | None:
    """The highest mean; None if all are the same."""
    means = [estimate.mean for estimate in estimates]
    return max(means) if len(set(means)) > 1 else None


def _by_model(columns: Iterable[Sequence[Estimate]], notes: Sequence[Sequence[str]] | None = None) -> list[Row]:
    """A row per model, an estimate and its note per column; the highest mean of a column is in bold.

    Args:
        columns: the estimates of each column, models in the same order.
        notes: what is appended to the interval of each estimate, in the same shape.
    """
    rows: dict[str, list[str | Cell]] = {}
    for place, column in enumerate(columns):
        best = _highest(column)
        for row, estimate in enumerate(column):
            cell = estimate_with_interval(estimate, estimate.mean == best)
            note = notes[place][row] if notes else ""
            cells = rows.setdefault(estimate.model, [model_label(estimate.model)])
            cells.append(Cell(cell.text, f"{cell.detail}{note}", cell.strong))
    return [*rows.values()]


def _paired_rows(differences: Sequence[Difference]) -> list[Row]:
    return [
        ["Softmax DNN − MF", *(change_cell(d.mean, d.low, d.high) for d in differences)],
        ["p, Holm", *(formats.p_figure(d.p_holm) for d in differences)],
    ]


def _fallback(figure: NewUserFigure) -> str:
    if figure.fallback_share == 0:
        return ""
    share = figure.fallback_share
    return ", its fallback" if share == 1 else f", fallback for {formats.percent(share, 0)}"
