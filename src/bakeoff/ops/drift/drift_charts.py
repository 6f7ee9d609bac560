"""Pictures of drift: each feature before and now as small charts, and the volume over time."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from bakeoff.ops.drift.distributions import Feature
from bakeoff.ops.drift.findings import Drift, Finding
from bakeoff.ops.drift.snapshot import DAY
from bakeoff.report import formats
from bakeoff.report.render.chart_parts import Spec, chart_config, to_spec

COLUMNS = 2
PANEL_WIDTH = 225
BAR_HEIGHT = 17
BEFORE, NOW = "in production", "now"
MAX_POINTS = 90
"""On the time axis; days are put together until they are no more."""
_LONGEST_LABEL = 24


def panel(feature: Feature, finding: Finding) -> alt.LayerChart:
    """Shares of the bins: a bar for the new data, a line across it for the reference.

    Bins that are empty on both sides are left out; a feature that has drifted is titled so.
    """
    shares = pd.DataFrame(
        {"bin": [_short(name) for name in feature.bins], "before": feature.before, "now": feature.now}
    )
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


def panels(drift: Drift) -> Spec | None:
    """All features, those that have moved most first; None where there are none."""
    ordered = sorted(drift.features, key=lambda pair: -(pair[1].value or 0))
    if not ordered:
        return None
    charts = [panel(feature, finding) for feature, finding in ordered]
    return _finished(alt.concat(*charts, columns=COLUMNS, spacing={"row": 26, "column": 30}))


def volume(before: "pd.Series[int]", now: "pd.Series[int]") -> Spec | None:
    """Events over time in both versions.

    Args:
        before: events by day (since 1970) of the reference.
        now: the same of the new data.

    Returns:
        None where events have no time, or all are of one day.
    """
    if before.empty or now.empty:
        return None
    first, last = int(min(before.index.min(), now.index.min())), int(max(before.index.max(), now.index.max()))
    if first == last:
        return None
    step = -(-(last - first + 1) // MAX_POINTS)
    table = pd.concat([_counted(side, first, last, step, name) for side, name in ((before, BEFORE), (now, NOW))])
    unit = "day" if step == 1 else f"{step} days"
    base = alt.Chart(table).encode(
        x=alt.X(
            "time:T",
            scale=alt.Scale(type="utc"),
            title=None,
            axis=alt.Axis(format="%Y-%m-%d", labelOverlap="greedy", labelSeparation=14),
        ),
        y=alt.Y("events:Q", title=f"events per {unit}", axis=alt.Axis(tickCount=5)),
        color=alt.Color(
            "version:N", scale=alt.Scale(domain=[BEFORE, NOW], range=["var(--text)", "var(--link)"]), title=None
        ),
    )
    # The reference lies on top, thinner: where both are the same, both are seen.
    wide = base.transform_filter(alt.datum.version == NOW).mark_line(strokeWidth=5, opacity=0.55)
    thin = base.transform_filter(alt.datum.version == BEFORE).mark_line(strokeWidth=1.5)
    return _finished(alt.layer(wide, thin).properties(width=560, height=190))


def both(drift: Drift, events: tuple["pd.Series[int]", "pd.Series[int]"]) -> Spec | None:
    """The volume over time above the features: one picture."""
    found = [spec for spec in (volume(*events), panels(drift)) if spec is not None]
    if not found:
        return None
    config = found[0]["config"]
    charts: Sequence[Any] = [{k: v for k, v in spec.items() if k not in ("config", "background")} for spec in found]
    data = {name: rows for spec in charts for name, rows in spec.pop("datasets", {}).items()}
    return {"vconcat": list(charts), "datasets": data, "config": config, "background": "transparent", "spacing": 30}


def _counted(side: "pd.Series[int]", first: int, last: int, step: int, name: str) -> pd.DataFrame:
    """Events per `step` days; an end that would hold fewer days is left out where there are others."""
    whole = side.reindex(range(first, last + 1), fill_value=0)
    if name == BEFORE:
        whole = whole[whole.index <= side.index.max()]
    period = (whole.index - first) // step
    full = pd.Series(1, whole.index).groupby(period).sum()
    sums = whole.groupby(period).sum()
    sums = sums[full == step] if (full == step).any() else sums
    times = pd.to_datetime((first + sums.index.to_numpy() * step) * DAY, unit="s").strftime("%Y-%m-%dT00:00:00Z")
    return pd.DataFrame({"time": times, "events": sums.to_numpy(), "version": name})


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…"


def _finished(chart: Any) -> Spec:
    """The chart with the texts and colours of the report, and titles for its panels."""
    title = alt.TitleConfig(
        color="var(--text)", fontSize=13, subtitleFontSize=12, anchor="start", frame="group", offset=8
    )
    return to_spec(chart.properties(background="transparent", config=chart_config(title=title)))
