"""`bakeoff drift`: whether the validated data still look like those of the version in production.

No DVC stage: what it says depends on the history in Git, which is no dependency that DVC could watch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import replaced, write_json, write_text
from bakeoff.core.workspace import Workspace
from bakeoff.data.engine.engine import Engine, opened
from bakeoff.data.params import DataParams
from bakeoff.ops.drift.distributions import DAY, TABLES, Feature, Snapshot
from bakeoff.ops.drift.expectations import Drift, DriftFinding, DriftOutcome, judge
from bakeoff.ops.git import ask, check_repository, commit_of
from bakeoff.ops.params import DriftParams
from bakeoff.ops.registry.files import dvc_files
from bakeoff.ops.revisions.command import last_version
from bakeoff.report import formats
from bakeoff.report.render.figure import Cell, Column, Row, Spec, Table, chart_config, table_of, to_spec
from bakeoff.report.render.pages import StillPicture, render_page, render_text

Events = tuple["pd.Series[int]", "pd.Series[int]"]
"""Events by day (since 1970), of the reference and of the new data."""
COLUMNS = 2
PANEL_WIDTH = 225
BAR_HEIGHT = 17
BEFORE, NOW = "in production", "now"
MAX_POINTS = 90
"""On the time axis; days are put together until they are no more."""
_TEXTS = {
    "volume": (
        "Events over time",
        "Line chart: the number of events over time, in production and now.",
        "The thin line is the data of the version in production, the broad one the data there are now.",
    ),
    "features": (
        "Each feature",
        "Small bar charts, one per feature: a bar is the share of a bin now, the mark on it the share before.",
        "Bars: shares now. Marks: shares in production. Features that moved most come first.",
    ),
}
"""Title, text for people who can't see it, and sentence of each picture."""

Reference = tuple[str, str, Snapshot]
"""Name and commit of a revision, and its validated tables."""


def run(workspace: Workspace, data: DataParams, limits: DriftParams, since: str | None = None) -> None:
    """Compare artifacts/validated with that of a revision, and write drift.json, .md and .html.

    Args:
        workspace: inside a Git repository; with validated tables.
        data: which columns are features.
        limits: how far the data may differ.
        since: a Git revision; None: the version in production, or the last commit where no tag names one.

    Raises:
        BakeoffError: nothing was validated yet, there is no such revision, or too many rows are missing; in the last
            case the files are written before.
    """
    with opened() as engine:
        try:
            now = _snapshot(engine, workspace.validated)
        except BakeoffError as error:
            remedy = "run `dvc repro validate`, and delete the file first if it is damaged"
            raise BakeoffError(f"{error}: {remedy}.") from None
        reference = _reference(engine, workspace.root, since)
        if isinstance(reference, str):
            nothing = {"outcome": "no evidence", "reason": reference}
            _write(workspace.drift, nothing, **_rendered([], "No evidence", reference, [], None))
            print(f"Drift: no evidence. {reference}")
            return
        name, commit, before = reference
        drift, events = judge(before, now, data, limits, name, commit[:7]), (before.days, now.days)
        _write(workspace.drift, drift.as_json(), **pages(drift, events))
    summary = ". ".join(drift_summary(drift))
    if drift.outcome is DriftOutcome.STOP:
        raise BakeoffError(f"{summary} The picture: {workspace.drift / 'drift.html'}")
    print(summary)
    print(f"Report: {workspace.drift / 'drift.html'}")


def _snapshot(engine: Engine, folder: Path) -> Snapshot:
    """The tables of a directory; raises a BakeoffError if one can't be read."""
    found = Snapshot(lambda table, columns: engine.read(folder / f"{table}.parquet", columns))
    for table in TABLES:
        found.num_rows(table)
    return found


def _reference(engine: Engine, root: Path, since: str | None) -> Reference | str:
    """What is compared with, brought to the engine's scratch from DVC's cache or its remote; or why there is none."""
    if since is None and ask(root, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        return "There is no commit yet, and so no version to compare with."
    check_repository(root)
    name = last_version(root) if since is None else since
    commit, folder = commit_of(root, name), engine.scratch / "reference"
    try:
        with dvc_files(root, commit, "artifacts/validated", name) as stored:
            stored.get("artifacts/validated", str(folder), recursive=True)
            return name, commit, _snapshot(engine, folder)
    except BakeoffError:  # its words hold paths, which no output does
        return (
            f"The validated data of {name} can't be read: nothing was run there, or neither DVC's cache nor its remote "
            "holds them whole. `dvc fetch --all-tags` may bring them."
        )


def _write(directory: Path, as_json: Mapping[str, Any], **pages: str) -> None:
    """Replace the directory by drift.json and a file per page, named by its ending."""
    with replaced(directory) as new:
        write_json(new / "drift.json", as_json)
        for ending, text in pages.items():
            write_text(new / f"drift.{ending}", text)


def drift_summary(drift: Drift) -> tuple[str, str]:
    """What follows, in a sentence without its full stop; then what was compared, and what moved most."""
    headline, _, statement = render_text("drift.txt.j2", drift=drift, number=_number).partition("\n")
    return headline, statement


def finding_table(drift: Drift) -> Table:
    """Every expectation with what was found, those that do not hold first."""
    rows: list[Row] = []
    for finding in [*drift.failed, *(finding for finding in drift.findings if finding.success)]:
        failure = Cell("stops the run" if finding.severity == "critical" else "warning", strong=True)
        figures = [_number(finding.value), _number(finding.limit)]
        rows.append([finding.expectation, *figures, Cell("holds") if finding.success else failure, finding.detail])
    caption = "What was expected of the data, and what was found; divergences are in nats"
    prose = [Column("Says", prose=True), Column("Moved most", prose=True)]
    return table_of(caption, ["Expected", "Found", "Limit", *prose], rows)


def pages(drift: Drift, events: Events) -> dict[str, str]:
    """The page, which needs no script, with the volume above the features; and the same short; by their endings."""
    charts = {"volume": _volume(*events), "features": _panels(drift)}
    pictures = [StillPicture(key, *_TEXTS[key], _spec(chart)) for key, chart in charts.items() if chart is not None]
    return _rendered(pictures, *drift_summary(drift), drift.notes, finding_table(drift))


def _rendered(
    pictures: Sequence[StillPicture], headline: str, statement: str, notes: Sequence[str], findings: Table | None
) -> dict[str, str]:
    content: dict[str, Any] = {"headline": headline, "statement": statement, "notes": notes, "findings": findings}
    page = render_page("drift.html.j2", [], pictures=pictures, **content)
    return {"html": page, "md": render_text("drift.md.j2", **content)}


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _panels(drift: Drift) -> Any:
    """A small chart per feature, those that have moved most first; None where there are none."""
    ordered = sorted(drift.features, key=lambda pair: -pair[1].value)
    charts = [_panel(feature, finding) for feature, finding in ordered]
    return alt.concat(*charts, columns=COLUMNS, spacing={"row": 26, "column": 30}) if charts else None


def _panel(feature: Feature, finding: DriftFinding) -> alt.LayerChart:
    """Shares of the bins: a bar for the new data, a line across it for the reference.

    Bins that are empty on both sides are left out; a feature that has drifted is titled so.
    """
    shares = pd.DataFrame({"bin": feature.bins, "before": feature.before, "now": feature.now})
    shares = shares[(shares.before > 0) | (shares.now > 0)]
    y = alt.Y("bin:N", sort=list(shares.bin), title=None, axis=alt.Axis(ticks=False, domain=False))
    base = alt.Chart(shares).encode(y=y)
    axis = alt.Axis(format="%", tickCount=4, title=None)
    bars = base.mark_bar(size=BAR_HEIGHT - 5, color="var(--link)").encode(x=alt.X("now:Q", axis=axis))
    marks = base.mark_tick(thickness=3, size=BAR_HEIGHT - 1, color="var(--text)").encode(x="before:Q")
    title = alt.TitleParams(
        formats.sentence(feature.label),
        subtitle=f"{'drifted' if not finding.success else 'as before'}: {finding.value:.3f} nats",
        subtitleColor=f"var(--{'muted' if finding.success else 'bad'})",
    )
    return alt.layer(bars, marks).properties(width=PANEL_WIDTH, height=BAR_HEIGHT * len(shares), title=title)


def _volume(before: "pd.Series[int]", now: "pd.Series[int]") -> Any:
    """Events over time in both versions; None where events have no time, or all are of one day."""
    if before.empty or now.empty:
        return None
    first, last = int(min(before.index.min(), now.index.min())), int(max(before.index.max(), now.index.max()))
    if first == last:
        return None
    step = -(-(last - first + 1) // MAX_POINTS)
    days = pd.DataFrame({BEFORE: before, NOW: now}, index=range(first, last + 1)).fillna(0)
    days.loc[int(before.index.max()) + 1 :, BEFORE] = np.nan
    # A period that ends early has no sum.
    sums = days.groupby(first + (days.index - first) // step * step).sum(min_count=step)
    times = pd.to_datetime(sums.index * DAY, unit="s").strftime("%Y-%m-%dT00:00:00Z")
    table = sums.assign(time=times).melt("time", var_name="version", value_name="events").dropna()
    axis = alt.Axis(format="%Y-%m-%d", labelOverlap="greedy", labelSeparation=14)
    unit = "day" if step == 1 else f"{step} days"
    colors = alt.Scale(domain=[BEFORE, NOW], range=["var(--text)", "var(--link)"])
    base = alt.Chart(table).encode(
        x=alt.X("time:T", scale=alt.Scale(type="utc"), title=None, axis=axis),
        y=alt.Y("events:Q", title=f"events per {unit}", axis=alt.Axis(tickCount=5)),
        color=alt.Color("version:N", scale=colors, title=None),
    )
    # The reference lies on top, thinner: where both are the same, both are seen.
    wide = base.transform_filter(alt.datum.version == NOW).mark_line(strokeWidth=5, opacity=0.55)
    thin = base.transform_filter(alt.datum.version == BEFORE).mark_line(strokeWidth=1.5)
    return alt.layer(wide, thin).properties(width=560, height=190)


def _spec(chart: Any) -> Spec:
    """The chart with the texts and colours of the report, and titles for its panels."""
    title = {"color": "var(--text)", "fontSize": 13, "subtitleFontSize": 12, "anchor": "start", "offset": 8}
    config = chart_config(title=alt.TitleConfig(frame="group", **title))
    return to_spec(chart.properties(background="transparent", config=config))
