"""What a topic of the report is, and the means with intervals and the tables that several topics show.

Topics are discovered: each `Topic` that a module of `topics` names is one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import import_module
from itertools import chain
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report import formats
from bakeoff.report.accuracy import Statistics, side_by_side
from bakeoff.report.evidence import Evidence, NotMeasured, notes_on
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Cell, Figure, Row, Table, estimate_cell, present, table_of
from bakeoff.report.topics.base.claims import Claim, Question
from bakeoff.report.topics.base.judge import judge_questions

PACKAGE = "bakeoff.report.topics"
NEW, LEARN = "New to the models", "What they learn"
"""Groups of the contents that several topics belong to."""


class Page(StrEnum):
    """The pages of the report; the value is the name of the file."""

    REPORT = "index.html"
    """The comparison: made by `compare` from the core stages alone."""
    EVIDENCE = "evidence.html"
    """The textbook's claims and what else was measured for them: made by `evidence`."""


@dataclass(frozen=True)
class Topic:
    """One subject of the report: its claim, its charts and its section.

    Attributes:
        id: its name; the template of its section is `<id>.html.j2` in the folder of the topics.
        order: place of its section and of its charts in the page.
        page: that its section is on.
        section: anchor of the section that shows its charts.
        charts: computes figures from what `source` gives and draws them, each chart with its sentence and its table;
            none where there is nothing to show.
        group: group of the section in the contents; empty where the section is that of another topic.
        title: heading of the section; empty likewise.
        claim: what the textbook says about it.
        ask: the parts of that claim, in the order of the table.
        source: part of `Evidence.measured` that the charts are made from; empty: all evidence. There are no charts
            where it was skipped.
        notes: sentences above the charts; by default what was done for the source, or why it was skipped.
    """

    id: str
    order: int
    page: Page
    section: str
    charts: Callable[[Any, ReportParams, Statistics], Iterable[Figure]] = lambda *_: ()
    group: str = ""
    title: str = ""
    claim: Claim | None = None
    ask: Callable[[Evidence, ReportParams], Sequence[Question]] = lambda _, __: ()
    source: str = ""
    notes: Callable[[Any], Sequence[str]] = notes_on

    @property
    def link(self) -> str:
        """Its section, seen from the page of the claims."""
        return f"{'' if self.page is Page.EVIDENCE else self.page}#{self.section}"

    def read(self, evidence: Evidence) -> Any:
        """What its charts are made from."""
        return evidence.part(self.source) if self.source else evidence

    def figures(self, evidence: Evidence, params: ReportParams, statistics: Statistics) -> list[Figure]:
        """Its charts, each with the section that shows it."""
        source = self.read(evidence)
        found = () if isinstance(source, NotMeasured) else self.charts(source, params, statistics)
        return [replace(figure, section=self.section) for figure in found]


@cache
def topics() -> tuple[Topic, ...]:
    """All topics in the order of the page."""
    names = [module.name for module in iter_modules(import_module(PACKAGE).__path__)]
    modules = [import_module(f"{PACKAGE}.{name}") for name in names]
    found = [each for module in modules for each in vars(module).values() if isinstance(each, Topic)]
    return tuple(sorted(found, key=lambda topic: topic.order))


def topics_of(page: Page) -> list[Topic]:
    """The topics of one page, in order."""
    return [topic for topic in topics() if topic.page is page]


def topic_figures(evidence: Evidence, params: ReportParams, statistics: Statistics, page: Page) -> dict[str, Figure]:
    """Charts of the topics of a page by their keys, in order."""
    figures = [topic.figures(evidence, params, statistics) for topic in topics_of(page)]
    return {figure.key: figure for figure in chain.from_iterable(figures)}


def section_notes(evidence: Evidence, page: Page) -> dict[str, list[str]]:
    """Anchor of a section of a page → the sentences above its charts."""
    found: dict[str, list[str]] = {}
    for topic in topics_of(page):
        found.setdefault(topic.section, []).extend(text for text in topic.notes(topic.read(evidence)) if text)
    return found


def judge_claims(evidence: Evidence, params: ReportParams, statistics: Statistics) -> list[Claim]:
    """Every claim, judged on this evidence, in the order of their numbers."""
    asked = [(replace(each.claim, link=each.link), each.ask(evidence, params)) for each in topics() if each.claim]
    return judge_questions(sorted(asked, key=lambda pair: pair[0].number), statistics)


Named = tuple[str, str, NDArray[np.float64]]
"""Group, series and the values over users."""


def estimates(columns: Sequence[Named], statistics: Statistics) -> pd.DataFrame:
    """Group, series, mean, low, high: a row per column; columns without any user are left out."""
    names = ["group", "series", "mean", "low", "high"]
    if not columns:
        return pd.DataFrame(columns=names)
    found = statistics.estimates(side_by_side([values for *_, values in columns]), [each[:2] for each in columns])
    return found.set_axis(names, axis=1).dropna(subset="mean", ignore_index=True)


def interval_cell(row: Any) -> Cell:
    """Mean with its interval where there is one; an en dash for None."""
    if row is None:
        return Cell(formats.NO_VALUE)
    return estimate_cell(row) if row.low < row.high else Cell(formats.decimal(row.mean))


def estimate_table(caption: str, corner: str, frame: pd.DataFrame) -> Table:
    """Series × groups: the mean with its interval; an en dash where there is no figure."""
    groups, series = present(frame.group), present(frame.series)
    found = {(row.group, row.series): row for row in frame.itertuples()}
    rows: list[Row] = [[name, *(interval_cell(found.get((group, name))) for group in groups)] for name in series]
    return table_of(caption, [corner, *(group.replace("\n", ", ") for group in groups)], rows)
