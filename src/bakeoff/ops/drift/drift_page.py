"""Drift for people: a page, the same in Markdown, a picture, and the sentences of all of them."""

import pandas as pd

from bakeoff.ops.drift import drift_charts
from bakeoff.ops.drift.findings import Drift, DriftFinding, DriftOutcome
from bakeoff.report import formats
from bakeoff.report.render.figure import Cell, Column, Row, Table, table_of
from bakeoff.report.render.pages import document, escape, markdown_table, render_page, still_picture, svg_file

Events = tuple["pd.Series[int]", "pd.Series[int]"]
"""Events by day, of the reference and of the new data."""
_EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'


def drift_headline(drift: Drift) -> str:
    """What follows, in a sentence without its full stop."""
    if drift.outcome is DriftOutcome.STOP:
        tables = [finding.table for finding in drift.failed if finding.severity == "critical"]
        return f"Stop: too few {formats.listing(tables)}; nothing is trained on them"
    if drift.outcome is DriftOutcome.WARNING:
        subjects = [finding.subject for finding in drift.failed]
        return f"Drift: {formats.listing([name[:1].lower() + name[1:] for name in subjects])}"
    return f"No drift: the volume and {len(drift.features)} features are as before"


def drift_statement(drift: Drift) -> str:
    """What was compared, and what moved most."""
    parts = [f"The validated data compared with those of {_label(drift)}."]
    parts += [f"{_found(finding)}." for finding in drift.failed]
    if drift.outcome is DriftOutcome.STOP:
        parts.append("Check what was delivered; if a smaller data set is intended, lower drift.min_volume.")
    elif drift.outcome is DriftOutcome.WARNING:
        parts.append("The run goes on.")
    return " ".join(parts)


def finding_table(drift: Drift) -> Table:
    """Every expectation with what was found, those that do not hold first."""
    ordered = [*drift.failed, *(finding for finding in drift.findings if finding.success)]
    rows: list[Row] = [
        [finding.expectation, _number(finding.value), _number(finding.limit), _says(finding), finding.detail]
        for finding in ordered
    ]
    caption = "What was expected of the data, and what was found; divergences are in nats"
    prose = [Column("Says", prose=True), Column("Moved most", prose=True)]
    return table_of(caption, ["Expected", "Found", "Limit", *prose], rows)


def drift_html(drift: Drift, events: Events) -> str:
    """The page: no script."""
    pictures = []
    if (spec := drift_charts.volume(*events)) is not None:
        sentence = "The thin line is the data of the version in production, the broad one the data there are now."
        alt = "Line chart: the number of events over time, in production and now."
        pictures.append(still_picture(spec, "volume", title="Events over time", alt=alt, sentence=sentence))
    if (spec := drift_charts.panels(drift)) is not None:
        sentence = "Bars: shares now. Marks: shares in production. Features that moved most come first."
        alt = "Small bar charts, one per feature: a bar is the share of a bin now, the mark on it the share before."
        pictures.append(still_picture(spec, "features", title="Each feature", alt=alt, sentence=sentence))
    return render_page(
        "drift.html.j2",
        [],
        title="How the data have changed",
        headline=drift_headline(drift),
        statement=drift_statement(drift),
        notes=drift.notes,
        pictures=pictures,
        findings=finding_table(drift),
        home="../index.html",
    )


def no_evidence_html(reason: str) -> str:
    """The page where there is nothing to compare with."""
    return render_page(
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


def drift_markdown(drift: Drift) -> str:
    """The same, short: for a log or an artifact."""
    parts = [f"# {escape(drift_headline(drift))}", escape(drift_statement(drift))]
    parts += [f"> {escape(note)}" for note in drift.notes]
    return document([*parts, markdown_table(finding_table(drift))])


def no_evidence_markdown(reason: str) -> str:
    """Where there is nothing to compare with."""
    return document(["# No evidence of drift, and none against it", escape(reason)])


def picture(drift: Drift, events: Events) -> str:
    """The charts as one SVG file."""
    spec = drift_charts.both(drift, events)
    return _EMPTY if spec is None else svg_file(spec, [])


def _label(drift: Drift) -> str:
    return drift.since if drift.since.startswith(drift.commit) else f"{drift.since} ({drift.commit})"


def _says(finding: DriftFinding) -> Cell:
    if finding.success:
        return Cell("holds")
    return Cell("stops the run" if finding.severity == "critical" else "warning", strong=True)


def _found(finding: DriftFinding) -> str:
    what = "" if " as many " in finding.expectation else "divergence "
    return f"{finding.subject}: {what}{_number(finding.value)}, limit {_number(finding.limit)} ({finding.detail})"


def _number(value: float | None) -> str:
    return formats.NO_VALUE if value is None else f"{value:.3f}".rstrip("0").rstrip(".")
