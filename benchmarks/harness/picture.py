"""The picture of all tables: who ranks how well on which data."""

import json
from collections.abc import Sequence
from typing import Any

import vl_convert

from harness.tables import Page

WHOSE = {"mf": "MF of this project", "softmax": "softmax DNN of this project", "": "peers, and simpler models"}
COLORS = dict(zip(WHOSE.values(), ("#1d4fb8", "#c2410c", "#8a8580"), strict=True))
SHAPES = {"reads the order or the times of events": "circle", "reads neither": "square"}
LEGEND = {"title": None, "orient": "bottom", "columns": 3, "labelLimit": 300}


def picture(pages: Sequence[Page]) -> str:
    """SVG: a panel for each data set, in it the NDCG of each system with its 95 % interval over users, best first."""
    spec = {
        "concat": [_panel(page) for page in pages],
        "columns": 2,
        "background": "white",
        "config": {"font": "sans-serif"},
    }
    svg: str = vl_convert.vegalite_to_svg(json.dumps(spec))
    return svg


def _panel(page: Page) -> dict[str, Any]:
    metric = next(name for name in page["metrics"] if name.startswith("ndcg"))
    rows = [_row(system, metric) for system in page["systems"] if system["figures"]]
    axis = {"type": "quantitative", "scale": {"zero": False, "padding": 6}, "axis": {"tickCount": 5}}
    name = {"type": "nominal", "title": None, "axis": {"minExtent": 180, "labelLimit": 180, "ticks": False}}
    return {
        "title": {"text": page["title"], "anchor": "start"},
        "data": {"values": sorted(rows, key=lambda row: -row["mean"])},
        "width": 230,
        "height": {"step": 16},
        "encoding": {"y": {"field": "system", "sort": None, **name}, "color": _legend("whose", COLORS)},
        "layer": [
            {
                "mark": "rule",
                "encoding": {"x": {"field": "low", "title": metric.upper(), **axis}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
                "encoding": {"x": {"field": "mean", **axis}, "shape": _legend("reads", SHAPES)},
            },
        ],
    }


def _legend(field: str, looks: dict[str, str]) -> dict[str, Any]:
    scale = {"domain": [*looks], "range": [*looks.values()]}
    return {"field": field, "type": "nominal", "scale": scale, "legend": LEGEND}


def _row(system: Page, metric: str) -> dict[str, Any]:
    """A system's point; a variant of a contender has its colour."""
    ordered, unordered = SHAPES
    title = (
        system["title"].removesuffix(" (PyTorch)").replace("bakeoff softmax", "softmax DNN").removeprefix("bakeoff ")
    )
    return {
        "system": title,
        "whose": WHOSE[system["name"].partition("_")[0] if system["ours"] else ""],
        "reads": ordered if any(word in system["information"] for word in ("order", "times")) else unordered,
        **system["figures"][metric],
    }
