"""Charts of any series: dots with intervals, lines, pairs of marks, scatters, a matrix. Colours are CSS variables."""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bakeoff.report.models import Styles
from bakeoff.report.render.figure import FEW_TICKS, NARROW, Spec, finish, layered, present, tooltip

MARK_HEIGHT, GROUP_MARGIN = 14, 18
"""Pixels for one mark with its interval, and between two groups of marks."""
LETTER, LABEL_HEIGHT = 6.5, 15
"""Pixels that a label takes, per letter and in height."""
PER_ENTRY, AXIS_LABELS = 28, 80
"""Pixels that an entry of a legend takes besides its letters, and that the labels of the vertical axis take. A legend
begins to the right of these labels."""
WIDE, ON_PHONE, HEIGHT = 760, 200, 280
"""Pixels of the plane of `path`: its width on a wide page and on a phone, and its height."""
PHONE = 400
"""Below this width of a whole chart labels of one line take two."""
BY_STYLE = alt.Size("size:Q", scale=None, legend=None)
"""Area of a mark, from the style of its series."""
FROM_ZERO = alt.Scale(zero=True)
_LINES = (
    f"split(containerSize()[0] < {PHONE} && indexof(datum.label, '\\n') < 0 ? "
    "replace(datum.label, regexp('^(.{6,}) '), '$1\\n') : datum.label, '\\n')"
)
# Lines of a label: where a phone has no room, the last word stands below.

FILLED = {"filled": True, "opacity": 1}
OPEN = {"filled": False, "opacity": 1, "strokeWidth": 2, "fill": "var(--page)"}
"""Properties of a mark, the second of one of which only the outline is drawn."""


def series_dots(
    table: pd.DataFrame,
    styles: Styles,
    axis: str,
    title: str | None = None,
    *,
    digits: str = ".4f",
    x: alt.Axis = FEW_TICKS,
    scale: alt.Scale = FROM_ZERO,
) -> Spec:
    """Mean and interval per group and series.

    Args:
        table: group (a line break starts a second line), series, mean, low, high; low and high equal to the mean where
            there is no interval; where it has the column `fallback` (bool), such marks are open.
        styles: how the series look.
        axis: title of the axis of means.
        title: what the groups are, if the chart's title does not say it.
        digits: format of figures in tooltips.
        x: ticks of the axis of means.
        scale: of that axis.
    """
    names = ["series", "group", *(["fallback"] if "fallback" in table else [])]
    tips = tooltip(*names, **dict.fromkeys(("mean", "low", "high"), digits))
    base, placed, height = _grouped(table, styles, tips, title)
    interval = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=axis, axis=x, scale=scale), x2="high:Q")
    mean = alt.X("mean:Q", scale=scale)
    points = [_point(base, styles, x=mean)]
    if "fallback" in table and table.fallback.any():
        own, fallback = points[0].transform_filter("!datum.fallback"), _point(base, styles, OPEN, x=mean)
        points = [own, fallback.transform_filter("datum.fallback")]
    return layered(placed, [interval, *points], height=height)


def ranges(table: pd.DataFrame, styles: Styles, axis: str) -> Spec:
    """A span per group and series on a logarithmic axis, with a mark at its upper end.

    Args:
        table: group, series, low, high, both above 0.
        styles: how the series look.
        axis: title of the axis of both ends.
    """
    base, placed, height = _grouped(table, styles, tooltip("series", "group", low=".3s", high=".3s"))
    x = alt.X("low:Q", title=axis, scale=alt.Scale(type="log", nice=True), axis=alt.Axis(format="~g", tickCount=4))
    span = base.mark_rule(strokeWidth=3).encode(x=x, x2="high:Q")
    return layered(placed, [span, _point(base, styles, x="high:Q")], height=height)


def series_lines(table: pd.DataFrame, styles: Styles, x: alt.X, y: alt.Y, digits: str = ".4f", **line: Any) -> Spec:
    """A line with marks per series, with intervals where the table has low and high; thick lines are on top.

    Args:
        table: series, x, y, and low, high where there are intervals; where it has the column `marked` (bool), only
            such points have a mark.
        styles: how the series look.
        x: encoding of the column x.
        y: encoding of the column y.
        digits: format of y in tooltips.
        line: further properties of the lines, such as `interpolate`.
    """
    formats = dict.fromkeys(("y", *(name for name in ("low", "high") if name in table)), digits)
    tips = [*tooltip("series"), alt.Tooltip("x:N", title="at"), *tooltip(**formats)]
    base = alt.Chart().encode(x=x, color=_by_series(alt.Color, styles, "color"), tooltip=tips)
    # A layer each: a scale of patterns would make the legend draw its symbols dashed, too.
    layers = [
        base.transform_filter(alt.datum.series == label)
        .mark_line(strokeWidth=style.width, strokeDash=list(style.dash), **line)
        .encode(y=y)
        for label, style in sorted(styles.items(), key=lambda each: each[1].width)
    ]
    if "low" in table:
        layers.append(base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q"))
    point = _point(base, styles, y=y)
    if "marked" in table:
        point = point.transform_filter("datum.marked")
    return layered(_sized(table, styles), [*layers, point], height=300)


def path(table: pd.DataFrame, styles: Styles, x: str, y: str) -> Spec:
    """Labelled points in a plane, some joined in the order of the table; x as its root, y from 0.

    Args:
        table: series, label, x, y, both at least 0; emphasis (bool): drawn larger; joined (bool): part of a line.
        styles: how the series look.
        x: what x is; less of it is better.
        y: what y is.
    """
    sides = pd.Series(label_sides(table, WIDE), table.index)
    table = table.assign(order=range(len(table)), side=sides, fits=sides == label_sides(table, ON_PHONE))
    right, top = 1.08 * max(table.x.max(), 1e-6), 1.15 * max(table.y.max(), 1e-6)
    across = alt.Scale(type="sqrt", domain=[0, right], nice=False, padding=36)
    base = alt.Chart().encode(
        x=alt.X("x:Q", title=[x, "(less is better)"], axis=FEW_TICKS, scale=across),
        y=alt.Y("y:Q", title=y, axis=FEW_TICKS, scale=alt.Scale(domain=[0, top], nice=False)),
        color=_by_series(alt.Color, styles, "color"),
        tooltip=[*tooltip("series", "label"), _tip("x", x), _tip("y", y)],
    )
    line = base.transform_filter("datum.joined").mark_line(strokeWidth=1.5).encode(order="order:Q", detail="series:N")
    point = _point(base, styles, size=alt.condition("datum.emphasis", alt.value(190), alt.value(70)))
    shown = f"width < {NARROW} && !datum.fits ? 0 : 1"
    texts = [
        base.transform_filter(test)
        .mark_text(align="center", dy=dy, fontSize=11, limit=130, opacity={"expr": shown})
        .encode(text="label:N", color=alt.value("var(--text)"))
        for test, dy in (("datum.side === 'above'", -14), ("datum.side === 'below'", 18))
    ]
    return layered(_sized(table, styles), [line, point, *texts], height=HEIGHT)


def front(table: pd.DataFrame, styles: Styles, across: str, up: str) -> Spec:
    """Points in a plane whose axes the reader chooses, and a line through those that no other point beats.

    Args:
        table: across, up: the axes of a row; series, x, y; front (bool): whether the point is on the line.
        styles: how the series look.
        across: name of the parameter that holds the horizontal axis.
        up: name of the parameter that holds the vertical one.
    """
    apart = alt.Scale(zero=False, nice=False, padding=24)
    base = (
        alt.Chart()
        .transform_filter(f"datum.across === {across} && datum.up === {up}")
        .encode(
            x=alt.X("x:Q", title=None, axis=FEW_TICKS, scale=apart),
            y=alt.Y("y:Q", title=None, axis=FEW_TICKS, scale=apart),
        )
    )
    line = base.transform_filter("datum.front").mark_line(color="var(--muted)", strokeDash=[4, 3], strokeWidth=1.5)
    tips = [*tooltip("series"), *(_tip(axis, axis, ".4~f") for axis in ("x", "y"))]
    point = _point(base, styles, color=_by_series(alt.Color, styles, "color"), tooltip=tips)
    right, bottom = {"expr": "width - 4"}, {"expr": "height - 4"}
    corners = (
        ({"x": 4, "y": 4, "align": "left", "baseline": "top"}, f"'↑ ' + {up}"),
        ({"x": right, "y": bottom, "align": "right", "baseline": "bottom"}, f"{across} + ' →'"),
    )
    titles = [
        alt.Chart(pd.DataFrame({"n": [0]})).mark_text(color="var(--muted)", fontSize=12, text={"expr": text}, **place)
        for place, text in corners
    ]
    return layered(_sized(table, styles), [*titles, line, point], height=300)


def label_sides(table: pd.DataFrame, width: float = WIDE) -> list[str]:
    """Where the label of each point goes so that none covers another or a large mark: above, below, or nowhere.

    Larger marks choose first; a label that finds no room is left to the tooltip and the table.

    Args:
        table: label, x, y, emphasis; x is drawn as its root, y from 0.
        width: of the plane in pixels.
    """
    px = (table.x / max(table.x.max(), 1e-6)) ** 0.5 * width
    py = table.y / max(table.y.max(), 1e-6) * HEIGHT
    taken = [(x, MARK_HEIGHT / 2, y) for x, y in zip(px[table.emphasis], py[table.emphasis], strict=True)]
    sides = [""] * len(table)
    for place in sorted(range(len(table)), key=lambda n: not table.emphasis.iloc[n]):
        half = LETTER * min(len(table.label.iloc[place]), 22) / 2
        for side, dy in (("above", LABEL_HEIGHT), ("below", -LABEL_HEIGHT)):
            x, y = px.iloc[place], py.iloc[place] + dy
            if all(abs(x - a) > half + b or abs(y - c) > MARK_HEIGHT for a, b, c in taken):
                taken.append((x, half, y))
                sides[place] = side
                break
    return sides


def cloud(table: pd.DataFrame, styles: Mapping[str, tuple[str, str]]) -> Spec:
    """Points in a plane without axes, coloured and shaped by group.

    Args:
        table: x, y, group (a label), name.
        styles: group → CSS colour and shape.
    """
    scale = alt.Scale(zero=False, padding=6)
    colors, shapes = (alt.Scale(domain=list(styles), range=list(each)) for each in zip(*styles.values(), strict=True))
    points = alt.Chart(table).mark_point(filled=True, opacity=0.75, size=26)
    encoded = points.encode(
        x=alt.X("x:Q", axis=None, scale=scale),
        y=alt.Y("y:Q", axis=None, scale=scale),
        color=alt.Color("group:N", scale=colors, legend=None),
        shape=alt.Shape("group:N", scale=shapes, legend=None),
        tooltip=tooltip("name", "group"),
    )
    return finish(encoded, height=190)


def matrix(shares: NDArray[np.float64], order: list[str], title: str) -> Spec:
    """Shares by row and column, as tinted cells with their figure.

    Args:
        shares: [n, n] in [0, 1]; NaN: no cell.
        order: names of the n rows and columns.
        title: what the shares are.
    """
    cells = ((order[i], order[j], float(shares[i, j])) for i, j in np.ndindex(shares.shape))
    table = pd.DataFrame(cells, columns=["row", "column", "share"]).dropna()
    top = alt.Axis(orient="top", labelAngle=-40, ticks=False, domain=False)
    base = alt.Chart().encode(
        x=alt.X("column:N", sort=order, title=None, axis=top),
        y=alt.Y("row:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False)),
        tooltip=[*tooltip("row", "column"), _tip("share", title, ".1%")],
    )
    cell = base.mark_rect(color="var(--link)", stroke="var(--page)", strokeWidth=2).encode(
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.45]), legend=None)
    )
    text = base.mark_text(fontSize=12, color="var(--text)").encode(text=alt.Text("share:Q", format=".0%"))
    # The last column's label ends beyond its column.
    return layered(table, [cell, text], height=46 * len(order)) | {"padding": {"right": 20}}


def _grouped(
    table: pd.DataFrame, styles: Styles, tips: list[alt.Tooltip], title: str | None = None
) -> tuple[alt.Chart, pd.DataFrame, int]:
    """A chart with groups on its vertical axis and a row per series in each, its data, and its height in pixels."""
    series, groups = table.series.map([*styles].index), present(table.group)
    in_group = table.groupby("group").series
    row = series.groupby(table.group).rank() - (in_group.transform("size") + 1) / 2
    y = alt.Y(
        "group:N",
        sort=groups,
        title=title,
        scale=alt.Scale(type="point", padding=0.5),
        axis=alt.Axis(grid=False, ticks=False, labelPadding=8, labelLimit=180, labelExpr=_LINES),
    )
    offset = alt.YOffset("offset:Q", scale=None)
    base = alt.Chart().encode(y=y, yOffset=offset, color=_by_series(alt.Color, styles, "color"), tooltip=tips)
    height = (MARK_HEIGHT * max(in_group.size(), default=0) + GROUP_MARGIN) * len(groups)
    return base, _sized(table, styles).assign(offset=MARK_HEIGHT * row), int(height)


def _point(base: alt.Chart, styles: Styles, mark: Mapping[str, Any] = FILLED, **channels: Any) -> alt.Chart:
    """A mark in the shape and size of its series."""
    shape = _by_series(alt.Shape, styles, "shape")
    return base.mark_point(**mark).encode(**{"shape": shape, "size": BY_STYLE, **channels})


def _tip(column: str, title: str, digits: str = ".4f") -> alt.Tooltip:
    return alt.Tooltip(f"{column}:Q", title=title, format=digits)


def _sized(table: pd.DataFrame, styles: Styles) -> pd.DataFrame:
    return table.assign(size=[styles[label].size for label in table.series])


def _by_series(channel: Any, styles: Styles, attribute: str) -> Any:
    """Encoding of the series by an attribute of its style, with a legend that wraps on a narrow page."""
    takes = [LETTER * len(label) + PER_ENTRY for label in styles]
    two, whole, half = max(takes[::2]) + max(takes[1::2], default=0), sum(takes), math.ceil(len(styles) / 2)
    # The width of the whole chart, since a legend that changes with that of the plane would change it in turn; a
    # picture has no container.
    room = f"(containerSize()[0] || {WIDE}) - {AXIS_LABELS}"
    columns = f"{room} < {two} ? 1 : width < {NARROW} ? 2 : {room} < {whole} ? {half} : {len(styles)}"
    return channel(
        "series:N",
        scale=alt.Scale(domain=list(styles), range=[getattr(style, attribute) for style in styles.values()]),
        legend=alt.Legend(title=None, labelLimit=200, columns={"expr": columns}),
    )
