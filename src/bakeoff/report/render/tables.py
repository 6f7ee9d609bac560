"""The report's figures as tables of text, shared by the page, the cards and Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from bakeoff.evaluation.metrics.table import METRICS
from bakeoff.evaluation.stats.significance import Verdict
from bakeoff.report import formats
from bakeoff.report.accuracy import BaselineComparison, Difference
from bakeoff.report.models import look, model_label
from bakeoff.report.render.figure import (
    Cell,
    Column,
    Row,
    Table,
    change_cell,
    difference_cell,
    estimate_cell,
    record_table,
    table_of,
)
from bakeoff.report.slices import Slice, step_label
from bakeoff.report.topics.popularity import PER_LIST
from bakeoff.report.training import SettingSearch, TrainingFigure
from bakeoff.report.verdict import OPEN, Segment, choose

P_HOLM = Column("p, Holm", "holm")
EXPOSURE: tuple[tuple[Column, Callable[[Any], str]], ...] = (
    (Column("ARP", "arp"), lambda e: formats.decimal(e.arp, 1)),
    (Column("Popularity lift", "lift"), lambda e: formats.signed_percent(e.popularity_lift)),
    (Column("Coverage", "coverage"), lambda e: formats.percent(e.coverage)),
    (Column("Gini", "gini"), lambda e: formats.decimal(e.gini, 3)),
    (Column("Long-tail share", "long-tail"), lambda e: formats.percent(e.long_tail_share)),
)
"""Columns of tables about lists."""
PER_LIST_LABELS = {metric.name: metric.label for metric in METRICS if metric.name in PER_LIST}
OF_A_CARD: tuple[tuple[Column, Callable[[Any], str]], ...] = (
    *EXPOSURE,
    (Column(PER_LIST_LABELS["novelty"]), lambda e: formats.decimal(e.novelty, 2)),
    (Column(PER_LIST_LABELS["diversity"]), lambda e: formats.decimal(e.diversity, 3)),
    (Column(PER_LIST_LABELS["debiased_ndcg"]), lambda e: formats.decimal(e.debiased_ndcg)),
)
"""Columns of the table about lists that has the room."""
OUTCOMES = {Verdict.BETTER: "better", Verdict.WORSE: "worse", Verdict.NO_EVIDENCE: "no evidence"}
"""How a verdict is written in a table."""
TEST_FIGURES: tuple[tuple[Column, Callable[[Difference], str]], ...] = (
    (Column("Effect size d", "effect"), lambda d: formats.signed(d.effect_size, 2)),
    (Column("Win / tie / loss"), lambda d: win_tie_loss(d)),
    (Column("Detectable", "detectable"), lambda d: formats.decimal(d.detectable)),
)
"""Columns of the table of differences that a brief one leaves out."""


def metric_table(estimates: pd.DataFrame) -> Table:
    """Metrics × models: mean with its interval. None is bold: which is higher, paired differences say."""
    models = [Column(model_label(name), name if look(name).meaning else "") for name in estimates.model.unique()]
    rows = _rows(estimates, "metric", formats.metric_label)
    return table_of("Mean over warm test users, with its interval", ["Metric", *models], rows)


def cutoff_table(estimates: pd.DataFrame, cutoff: int) -> Table:
    """Models × metrics at one cutoff: mean with its interval."""
    shown = estimates[estimates.metric.str.endswith(f"@{cutoff}")]
    headings = ["Model", *map(formats.metric_label, shown.metric.unique())]
    rows = _rows(shown, "model", model_label)
    return table_of("Mean over warm test users, with its interval", headings, rows)


def standing_table(standings: Sequence[BaselineComparison], metric: str) -> Table:
    """Every model compared with the best baseline, which is in the first row."""
    label, name = model_label(standings[0].baseline), formats.metric_label(metric)
    rows: list[Row] = [
        [Cell(label, "the best baseline"), formats.decimal(standings[0].baseline_mean), *[formats.NO_VALUE] * 3]
    ]
    for s in standings:
        change, p, says = difference_cell(s.difference), s.difference.p_holm, outcome_cell(s.difference.verdict)
        rows.append([model_label(s.model), formats.decimal(s.mean), change, formats.p_figure(p), says])
    caption = f"{name} of each model compared with {label}, the best baseline"
    return table_of(caption, ["Model", name, f"− {label}", P_HOLM, "Says"], rows)


def difference_table(differences: Sequence[Difference], *, brief: bool = False) -> Table:
    """Paired differences softmax − MF: interval, adjusted p and, unless `brief`, all other figures of the test."""
    words = {Verdict.BETTER: "softmax better", Verdict.WORSE: "MF better"}
    return record_table(
        "Softmax DNN − MF on the same users",
        differences,
        ("Metric", lambda d: formats.metric_label(d.metric)),
        ("Difference", difference_cell),
        *([] if brief else [(Column("p", "p-value"), lambda d: formats.p_figure(d.p))]),
        (P_HOLM, lambda d: formats.p_figure(d.p_holm)),
        *([] if brief else TEST_FIGURES),
        ("Says", lambda d: outcome_cell(d.verdict, words)),
    )


def exposure_table(exposures: pd.DataFrame, k: int) -> Table:
    """Popularity and coverage of the lists of length k."""
    shown = exposures[exposures.k == k].itertuples()
    caption = f"Popularity and coverage of the first {k}"
    return record_table(caption, shown, (f"Lists of {k}", lambda e: model_label(e.model)), *EXPOSURE)


def slice_table(slices: Sequence[Slice], metric: str, by: str = "Since last event", of: str = "Test events") -> Table:
    """Models × parts of the test on one metric, with their events (`of`) and users, and softmax − MF."""
    rows: list[Row] = [
        [of, *(formats.count(part.num_events) for part in slices)],
        ["Users", *(formats.count(part.num_users) for part in slices)],
        *_of_parts(slices),
    ]
    lists = ", with whole lists" if of == "Test events" else ""
    caption = f"{formats.metric_label(metric)} on the {formats.within_sentence(of)} of each column{lists}"
    return table_of(caption, [by, *(part.name for part in slices)], rows)


def situation_table(
    sessions: Sequence[Slice], new_users: Sequence[Slice], metric: str, *, has_verdict: bool = True
) -> Table:
    """Who should get what: the choice, the contenders compared, the better one compared with the best baseline.

    Without a verdict nothing is chosen.
    """
    named = [(f"Known user, {part.name}", part) for part in sessions]
    named += [(f"New user, {step_label(part.name)} known", part) for part in new_users]
    rows: list[Row] = []
    for name, part in named:
        choice, reason = choose(part.difference, part.standing) if has_verdict else (OPEN, "no verdict yet")
        lead = part.standing
        ahead = Cell(formats.signed(lead.difference.mean), model_label(lead.baseline))
        users, change = formats.count(part.difference.num_users), difference_cell(part.difference)
        rows.append([name, Cell(model_label(choice), reason, strong=True), users, change, ahead])
    label = formats.metric_label(metric)
    caption = f"{label}: known users by time since their last event, new users by known interactions"
    columns = (Column("Situation", prose=True), Column("Choose", prose=True), "Users", "Softmax DNN − MF")
    return table_of(caption, [*columns, "The better − best baseline"], rows)


def segment_table(segments: Sequence[Segment], metric: str) -> Table:
    """Segments of known users, each compared with all others."""
    return record_table(
        f"{formats.metric_label(metric)} by segment of known users, compared with all others",
        segments,
        (Column("Segment", prose=True), lambda s: s.name),
        ("Users", lambda s: formats.count(s.num_users)),
        ("Mean", lambda s: formats.decimal(s.mean)),
        ("Segment − others", lambda s: change_cell(s.difference, s.low, s.high)),
        (P_HOLM, lambda s: formats.p_figure(s.p)),
    )


def new_user_table(new_users: Sequence[Slice], metric: str) -> Table:
    """Models × numbers of known interactions on one metric, and the paired difference softmax − MF."""
    caption = f"{formats.metric_label(metric)} on new users, by the number of first interactions that the model knows"
    steps = [step_label(part.name) for part in new_users]
    return table_of(caption, ["Known interactions", *steps], _of_parts(new_users))


def profile_table(profile: pd.DataFrame) -> Table:
    """Tenths of the catalogue × sources of list places."""
    wide = profile.pivot_table(index="group", columns="source", values="share", sort=False)
    rows: list[Row] = [
        [str(group), *map(formats.percent, shares)] for group, shares in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    columns = ["Tenth", *(formats.sentence(model_label(name)) for name in wide.columns)]
    return table_of("Share of list places by tenth of the catalogue", columns, rows)


def training_table(figures: Sequence[TrainingFigure]) -> Table:
    """What training took."""
    return record_table(
        "Cost of training, on the machine that made this report",
        figures,
        ("Model", lambda f: model_label(f.model)),
        ("Wall time", lambda f: formats.seconds(f.wall_seconds)),
        ("CPU time", lambda f: formats.seconds(f.cpu_seconds)),
        ("Peak memory", lambda f: formats.megabytes(f.peak_memory_bytes)),
        ("Parameters", lambda f: formats.count(f.num_parameters)),
        ("Dimension", lambda f: str(f.dim)),
        (
            Column("Epochs", "epoch"),
            lambda f: formats.NO_VALUE if f.selected_epoch is None else f"{f.selected_epoch} of {f.last_epoch}",
        ),
        ("Ranking all users", lambda f: formats.seconds(f.ranking_seconds)),
    )


def search_table(searches: Sequence[SettingSearch]) -> Table:
    """Effort and outcome of each search. Wall time is in bare seconds: it comes from the record, not from this run."""
    best = f"Best {formats.metric_label(searches[0].metric) if searches else 'figure'}, validation"
    return record_table(
        "Search for settings, judged on validation",
        searches,
        ("Model", lambda s: model_label(s.model)),
        (Column("Trials", "trial"), _trials),
        ("Wall seconds", lambda s: formats.count(s.wall_seconds + 0.5)),
        (Column(best, "validation"), _best),
        (Column("Epoch", "epoch"), lambda s: formats.NO_VALUE if s.epoch is None else str(s.epoch)),
    )


def _trials(search: SettingSearch) -> Cell:
    parts = ((search.pruned, "pruned"), (search.failed, "failed"))
    return Cell(formats.count(search.trials), ", ".join(f"{formats.count(n)} {word}" for n, word in parts if n))


def _best(search: SettingSearch) -> Cell:
    return Cell(formats.decimal(search.best), f"mean of {search.seeds} further seeds" if search.seeds else "")


def validation_table(validation: Mapping[str, Any]) -> Table:
    """Rows, valid rows and quarantined rows per table."""
    tables = validation["tables"]
    return record_table(
        "Rows that were read, passed and were quarantined",
        tables,
        ("Table", str),
        ("Rows", lambda name: formats.count(tables[name]["rows"])),
        ("Valid", lambda name: formats.count(tables[name]["valid"])),
        (Column("Quarantined", "quarantine"), lambda name: formats.count(tables[name]["quarantined"])),
        ("Share", lambda name: formats.percent(tables[name]["share"], 2)),
    )


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
    found = [(name, each) for name, table in validation["tables"].items() for each in table["expectations"]]
    return record_table(
        "What was expected of the data",
        found,
        ("Table", lambda row: row[0]),
        (Column("Expectation", prose=True), lambda row: str(row[1]["expectation"])),
        (Column("Severity", prose=True), lambda row: str(row[1]["severity"])),
        (Column("Outcome", prose=True), lambda row: Cell("met") if row[1]["success"] else Cell("not met", strong=True)),
        ("Bad rows", lambda row: formats.count(row[1]["unexpected"])),
    )


def name_table(caption: str, heading: str, values: Mapping[str, str], value: str = "Value") -> Table:
    """Names and their values, such as parameters."""
    return table_of(caption, [heading, Column(value, prose=True)], values.items())


def outcome_cell(verdict: Verdict, words: Mapping[Verdict, str] = OUTCOMES) -> Cell:
    """A verdict in a word or two, in bold where there is evidence."""
    return Cell(words.get(verdict, OUTCOMES[verdict]), strong=verdict is not Verdict.NO_EVIDENCE)


def win_tie_loss(difference: Difference) -> str:
    """Users on whom softmax is ahead / level / behind."""
    return f"{difference.wins} / {difference.ties} / {difference.losses}"


def _rows(estimates: pd.DataFrame, by: str, label: Callable[[str], str]) -> list[Row]:
    """A row per value of the column `by` with its estimates, each with its `note` if there is such a column."""
    return [
        [label(str(name)), *(estimate_cell(each, getattr(each, "note", "")) for each in found.itertuples())]
        for name, found in estimates.groupby(by, sort=False)
    ]


def _of_parts(parts: Sequence[Slice]) -> list[Row]:
    """A row per model, then softmax − MF and its p; a column per part."""
    noted = [
        part.estimates.assign(note=[_fallback(part.fallbacks.get(model, 0.0)) for model in part.estimates.model])
        for part in parts
    ]
    return [
        *_rows(pd.concat(noted), "model", model_label),
        ["Softmax DNN − MF", *(difference_cell(part.difference) for part in parts)],
        ["p, Holm", *(formats.p_figure(part.difference.p_holm) for part in parts)],
    ]


def _fallback(share: float) -> str:
    if share == 0:
        return ""
    return ", its fallback" if share == 1 else f", fallback for {formats.percent(share, 0)}"
