"""Drift for people: a page, the same in Markdown, a picture, and the sentences of all of them."""

import pandas as pd

from bakeoff.ops.drift import drift_charts
from bakeoff.ops.drift.findings import Drift, Finding, Outcome
from bakeoff.report import formats
from bakeoff.report.render import markdown as markdown_tables
from bakeoff.report.render import pages as sheets
from bakeoff.report.render.tables import Cell, Column, Table

Events = tuple["pd.Series[int]", "pd.Series[int]"]
"""Events by day, of the reference and of the new data."""
_EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'


def headline(drift: Drift) -> str:
    """What follows, in a sentence without its full stop."""
    if drift.outcome is Outcome.STOP:
        tables = [finding.table for finding in drift.failed if finding.severity == "critical"]
        return f"Stop: too few {formats.listing(tables)}; nothing is trained on them"
    if drift.outcome is Outcome.WARNING:
        subjects = [finding.subject for finding in drift.failed]
        return f"Drift: {formats.listing([name[:1].lower() + name[1:] for name in subjects])}"
    return f"No drift: the volume and {len(drift.features)} features are as before"


def statement(drift: Drift) -> str:
    """What was compared, and what moved most."""
    told = [f"The validated data beside those of {_label(drift)}."]
    told += [f"{_found(finding)}." for finding in drift.failed]
    if drift.outcome is Outcome.STOP:
        told.append("Look at what was delivered; a smaller data set that is meant needs a lower drift.min_volume.")
    elif drift.outcome is Outcome.WARNING:
        told.append("The run goes on.")
    return " ".join(told)


def finding_table(drift: Drift) -> Table:
    """Every expectation with what was found, those that do not hold first."""
    ordered = [*drift.failed, *(finding for finding in drift.findings if finding.success)]
    columns = [Column("Expected"), Column("Found"), Column("Limit"), Column("Says", prose=True)]
    columns.append(Column("Moved most", prose=True))
    rows = [
        [
            Cell(finding.expectation),
            Cell(_number(finding.value)),
            Cell(_number(finding.limit)),
            _says(finding),
            Cell(finding.detail),
        ]
        for finding in ordered
    ]
    return Table("What was expected of the data, and what was found; divergences are in nats", columns, rows)


def html(drift: Drift, events: Events) -> str:
    """The page: no script."""
    pictures = [
        sheets.Picture(
            key="volume",
            title="Events over time",
            alt="Line chart: the number of events over time, in production and now.",
            sentence="The thin line is what the version in production was made from, the broad one what there is now.",
            svg=sheets.still(spec, "volume"),
        )
        for spec in [drift_charts.volume(*events)]
        if spec is not None
    ] + [
        sheets.Picture(
            key="features",
            title="Each feature",
            alt="Small bar charts, one per feature: a bar is the share of a bin now, the mark on it the share before.",
            sentence="Bars: shares now. Marks: shares in production. What has moved most comes first.",
            svg=sheets.still(spec, "features"),
        )
        for spec in [drift_charts.panels(drift)]
        if spec is not None
    ]
    return sheets.render(
        "drift.html.j2",
        [],
        title="How the data have changed",
        headline=headline(drift),
        statement=statement(drift),
        notes=drift.notes,
        pictures=pictures,
        findings=finding_table(drift),
        home="../index.html",
    )


def no_evidence_html(reason: str) -> str:
    """The page where there is nothing to compare with."""
    return sheets.render(
        "drift.html.j2",
        [],
        title="How the data have changed",
        headline="No evidence",
        statement=reason,
        notes=[],
        pictures=[],
        findings=None,
        home="../index.html",
    )


def markdown(drift: Drift) -> str:
    """The same, short: for a log or an artifact."""
    escape = markdown_tables.escape
    parts = [f"# {escape(headline(drift))}", escape(statement(drift))]
    parts += [f"> {escape(note)}" for note in drift.notes]
    return markdown_tables.joined([*parts, markdown_tables.table(finding_table(drift))])


def no_evidence_markdown(reason: str) -> str:
    """Where there is nothing to compare with."""
    return markdown_tables.joined(["# No evidence of drift, and none against it", markdown_tables.escape(reason)])


def picture(drift: Drift, events: Events) -> str:
    """The charts as one SVG file."""
    spec = drift_charts.both(drift, events)
    return _EMPTY if spec is None else sheets.picture(spec, [])


def _label(drift: Drift) -> str:
    return drift.since if drift.since.startswith(drift.commit) else f"{drift.since} ({drift.commit})"


def _says(finding: Finding) -> Cell:
    if finding.success:
        return Cell("holds")
    return Cell("stops the run" if finding.severity == "critical" else "warning", strong=True)


def _found(finding: Finding) -> str:
    what = "" if " as many " in finding.expectation else "divergence "
    return f"{finding.subject}: {what}{_number(finding.value)}, limit {_number(finding.limit)} ({finding.detail})"


def _number(value: float | None) -> str:
    return formats.NO_VALUE if value is None else f"{value:.3f}".rstrip("0").rstrip(".")
