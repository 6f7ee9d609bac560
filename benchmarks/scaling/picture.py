"""The picture of how the pipeline grows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import vl_convert

from scaling.fits import Runs, counts
from scaling.markdown import GIB


def picture(runs: Runs, grown: Literal["interactions", "items"] = "interactions") -> str:
    """SVG: seconds and GiB of every stage by what has grown, two panels for each family of stages."""
    rows = [
        {
            "size": getattr(size, grown),
            "cost": cost,
            "what": what,
            "stage": stage.partition("@")[2] or stage,
            "family": _panel(stage),
        }
        for size, stages in runs.items()
        for stage, run in stages.items()
        if counts(run)
        for what, cost in (("CPU seconds", run.cpu), ("peak memory, GiB", run.memory / GIB))
    ]
    svg: str = vl_convert.vegalite_to_svg(json.dumps(_spec(rows, grown)))
    return svg


def _panel(stage: str) -> str:
    """Stages of a model or a kind of variant have a panel together."""
    together, of_one, _ = stage.partition("@")
    return "tables" if stage in ("validate", "split") else together if of_one else "others"


def _spec(rows: Sequence[Mapping[str, Any]], grown: str) -> dict[str, Any]:
    """For each family of stages, three in a row: seconds above, memory below, a legend for both."""
    families = dict.fromkeys(str(row["family"]) for row in rows)
    whats = dict.fromkeys(str(row["what"]) for row in rows)
    return {
        "columns": 3,
        "concat": [
            {
                "title": each,
                "vconcat": [
                    _chart([row for row in rows if (row["family"], row["what"]) == (each, what)], what, grown)
                    for what in whats
                ],
            }
            for each in families
        ],
        "resolve": {"scale": {"color": "independent", "shape": "independent"}},
        "background": "white",
        "config": {"font": "sans-serif"},
    }


def _chart(rows: Sequence[Mapping[str, Any]], what: str, grown: str) -> dict[str, Any]:
    """Lines from size to size, both axes logarithmic."""
    axis = {"type": "quantitative", "scale": {"type": "log", "nice": True}}
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    named = {
        "field": "stage",
        "type": "nominal",
        "sort": stages,
        "legend": {"title": None, "orient": "bottom", "columns": 1},
    }
    return {
        "data": {"values": list(rows)},
        "width": 190,
        "height": 150,
        "mark": {"type": "line", "point": {"size": 40}},
        "encoding": {
            "x": {"field": "size", "title": grown, **axis, "axis": {"format": "~e", "tickCount": 3}},
            "y": {"field": "cost", "title": what, **axis, "axis": {"tickCount": 4}},
            "color": {**named, "scale": {"scheme": "tableau10"}},
            "shape": {**named, "legend": None},
        },
    }
