"""What a topic of the report is, and how its figures become means with intervals and tables.

Topics are discovered: each `Topic` that a module of `topics` names is one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report import formats
from bakeoff.report.accuracy import Statistics
from bakeoff.report.evidence import Evidence, NotMeasured, notes_on
from bakeoff.report.params import ReportParams
from bakeoff.report.render.figure import Cell, Figure, Row, Table, estimate_cell, present, table_of
from bakeoff.report.topics.base.claims import Claim, Question
from bakeoff.report.topics.base.judge import judge_questions

PACKAGE = "bakeoff.report.topics"
NEW, LEARN = "New to the models", "What they learn"
"""Groups of the contents that several topics belong to."""
F = TypeVar("F")


class Page(StrEnum):
    """The pages of the report; the value is the name of the file."""

    REPORT = "index.html"
    """The comparison: made by `compare` from the core stages alone."""
    EVIDENCE = "evidence.html"
    """The textbook's claims and what else was measured for them: made by `evidence`."""


@dataclass(frozen=True)
class Topic(Generic[F]):
    """One subject of the report: its claim, its figures and its section.

    Attributes:
        id: its name; the template of its section is `<id>.html.j2` in the folder of the topics.
        order: place of its section and of its figures in the page.
        page: that its section is on.
        section: anchor of the section that shows its figures.
        measure: computes its figures from what `source` gives; None where there is nothing to show.
        draw: charts of these figures, each with its sentence and its table.
        group: group of the section in the contents; empty where the section is that of another topic or of the page.
        title: heading of the section; empty likewise.
        claim: what the textbook says about it.
        ask: the parts of that claim, in the order of the table.
        source: part of `MeasuredEvidence` that the figures are computed from; empty: all evidence. There are no
            figures where it was skipped.
        notes: sentences above the charts; by default what was done for the source, or why it was skipped.
    """

    id: str
    order: int
    page: Page
    section: str
    measure: Callable[[Any, ReportParams, Statistics], F | None]
    draw: Callable[[F], Iterable[Figure]]
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
        """What its figures are computed from."""
        return evidence.measured.part(self.source) if self.source else evidence

    def find(self, evidence: Evidence, params: ReportParams, statistics: Statistics) -> F | None:
        """Its figures; None where there is nothing to show."""
        source = self.read(evidence)
        return None if isinstance(source, NotMeasured) else self.measure(source, params, statistics)


@dataclass(frozen=True)
class Findings:
    """Figures of the topics of one page.

    Attributes:
        by_topic: id of a topic → its figures; without topics that have nothing to show.
        notes: anchor of a section → sentences above its charts.
    """

    by_topic: Mapping[str, Any]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def of(self, topic: Topic[F]) -> F | None:
        """Figures of one topic; None where there is nothing to show."""
        return self.by_topic.get(topic.id)


@cache
def topics() -> tuple[Topic[Any], ...]:
    """All topics in the order of the page."""
    names = [module.name for module in iter_modules(import_module(PACKAGE).__path__)]
    modules = [import_module(f"{PACKAGE}.{name}") for name in names]
    found = [each for module in modules for each in vars(module).values() if isinstance(each, Topic)]
    return tuple(sorted(found, key=lambda topic: topic.order))


def topics_of(page: Page) -> list[Topic[Any]]:
    """The topics of one page, in order."""
    return [topic for topic in topics() if topic.page is page]


def find(evidence: Evidence, params: ReportParams, statistics: Statistics, page: Page) -> Findings:
    """Compute the figures of every topic of a page."""
    found = {topic.id: topic.find(evidence, params, statistics) for topic in topics_of(page)}
    return Findings({name: each for name, each in found.items() if each is not None}, section_notes(evidence, page))


def section_notes(evidence: Evidence, page: Page) -> dict[str, list[str]]:
    """Anchor of a section of a page → the sentences above its charts."""
    found: dict[str, list[str]] = {}
    for topic in topics_of(page):
        found.setdefault(topic.section, []).extend(text for text in topic.notes(topic.read(evidence)) if text)
    return found


def topic_figures(findings: Findings) -> list[Figure]:
    """Charts of the topics of a page, each with the section that shows it."""
    return [
        replace(figure, section=topic.section)
        for topic in topics()
        if topic.id in findings.by_topic
        for figure in topic.draw(findings.by_topic[topic.id])
    ]


def judge_claims(evidence: Evidence, params: ReportParams, statistics: Statistics) -> list[Claim]:
    """Every claim, judged on this evidence, in the order of their numbers."""
    asked = [(replace(each.claim, link=each.link), each.ask(evidence, params)) for each in topics() if each.claim]
    return judge_questions(sorted(asked, key=lambda pair: pair[0].number), statistics)


@dataclass(frozen=True)
class MeansByGroup:
    """Means of a metric with their intervals.

    Attributes:
        metric: its name.
        models: in the order of the report.
        frame: from `estimates`.
    """

    metric: str
    models: Sequence[str]
    frame: pd.DataFrame


Named = tuple[str, str, NDArray[np.float64]]
"""Group, series and the values over users."""


def estimates(columns: Sequence[Named], statistics: Statistics) -> pd.DataFrame:
    """Group, series, mean, low, high: a row per column; columns without any user are left out."""
    known = [(series, group, values) for group, series, values in columns if not np.isnan(values).all()]
    rows = [(e.metric, e.model, e.mean, e.low, e.high) for e in statistics.estimates(known)]
    return pd.DataFrame(rows, columns=["group", "series", "mean", "low", "high"])


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
